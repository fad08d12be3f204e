/** LLMGateway → the table's settings. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { parseRedisUrl } from '../lib/redis-url.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { GatewaySettings, RedisSettings } from '../routetable/types.ts';
import { certificateFault } from './certificate.ts';
import { clientKeys, type ClientKeys, type KeyMemo } from './keys.ts';
import type { Read } from './memo.ts';
import { compileTls } from './model.ts';
import { controlFault } from './one-line.ts';
import { gatewayPrices, overridesOf } from './prices.ts';
import { parseQuantity } from './quantity.ts';
import { secretValue } from './references.ts';
import { conditionOf, fullyServed, type ObjectStatus } from './status.ts';
import { unservedOf } from './unserved.ts';

export interface CompiledGateway {
  /** null where serving would be worse than not: without its certificate an HTTPS listener would speak plain HTTP. */
  readonly settings: GatewaySettings | null;
  readonly clientKeys: ClientKeys;
  readonly status: ObjectStatus;
}

export function compileGateway(gateway: LLMGateway, read: Read, keyMemo: KeyMemo): CompiledGateway {
  const { metadata, spec } = gateway;
  const { generation } = metadata;
  const notServed = unservedOf('LLMGateway', spec);
  const invalid: Issue[] = [];
  const unresolved: Issue[] = [];

  const maxRequestBytes = parseQuantity(spec.listener.maxRequestBytes);
  if (maxRequestBytes === null || maxRequestBytes < 1) {
    invalid.push(
      issue(
        'spec.listener.maxRequestBytes',
        'InvalidSpec',
        `${JSON.stringify(spec.listener.maxRequestBytes)} is not a size from 1 byte to 8Pi: write it like 32Mi`,
      ),
    );
  }
  const drain = parseDurationMs(spec.drain.timeout);
  if (!drain.ok) invalid.push(issue('spec.drain.timeout', 'InvalidSpec', drain.error));
  const age = parseDurationMs(spec.listener.maxConnectionAge);
  if (!age.ok) invalid.push(issue('spec.listener.maxConnectionAge', 'InvalidSpec', age.error));
  const tls = compileListenerTls(gateway, read);
  if (!tls.ok) unresolved.push(tls.error);
  const redis = compileRedis(gateway, read);
  if (!redis.ok) unresolved.push(redis.error);
  const prices = gatewayPrices(gateway, read);
  unresolved.push(...prices.issues);

  // JWT is not served: keys are asked for instead, never nothing.
  const clientAuth = spec.clientAuth.type === 'None' ? 'None' : 'APIKey';
  const keys =
    clientAuth === 'None' ? { keys: [], warnings: [] } : clientKeys(gateway, read((world) => world.secrets).values(), keyMemo);
  let settings: GatewaySettings | null = null;
  if (
    maxRequestBytes !== null &&
    drain.ok &&
    age.ok &&
    tls.ok &&
    (redis.ok || spec.redis?.onUnavailable !== 'FailClosed') &&
    invalid.length === 0
  ) {
    const unhashed: Omit<GatewaySettings, 'digest'> = {
      port: spec.listener.port,
      maxRequestBytes,
      tls: tls.value,
      clientAuth,
      upstreamAllow: [...spec.upstreams.allow].sort(byText),
      drainTimeoutMs: drain.value,
      maxConnectionAgeMs: age.value,
      requestLog: spec.telemetry.requestLog === 'None' ? 'Off' : 'Metadata',
      // Each pod counts for itself, and the condition says so; only who asked for no answer without Redis gets none.
      redis: redis.ok ? redis.value : null,
      prices: overridesOf(prices),
    };
    settings = { digest: digestOf(unhashed), ...unhashed };
  }
  const status: ObjectStatus = {
    kind: 'LLMGateway',
    namespace: metadata.namespace,
    name: metadata.name,
    conditions: [
      conditionOf('Accepted', invalid, generation),
      conditionOf('ResolvedRefs', unresolved, generation),
      ...fullyServed(notServed, generation),
    ],
    parents: [],
    unresolved,
    warnings: keys.warnings,
    notServed,
  };
  return { settings, clientKeys: keys, status };
}

function compileListenerTls({ metadata: { namespace }, spec }: LLMGateway, read: Read): Result<GatewaySettings['tls'], Issue> {
  if (spec.listener.tls === undefined) return ok(null);
  const { name } = spec.listener.tls.secretRef;
  const path = 'spec.listener.tls.secretRef';
  const certificate = secretValue(read, namespace, { name, key: 'tls.crt' }, path);
  if (!certificate.ok) return certificate;
  const key = secretValue(read, namespace, { name, key: 'tls.key' }, path);
  if (!key.ok) return key;
  const fault = certificateFault(certificate.value.reveal(), key.value.reveal());
  if (fault !== null) return err(issue(path, 'ArtifactInvalid', `Secret ${namespace}/${name} ${fault}`));
  return ok({ certificatePem: certificate.value.reveal(), privateKeyPem: key.value });
}

function compileRedis({ metadata: { namespace }, spec: { redis } }: LLMGateway, read: Read): Result<RedisSettings | null, Issue> {
  if (redis === undefined) return ok(null);
  const { mode, addressRef, sentinel, onUnavailable } = redis;
  const path = 'spec.redis.addressRef';
  const url = secretValue(read, namespace, addressRef, path);
  if (!url.ok) return url;
  const address = parseRedisUrl(url.value.reveal(), mode);
  const where = `key ${JSON.stringify(addressRef.key)} of Secret ${namespace}/${addressRef.name}`;
  if (!address.ok) {
    return err(issue(path, 'ArtifactInvalid', `the Redis address in ${where} cannot be used: ${address.error}`));
  }
  const odd = sentinel === undefined ? null : controlFault(sentinel.masterName, 'spec.redis.sentinel.masterName');
  if (odd !== null) return err(odd);
  const trust = compileTls(redis.tls, 'spec.redis.tls', { read, namespace });
  if (!trust.ok) return trust;
  // What only looks encrypted is worse than what does not.
  if (redis.tls !== undefined && !address.value.tls)
    return err(
      issue('spec.redis.tls', 'InvalidSpec', `the Redis address in ${where} begins with redis://, without TLS: write rediss://`),
    );
  return ok({
    mode,
    address: address.value,
    masterName: sentinel?.masterName ?? null,
    trust: trust.value.value,
    onUnavailable,
  });
}
