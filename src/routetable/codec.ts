/** How a RouteTable travels: canonical JSON out, and in again entry by entry, so that one bad entry keeps nothing else back. */
import { CALENDAR_PERIODS, type Calendar, isTimeZone } from '../lib/calendar.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { RedisAddress } from '../lib/redis-url.ts';
import { SecretValue } from '../lib/secret.ts';
import {
  attempt,
  bool,
  headerName,
  headerValue,
  hexDigest,
  integer,
  line,
  list,
  nullable,
  number,
  object,
  oneOf,
  optional,
  orElse,
  pair,
  refuse,
  shared,
  text,
  type Decoder,
} from './decoder.ts';
import { canonicalJson } from './digest.ts';
import type { EntryKind, Item } from './entries.ts';
import { byText } from './order.ts';
import { tableDigest } from './parts.ts';
import {
  PROVIDER_KINDS,
  ROUTE_TABLE_VERSION,
  type Access,
  type AwsCredential,
  type ClientKey,
  type CloudIdentity,
  type Credential,
  type Endpoints,
  type FailoverPolicy,
  type GatewaySettings,
  type JsonValue,
  type Limit,
  type LimitScope,
  type Match,
  type ModelName,
  type ObjectName,
  type PriceOverride,
  type PriceTier,
  type Pricing,
  type RedisSettings,
  type Route,
  type RouteTable,
  type Rule,
  type StructuredOutput,
  type RuleTarget,
  type Target,
} from './types.ts';

/** Canonical JSON **with every credential in clear**: for the channel to a gateway pod, never for a log or a person. */
export function encode(table: RouteTable): string {
  return canonicalJson(table, (value) => value.reveal());
}

/** The table as JSON for a person (the admin port's dump, a bug report): credentials print as `[redacted]`. */
export function describeTable(table: RouteTable): string {
  return JSON.stringify(table, null, 2);
}

/** An entry that this reader does not take. */
export interface Refusal {
  readonly entry: EntryKind;
  /** The route's or key's `namespace/name`, the gateway's for settings; `#3` where an entry has no readable id. */
  readonly id: string;
  /** For a person: path inside the entry, the value, what is known here. Free of credentials. */
  readonly reason: string;
  /** Its last good version serves on; else it is absent. */
  readonly kept: boolean;
}

export interface Decoded {
  /** What can be served. Its digest is the sender's where nothing was refused, else that of what is in it. */
  readonly table: RouteTable;
  readonly refused: readonly Refusal[];
}

/**
 * Reads a table from parsed JSON. Entries refused keep the version that `lastGood` has of them. The whole table is refused (the
 * error) when its version is not ours, when it is not a table, or when its settings are refused and there are no last good ones.
 */
export function decode(value: unknown, lastGood: RouteTable | null = null): Result<Decoded, string> {
  const head = attempt(envelope, value);
  if (!head.ok) return err(`the route table is refused: ${head.error}`);
  const given = head.value;
  const refused: Refusal[] = [];
  const gatewayId = `${given.gateway.namespace}/${given.gateway.name}`;
  const last =
    lastGood !== null && lastGood.gateway.namespace === given.gateway.namespace && lastGood.gateway.name === given.gateway.name
      ? lastGood
      : null;

  const decodedSettings = attempt(settings, given.settings);
  let usedSettings: GatewaySettings;
  if (decodedSettings.ok) {
    usedSettings = decodedSettings.value;
  } else if (last !== null) {
    usedSettings = last.settings;
    refused.push({ entry: 'settings', id: gatewayId, reason: decodedSettings.error, kept: true });
  } else {
    return err(`the route table is refused: settings: ${decodedSettings.error}`);
  }

  const clientKeys = entries('clientKey', given.clientKeys, clientKey, 'sha256', last?.clientKeys ?? [], refused);
  const keys = unique('clientKey', clientKeys, 'sha256', refused);
  const routes = unique('route', entries('route', given.routes, checkedRoute, 'id', last?.routes ?? [], refused), 'id', refused);
  const endpoints = unique(
    'endpoints',
    entries('endpoints', given.endpoints, endpointsEntry, 'id', last?.endpoints ?? [], refused),
    'id',
    refused,
  );
  const digest =
    refused.length === 0 ? given.digest : tableDigest(given.gateway, usedSettings, { clientKeys: keys, endpoints, routes });
  const { gateway } = given;
  return ok({
    table: { version: ROUTE_TABLE_VERSION, gateway, settings: usedSettings, clientKeys: keys, routes, endpoints, digest },
    refused,
  });
}

/**
 * Decodes each entry alone; one that is refused is replaced by the last good entry of the same identity, where there is one. (A
 * key's identity is its hash: its id is the Secret's, which may hold several.)
 */
function entries<T extends Entry, K extends keyof T & string>(
  entry: EntryKind,
  values: readonly unknown[],
  decodeEntry: Decoder<T>,
  identity: K,
  lastGood: readonly T[],
  refused: Refusal[],
): readonly T[] {
  const taken: T[] = [];
  for (const [index, value] of values.entries()) {
    const decoded = attempt(decodeEntry, value);
    if (decoded.ok) {
      taken.push(decoded.value);
      continue;
    }
    const given = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
    const kept = lastGood.find((old) => old[identity] === given[identity]);
    if (kept !== undefined) taken.push(kept);
    refused.push({
      entry,
      id: typeof given['id'] === 'string' ? given['id'] : `#${index}`,
      reason: decoded.error,
      kept: kept !== undefined,
    });
  }
  return taken;
}

/** In canonical order; the first of two entries with one identity stays. */
function unique<T extends Entry, K extends keyof T & string>(
  entry: EntryKind,
  found: readonly T[],
  identity: K,
  refused: Refusal[],
): readonly T[] {
  const byIdentity = new Map<string, T>();
  for (const item of found) {
    const key = String(item[identity]);
    if (byIdentity.has(key))
      refused.push({ entry, id: item.id, reason: 'an entry before it in this table has the same identity', kept: false });
    else byIdentity.set(key, item);
  }
  return [...byIdentity].sort(([a], [b]) => byText(a, b)).map(([, item]) => item);
}

interface Entry {
  readonly id: string;
}

const json: Decoder<JsonValue> = (value) =>
  value === undefined ? refuse('a JSON value is needed, it is missing') : (value as JsonValue);
const secret: Decoder<SecretValue> = (value) => new SecretValue(text(value));
const credential: Decoder<SecretValue> = (value) => new SecretValue(line(value));

const baseUrl: Decoder<string> = shared((value) => {
  const found = line(value);
  if (!URL.canParse(found)) return refuse(`${JSON.stringify(found)} is not a URL`);
  const url = new URL(found);
  if (
    (url.protocol !== 'http:' && url.protocol !== 'https:') ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== '' ||
    found.endsWith('/')
  ) {
    return refuse('an http or https URL without user, query, fragment and trailing slash is needed');
  }
  return found;
});

const gatewayName = object<ObjectName>({ namespace: line, name: line });

const envelope = object<{
  version: number;
  gateway: ObjectName;
  settings: unknown;
  clientKeys: readonly unknown[];
  routes: readonly unknown[];
  endpoints: readonly unknown[];
  digest: string;
}>({
  version: oneOf(ROUTE_TABLE_VERSION),
  gateway: gatewayName,
  settings: (value) => value,
  clientKeys: list((value) => value),
  routes: list((value) => value),
  endpoints: orElse(
    list((value) => value),
    [],
  ),
  digest: line,
});

const trust = object<NonNullable<Target['tls']>>({ caPem: nullable(text), serverName: nullable(line) });

const redis = object<RedisSettings>({
  mode: oneOf('Standalone', 'Sentinel', 'Cluster'),
  address: object<RedisAddress>({
    nodes: list(object<RedisAddress['nodes'][number]>({ host: line, port: integer(1) })),
    tls: bool,
    username: nullable(text),
    password: nullable(secret),
    db: integer(0),
  }),
  masterName: nullable(line),
  trust: orElse(nullable(trust), null),
  onUnavailable: oneOf('FailOpen', 'FailClosed', 'LocalShare'),
});

const modelName = object<ModelName>({ value: text, wildcard: bool });

const pricing = shared(
  object<Pricing>({
    source: oneOf('Model', 'ConfigMap', 'BuiltIn'),
    tiers: list(
      object<PriceTier>({
        fromInputTokens: integer(0),
        inputPicoUsd: integer(0),
        cachedInputPicoUsd: integer(0),
        cacheWritePicoUsd: integer(0),
        cacheWriteHourPicoUsd: integer(0),
        outputPicoUsd: integer(0),
        reasoningPicoUsd: integer(0),
      }),
    ),
    requestNanoUsd: integer(0),
  }),
);

const priceOverride = object<PriceOverride>({ provider: nullable(oneOf(...PROVIDER_KINDS)), model: modelName, pricing });

const settings = object<GatewaySettings>({
  digest: line,
  port: integer(0),
  maxRequestBytes: integer(1),
  tls: nullable(object<NonNullable<GatewaySettings['tls']>>({ certificatePem: text, privateKeyPem: secret })),
  clientAuth: oneOf('APIKey', 'None'),
  upstreamAllow: list(line),
  drainTimeoutMs: number(0),
  maxConnectionAgeMs: orElse(number(1), 600_000),
  requestLog: oneOf('Off', 'Metadata', 'Full'),
  redis: orElse(nullable(redis), null),
  prices: orElse(list(priceOverride), []),
});

const clientKey = object<ClientKey>({
  digest: line,
  sha256: hexDigest,
  id: line,
  namespace: line,
  tenant: line,
  platform: bool,
  models: nullable(list(modelName)),
  expiresAtMs: nullable(number(0)),
});

const address: Decoder<string> = (value) =>
  /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5}$/.test(text(value))
    ? text(value)
    : refuse(`${JSON.stringify(value)} is not an address with its port`);

const endpointsEntry = object<Endpoints>({ digest: line, id: line, addresses: list(address), fallback: nullable(address) });

const accessKind = object<{ from: 'Same' | 'All' | 'Tenants' }>({ from: oneOf('Same', 'All', 'Tenants') });
const tenants = object<{ tenants: readonly string[] }>({ tenants: list(line) });
const access: Decoder<Access> = (value) => {
  const { from } = accessKind(value);
  return from === 'Tenants' ? { from, tenants: tenants(value).tenants } : { from };
};

const awsCredential = object<AwsCredential>({ region: line, accessKeyId: line, sessionToken: nullable(credential) });

const identityKind = object<{ kind: CloudIdentity['kind'] }>({
  kind: oneOf('EntraSecret', 'EntraWorkload', 'GcpKey', 'GcpMetadata', 'AwsPods'),
});
const entraSecret = object<Omit<Extract<CloudIdentity, { kind: 'EntraSecret' }>, 'kind'>>({
  tenantId: line,
  clientId: line,
  secret: credential,
});
const gcpKey = object<Omit<Extract<CloudIdentity, { kind: 'GcpKey' }>, 'kind'>>({
  clientEmail: line,
  keyId: line,
  privateKey: secret,
});
const awsPods = object<{ region: string }>({ region: line });
const identity: Decoder<CloudIdentity> = (value) => {
  const { kind } = identityKind(value);
  if (kind === 'EntraSecret') return { kind, ...entraSecret(value) };
  if (kind === 'AwsPods') return { kind, ...awsPods(value) };
  return kind === 'GcpKey' ? { kind, ...gcpKey(value) } : { kind };
};

const target = object<Target>({
  name: shared(line),
  provider: oneOf(...PROVIDER_KINDS),
  upstreamId: shared(line),
  credentialId: shared(line),
  baseUrl,
  endpoints: optional(line),
  trusted: bool,
  model: shared(nullable(line)),
  apiVersion: shared(nullable(line)),
  credential: nullable(object<Credential>({ header: shared(headerName), value: credential, aws: optional(awsCredential) })),
  identity: optional(identity),
  tls: nullable(trust),
  headers: list(pair(headerName, headerValue)),
  defaults: list(pair(text, json)),
  override: list(pair(text, json)),
  unsupported: oneOf('Reject', 'Drop'),
  capacity: shared(
    object<Target['capacity']>({
      requestsPerMinute: nullable(number(0)),
      tokensPerMinute: nullable(number(0)),
      concurrency: nullable(number(0)),
    }),
  ),
  pricing: nullable(pricing),
  capabilities: shared(
    object<Target['capabilities']>({
      tools: nullable(bool),
      jsonSchema: nullable(bool),
      vision: nullable(bool),
      contextTokens: nullable(number(0)),
      maxOutputTokens: nullable(number(0)),
    }),
  ),
});

const match = shared(
  object<Match>({
    headers: list(object<Match['headers'][number]>({ name: headerName, value: text })),
    tenant: nullable(text),
    path: nullable(text),
    stream: nullable(bool),
    tools: nullable(bool),
    jsonSchema: nullable(bool),
    images: nullable(bool),
    minPromptTokens: nullable(number(0)),
  }),
);

const targetIndexes = list(integer(0));

const failover = shared(
  object<FailoverPolicy>({
    maxAttempts: integer(1),
    timeouts: object<FailoverPolicy['timeouts']>({
      connectMs: number(1),
      firstTokenMs: number(1),
      idleMs: number(1),
      totalMs: number(1),
    }),
    reasons: list(
      oneOf(
        'ConnectFailure',
        'Timeout',
        'RateLimited',
        'QuotaExhausted',
        'Overloaded',
        'ServerError',
        'StreamBroken',
        'Auth',
        'NotFound',
      ),
    ),
    contentFilter: nullable(
      object<NonNullable<FailoverPolicy['contentFilter']>>({
        stages: list(oneOf('Prompt', 'Completion')),
        targets: targetIndexes,
      }),
    ),
    contextOverflow: nullable(object<NonNullable<FailoverPolicy['contextOverflow']>>({ targets: targetIndexes })),
  }),
);

const structuredOutput = object<StructuredOutput>({
  repair: bool,
  onInvalid: oneOf('Return', 'Failover'),
  holdStream: bool,
});

const rule = object<Rule>({
  name: text,
  matches: list(match),
  targets: list(shared(object<RuleTarget>({ target: integer(0), priority: integer(0), weight: number(0) }))),
  strategy: oneOf('Weighted', 'RoundRobin', 'LeastBusy'),
  failover,
  structuredOutput: optional(structuredOutput),
});

const scopeKind = object<{ kind: LimitScope['kind'] }>({ kind: oneOf('APIKey', 'Tenant', 'Route', 'Model', 'Header') });
const headerScope = object<{ name: string; maxValues: number }>({ name: headerName, maxValues: integer(1) });
const scope: Decoder<LimitScope> = (value) => {
  const { kind } = scopeKind(value);
  return kind === 'Header' ? { kind, ...headerScope(value) } : { kind };
};

const calendarShape = object<Calendar>({ period: oneOf(...CALENDAR_PERIODS), timeZone: line });
const calendar: Decoder<Calendar> = (value) => {
  const found = calendarShape(value);
  return isTimeZone(found.timeZone)
    ? found
    : refuse(`${JSON.stringify(found.timeZone)} is no time zone that is known here`, 'timeZone');
};

const limitShape = object<Limit>({
  name: shared(line),
  per: shared(list(scope)),
  quota: optional(line),
  unit: oneOf('Requests', 'Tokens', 'Concurrency', 'USD'),
  limit: integer(0),
  windowMs: nullable(number(1)),
  calendar: optional(calendar),
  downgradeTo: optional(integer(0)),
});
const limit: Decoder<Limit> = (value) => {
  const found = limitShape(value);
  const spans = (found.windowMs === null ? 0 : 1) + (found.calendar === undefined ? 0 : 1);
  const wanted = found.unit === 'Concurrency' ? 0 : 1;
  if (spans !== wanted)
    return refuse(`a limit of ${found.unit} ${wanted === 0 ? 'has no window' : 'needs a window or a calendar'}`, 'windowMs');
  return found;
};

const route = object<Route>({
  digest: line,
  id: line,
  namespace: line,
  name: line,
  modelNames: list(modelName),
  access,
  targets: list(target),
  rules: list(rule),
  limits: list(limit),
  cache: optional(object<NonNullable<Route['cache']>>({ ttlMs: integer(1), scope: oneOf('APIKey', 'Tenant', 'Route') })),
});

/** A route whose rules name only targets that it has: what reads it need not look. */
const checkedRoute: Decoder<Route> = (value) => {
  const found = route(value);
  for (const [index, { targets, failover: policy }] of found.rules.entries()) {
    const named = [
      ...targets.map((entry) => entry.target),
      ...(policy.contentFilter?.targets ?? []),
      ...(policy.contextOverflow?.targets ?? []),
    ];
    const beyond = named.find((at) => at >= found.targets.length);
    if (beyond !== undefined)
      return refuse(`target ${beyond} is not there, the route has ${found.targets.length}`, `rules[${index}]`);
  }
  return found;
};

/** How one entry is read; see `decode` for what becomes of one that is refused. */
export const ENTRY_DECODERS = { settings, clientKey, endpoints: endpointsEntry, route: checkedRoute } as const;

/** One entry's canonical JSON **with its credentials in clear**: for the channel to a gateway pod. */
export function encodeEntry(entry: Item): string {
  return canonicalJson(entry, (value) => value.reveal());
}
