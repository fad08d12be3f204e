/** One model, of a route's pool or an LLMBackend: its spec → a target with everything resolved, or why it cannot be one. */
import type { BackendSpec } from '../api/v1alpha1/model.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { SecretValue } from '../lib/secret.ts';
import { digestOf, secretDigest } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { AwsCredential, JsonValue, Target } from '../routetable/types.ts';
import { compileIdentity, type CompiledIdentity, podIdentity } from './cloud.ts';
import type { ModelContext } from './model-context.ts';
import { controlFault } from './one-line.ts';
import { gatewayPrices, NO_PRICES, priceModel } from './prices.ts';
import { certificates, secretLine } from './references.ts';
import { compileUpstream, type Upstream } from './upstream.ts';

export interface CompiledModel {
  /** null exactly when there are issues. */
  readonly target: Target | null;
  readonly issues: readonly Issue[];
  readonly warnings: readonly Issue[];
}

/** What the relay sets itself, and what would break or smuggle a request if a user could. */
const RESERVED_HEADERS: ReadonlySet<string> = new Set(
  'accept accept-encoding connection content-encoding content-length content-type expect host keep-alive proxy-authorization proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** Routing, relaying and accounting stand on the client's own; the body's splicing refuses the same. */
export const RESERVED_PARAMETERS: readonly string[] = ['model', 'stream', 'stream_options'];

/** `path` is that of the spec, e.g. `spec.models[0]`. */
export function compileModel(name: string, spec: BackendSpec, path: string, context: ModelContext): CompiledModel {
  const issues: Issue[] = [];
  const warnings: Issue[] = [];
  const take = <T>(result: Result<T, Issue>): T | null => {
    if (result.ok) return result.value;
    issues.push(result.error);
    return null;
  };

  const upstream = take(compileUpstream(spec.provider, `${path}.provider`, { ...context, tls: spec.tls !== undefined }));
  const credential = take(compileAuth(spec, path, upstream, context));
  const tls = take(compileTls(spec.tls, `${path}.tls`, context));
  const headers = take(compileHeaders(spec.headers ?? [], `${path}.headers`, credential?.header ?? null));
  const defaults = take(compileParameters(spec.defaults, `${path}.defaults`));
  const override = take(compileParameters(spec.override, `${path}.override`));
  if (upstream === null || credential === null || tls === null || headers === null || defaults === null || override === null) {
    return { target: null, issues, warnings };
  }

  const { defaultHeader: _, ...where } = upstream;
  const plain = where.baseUrl.startsWith('http:');
  if (plain && spec.tls !== undefined) warnings.push(issue(`${path}.tls`, 'NoEffect', `${where.baseUrl} is not HTTPS`));
  if (plain && (credential.value !== null || credential.cloud !== undefined) && !where.trusted)
    warnings.push(issue(`${path}.auth`, 'Cleartext', `the key goes to ${where.baseUrl} unencrypted`));
  const upstreamId = identity(where, tls.value);
  const who = credential.cloud?.id ?? (credential.value === null ? 'none' : secretDigest(credential.value).slice(0, 12));
  const target: Target = {
    name,
    ...where,
    upstreamId,
    credentialId: `${upstreamId}@${who}`,
    ...(credential.cloud === undefined ? {} : { identity: credential.cloud.identity }),
    credential:
      credential.value === null
        ? null
        : {
            header: credential.header,
            value: credential.value,
            ...(credential.aws === undefined ? {} : { aws: credential.aws }),
          },
    tls: tls.value,
    headers,
    defaults,
    override,
    unsupported: spec.unsupported,
    capacity: {
      requestsPerMinute: spec.capacity?.requestsPerMinute ?? null,
      tokensPerMinute: spec.capacity?.tokensPerMinute ?? null,
      concurrency: spec.capacity?.concurrency ?? null,
    },
    ...priceModel(spec, upstream, context.gateway === null ? NO_PRICES : gatewayPrices(context.gateway, context.read)),
  };
  return { target, issues, warnings };
}

/**
 * Base URL and deployment. What is trusted of the other side is part of it: a route with a wrong CA must not make an upstream
 * look unhealthy to others.
 */
function identity({ baseUrl, model }: Pick<Upstream, 'baseUrl' | 'model'>, tls: Target['tls']): string {
  const deployment = model === null ? '' : `#${model}`;
  return `${baseUrl}${deployment}${tls === null ? '' : `+tls:${digestOf(tls).slice(0, 8)}`}`;
}

function notServed(path: string, value: string): Issue {
  return issue(path, 'NotServed', `${JSON.stringify(value)} is not served by this build: the model is left out`);
}

interface Credential {
  readonly header: string;
  /** null: none is sent. */
  readonly value: SecretValue | null;
  readonly aws?: AwsCredential;
  /** Instead of a value: a token for each call. */
  readonly cloud?: CompiledIdentity;
}

function compileAuth(
  spec: BackendSpec,
  path: string,
  upstream: Upstream | null,
  context: ModelContext,
): Result<Credential, Issue> {
  const { type } = spec.auth;
  if (type === 'AWS') return compileAws(spec, path, context);
  if (type !== 'Entra' && type !== 'GCP') return compileCredential(spec.auth, `${path}.auth`, upstream, context);
  const cloud = compileIdentity(spec, type, `${path}.auth`, context);
  return cloud.ok ? ok({ header: 'authorization', value: null, cloud: cloud.value }) : cloud;
}

function compileCredential(
  auth: BackendSpec['auth'],
  path: string,
  upstream: Upstream | null,
  { read, namespace }: ModelContext,
): Result<Credential, Issue> {
  if (auth.type === 'None') return ok({ header: '', value: null });
  if (auth.type !== 'APIKey' || auth.apiKey === undefined) return err(notServed(`${path}.type`, auth.type));
  const { secretKeyRef, header } = auth.apiKey;
  const found = secretLine(read, namespace, secretKeyRef, `${path}.apiKey.secretKeyRef`);
  if (!found.ok) return found;
  const name = header?.toLowerCase() ?? upstream?.defaultHeader ?? 'authorization';
  if (RESERVED_HEADERS.has(name))
    return err(
      issue(
        `${path}.apiKey.header`,
        'InvalidSpec',
        `${JSON.stringify(name)} is set by the gateway itself and cannot carry a key`,
      ),
    );
  return ok({ header: name, value: found.value });
}

/** Keys from a Secret, or those that AWS gives the pods. */
function compileAws({ provider, auth }: BackendSpec, path: string, context: ModelContext): Result<Credential, Issue> {
  const { read, namespace } = context;
  const at = `${path}.auth.aws.secretRef`;
  const region = provider.bedrock?.region;
  if (provider.type !== 'Bedrock' || region === undefined)
    return err(issue(`${path}.auth.type`, 'InvalidSpec', `AWS credentials are for Bedrock: ${provider.type} takes APIKey`));
  const name = auth.aws?.secretRef?.name;
  if (name === undefined) {
    const pods = podIdentity({ kind: 'AwsPods', region }, `${path}.auth.aws`, context);
    return pods.ok ? ok({ header: 'authorization', value: null, cloud: pods.value }) : pods;
  }
  const secret = (key: string): Result<SecretValue, Issue> => secretLine(read, namespace, { name, key }, at);
  const id = secret('accessKeyId');
  if (!id.ok) return id;
  const key = secret('secretAccessKey');
  if (!key.ok) return key;
  // Only temporary keys have one.
  const token = secret('sessionToken');
  if (!token.ok && token.error.reason !== 'SecretKeyMissing') return token;
  const accessKeyId = id.value.reveal();
  if (!/^[A-Za-z0-9]{8,128}$/.test(accessKeyId))
    return err(issue(at, 'InvalidSpec', `Secret ${namespace}/${name} holds under "accessKeyId" what is no access key id`));
  return ok({
    header: 'authorization',
    value: key.value,
    aws: { region, accessKeyId, sessionToken: token.ok ? token.value : null },
  });
}

/** Wrapped, because `null` is a valid outcome. */
export function compileTls(
  tls: BackendSpec['tls'],
  path: string,
  { read, namespace }: Pick<ModelContext, 'read' | 'namespace'>,
): Result<{ readonly value: Target['tls'] }, Issue> {
  if (tls === undefined) return ok({ value: null });
  const serverName = tls.serverName ?? null;
  const fault = serverName === null ? null : controlFault(serverName, `${path}.serverName`);
  if (fault !== null) return err(fault);
  if (tls.caRef === undefined) return ok({ value: { caPem: null, serverName } });
  const ca = certificates(read, namespace, tls.caRef, `${path}.caRef`);
  return ca.ok ? ok({ value: { caPem: ca.value, serverName } }) : ca;
}

function compileHeaders(
  headers: NonNullable<BackendSpec['headers']>,
  path: string,
  credentialHeader: string | null,
): Result<Target['headers'], Issue> {
  const made = new Map<string, string>();
  for (const [index, { name, value }] of headers.entries()) {
    const lower = name.toLowerCase();
    const at = `${path}[${index}].name`;
    if (RESERVED_HEADERS.has(lower)) return err(issue(at, 'InvalidSpec', `${JSON.stringify(name)} is set by the gateway itself`));
    if (lower === credentialHeader)
      return err(issue(at, 'InvalidSpec', `${JSON.stringify(name)} already carries the key of auth.apiKey`));
    if (made.has(lower))
      return err(issue(at, 'InvalidSpec', `${JSON.stringify(name)} is there twice: case does not tell headers apart`));
    made.set(lower, value);
  }
  return ok([...made].sort(([a], [b]) => byText(a, b)));
}

function compileParameters(
  parameters: Readonly<Record<string, JsonValue>> | undefined,
  path: string,
): Result<Target['defaults'], Issue> {
  const reserved = RESERVED_PARAMETERS.find((name) => parameters !== undefined && Object.hasOwn(parameters, name));
  if (reserved !== undefined)
    return err(
      issue(
        `${path}.${reserved}`,
        'InvalidSpec',
        `${JSON.stringify(reserved)} is the client's alone${reserved === 'model' ? ": the provider's name of the model goes into provider" : ''}`,
      ),
    );
  const unquoted = YAML_BOOLEANS.find((name) => parameters !== undefined && Object.hasOwn(parameters, name));
  if (unquoted !== undefined)
    return err(
      issue(
        `${path}.${unquoted}`,
        'InvalidSpec',
        `no provider has a member "${unquoted}": in YAML n, y, on, off, yes and no are booleans, write "n" in quotes`,
      ),
    );
  const deep = Object.entries(parameters ?? {}).find(([, value]) => isDeeper(value, MAX_PARAMETER_DEPTH));
  if (deep !== undefined)
    return err(issue(`${path}.${deep[0]}`, 'InvalidSpec', `is nested more than ${MAX_PARAMETER_DEPTH} levels deep`));
  return ok(Object.entries(parameters ?? {}).sort(([a], [b]) => byText(a, b)));
}

/** What YAML 1.1, and with it kubectl, makes of an unquoted `n` before anybody here sees it. */
const YAML_BOOLEANS: readonly string[] = ['false', 'true'];

/** The API server takes 10,000 levels; whoever walks them as a tree, here or in a pod, runs out of stack. */
const MAX_PARAMETER_DEPTH = 64;

function isDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}
