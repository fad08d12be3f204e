/**
 * The RouteTable: what compile makes of everything a user applied, and the only thing that control plane and data plane both
 * know. Immutable, self-contained (credentials, prices and references are resolved), nothing of Kubernetes in it.
 * Every list is in a canonical order, so equal input gives equal bytes whatever order it came in.
 */
import type { Calendar } from '../lib/calendar.ts';
import type { FailoverReason } from '../lib/failure.ts';
import type { RedisAddress } from '../lib/redis-url.ts';
import type { SecretValue } from '../lib/secret.ts';

/** Raised when a reader that does not know a change would serve it wrongly; additions do not raise it. */
export const ROUTE_TABLE_VERSION = 1;

export interface RouteTable {
  readonly version: typeof ROUTE_TABLE_VERSION;
  /** Identity of the LLMGateway this table is for. */
  readonly gateway: ObjectName;
  readonly settings: GatewaySettings;
  /** Sorted by `sha256`. */
  readonly clientKeys: readonly ClientKey[];
  /** Sorted by `id`. */
  readonly routes: readonly Route[];
  /** What targets name by `endpoints`; sorted by `id`. */
  readonly endpoints: readonly Endpoints[];
  /** Hash of all entries' digests; equal digests mean equal tables. */
  readonly digest: string;
}

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface GatewaySettings {
  readonly digest: string;
  readonly port: number;
  readonly maxRequestBytes: number;
  readonly tls: { readonly certificatePem: string; readonly privateKeyPem: SecretValue } | null;
  readonly clientAuth: 'APIKey' | 'None';
  /** Hosts, `*.suffix` hosts and CIDRs that may be reached beside the public internet. */
  readonly upstreamAllow: readonly string[];
  readonly drainTimeoutMs: number;
  /** How old a client's connection may become before an answer on it is the last. */
  readonly maxConnectionAgeMs: number;
  readonly requestLog: 'Off' | 'Metadata' | 'Full';
  /** null: each pod counts limits for itself. */
  readonly redis: RedisSettings | null;
  /** For targets whose model the client names; those that name one have their price already. In the user's order. */
  readonly prices: readonly PriceOverride[];
}

export interface PriceOverride {
  /** null: whoever serves it. */
  readonly provider: ProviderKind | null;
  readonly model: ModelName;
  readonly pricing: Pricing;
}

export interface RedisSettings {
  readonly mode: 'Standalone' | 'Sentinel' | 'Cluster';
  readonly address: RedisAddress;
  /** Sentinel only. */
  readonly masterName: string | null;
  /** Whom it must prove itself to be, where the address says TLS; null: by the public authorities and its host. */
  readonly trust: Target['tls'];
  /** What limits do while Redis is away. */
  readonly onUnavailable: 'FailOpen' | 'FailClosed' | 'LocalShare';
}

export interface ClientKey {
  readonly digest: string;
  /** Lower-case hex of the key's SHA-256. */
  readonly sha256: string;
  /** `namespace/name` of its Secret: what logs and metrics call it. */
  readonly id: string;
  readonly namespace: string;
  readonly tenant: string;
  /** True for a key of the gateway's own namespace. */
  readonly platform: boolean;
  /** Model names it may use, exact or with one trailing `*`; null: all that routes admit it to. */
  readonly models: readonly ModelName[] | null;
  /** Milliseconds since the epoch; null: never. */
  readonly expiresAtMs: number | null;
}

/**
 * The addresses behind one port of a Service. Apart from the routes that call it, so that pods which come and go change no route's
 * digest, and travel once however many routes there are.
 */
export interface Endpoints {
  readonly digest: string;
  /** `namespace/name:port`, the port as the Service calls it. */
  readonly id: string;
  /** `10.0.0.7:8000` or `[fd00::7]:8000`; sorted. Empty: none is ready. */
  readonly addresses: readonly string[];
  /** The Service's own address, for when none of `addresses` answers because they are out of date. null: it has none. */
  readonly fallback: string | null;
}

/** An exact name, or (`wildcard`) a prefix: `gpt-4o*` is `{value: 'gpt-4o', wildcard: true}`. */
export interface ModelName {
  readonly value: string;
  readonly wildcard: boolean;
}

/** Whose keys may call a route. `Same`: its own namespace's and platform keys. */
export type Access =
  | { readonly from: 'Same' }
  | { readonly from: 'All' }
  | { readonly from: 'Tenants'; readonly tenants: readonly string[] };

export interface Route {
  readonly digest: string;
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  /** The names this route owns, after conflicts were decided; sorted. */
  readonly modelNames: readonly ModelName[];
  readonly access: Access;
  /** The pool; rules refer to it by index. Models that cannot be served (missing Secret, …) are not in it. */
  readonly targets: readonly Target[];
  /** First match wins. */
  readonly rules: readonly Rule[];
  readonly limits: readonly Limit[];
  /** Absent: no answer is given twice. */
  readonly cache?: { readonly ttlMs: number; readonly scope: 'APIKey' | 'Tenant' | 'Route' };
}

export const PROVIDER_KINDS = [
  'OpenAI',
  'AzureOpenAI',
  'OpenAICompatible',
  'Anthropic',
  'Gemini',
  'VertexAI',
  'Bedrock',
  'Mistral',
  'Cohere',
] as const;

export type ProviderKind = (typeof PROVIDER_KINDS)[number];

export interface Target {
  /** The entry's name in `spec.models`. */
  readonly name: string;
  readonly provider: ProviderKind;
  /**
   * Identity of what answers (base URL and deployment; own TLS trust makes it another): health and statistics are kept by it,
   * shared by every route that names it. Readable, free of secrets.
   */
  readonly upstreamId: string;
  /** `upstreamId` and a digest of the credential: rate-limit cool-downs are kept by it. */
  readonly credentialId: string;
  /** Absolute http(s) URL without trailing slash, e.g. `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  /** Id of the `Endpoints` that are called instead of what the URL's host resolves to. */
  readonly endpoints?: string;
  /** True where the host is inside the cluster or allowed by name, so the private-address check does not apply. */
  readonly trusted: boolean;
  /** The upstream's name of the model or Azure's deployment; null: the client's name goes through. */
  readonly model: string | null;
  /** AzureOpenAI only: `2024-10-21`, or null for the `/openai/v1` form. */
  readonly apiVersion: string | null;
  /** null: no credential is sent. `header` is lower case; with `authorization` the value goes as `Bearer …`. */
  readonly credential: Credential | null;
  /** Instead of a credential: a token of this identity goes with each call as `authorization`, or its keys sign the call. */
  readonly identity?: CloudIdentity;
  readonly tls: { readonly caPem: string | null; readonly serverName: string | null } | null;
  /** Sent upstream as they are; names lower case, sorted. */
  readonly headers: readonly (readonly [string, string])[];
  /** Request parameters: `defaults` where the client gave none, `override` always. Top-level JSON members, sorted by key. */
  readonly defaults: readonly (readonly [string, JsonValue])[];
  readonly override: readonly (readonly [string, JsonValue])[];
  readonly unsupported: 'Reject' | 'Drop';
  readonly capacity: {
    readonly requestsPerMinute: number | null;
    readonly tokensPerMinute: number | null;
    readonly concurrency: number | null;
  };
  /** What its tokens cost; null: unknown, and so is the cost. With `model: null` what the client names decides (`src/prices`). */
  readonly pricing: Pricing | null;
  /** null: unknown, so no request is kept away from it. */
  readonly capabilities: {
    readonly tools: boolean | null;
    readonly jsonSchema: boolean | null;
    readonly vision: boolean | null;
    readonly contextTokens: number | null;
    readonly maxOutputTokens: number | null;
  };
}

/** Whole numbers throughout, so that sums are exact and the same on every pod. */
export interface Pricing {
  /** Who says so: the model's own `pricing`, the gateway's ConfigMap, or the list that is built in. */
  readonly source: 'Model' | 'ConfigMap' | 'BuiltIn';
  /** By `fromInputTokens`, which rise; the first is 0. All of a request is priced by the last one that its input reaches. */
  readonly tiers: readonly PriceTier[];
  /** Nano-USD for each request beside its tokens. */
  readonly requestNanoUsd: number;
}

/** Pico-USD a token: a dollar a million tokens is a million of these. */
export interface PriceTier {
  readonly fromInputTokens: number;
  readonly inputPicoUsd: number;
  readonly cachedInputPicoUsd: number;
  /** Written into the provider's prompt cache, to be kept for the usual time, or for an hour. */
  readonly cacheWritePicoUsd: number;
  readonly cacheWriteHourPicoUsd: number;
  readonly outputPicoUsd: number;
  /** Output that was thought and not told. */
  readonly reasoningPicoUsd: number;
}

export interface Credential {
  /** With `aws`: where the signature goes; `value` is then the secret key that signs, and is never sent. */
  readonly header: string;
  readonly value: SecretValue;
  /** Bedrock only: calls are signed instead of carrying the value. */
  readonly aws?: AwsCredential;
}

/** Who asks a cloud for access tokens, or for keys to sign with. `EntraWorkload`, `GcpMetadata` and `AwsPods` are the pods themselves. */
export type CloudIdentity =
  | { readonly kind: 'EntraSecret'; readonly tenantId: string; readonly clientId: string; readonly secret: SecretValue }
  | { readonly kind: 'EntraWorkload' }
  | { readonly kind: 'GcpKey'; readonly clientEmail: string; readonly keyId: string; readonly privateKey: SecretValue }
  | { readonly kind: 'GcpMetadata' }
  | { readonly kind: 'AwsPods'; readonly region: string };

export interface AwsCredential {
  readonly region: string;
  readonly accessKeyId: string;
  /** null: the key is not a temporary one. */
  readonly sessionToken: SecretValue | null;
}

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface Rule {
  readonly name: string;
  /** Any of them; empty: every request. */
  readonly matches: readonly Match[];
  /** Sorted by priority, then in the user's order. */
  readonly targets: readonly RuleTarget[];
  readonly strategy: 'Weighted' | 'RoundRobin' | 'LeastBusy';
  readonly failover: FailoverPolicy;
  /** What is made of answers to requests with a JSON schema; absent: they are not looked at. */
  readonly structuredOutput?: StructuredOutput;
}

export interface StructuredOutput {
  readonly repair: boolean;
  readonly onInvalid: 'Return' | 'Failover';
  /** Streams are held until they are known to be as asked for. */
  readonly holdStream: boolean;
}

/** All that are given must hold. Header names are lower case; header values are compared exactly. */
export interface Match {
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly tenant: string | null;
  readonly path: string | null;
  readonly stream: boolean | null;
  readonly tools: boolean | null;
  readonly jsonSchema: boolean | null;
  readonly images: boolean | null;
  readonly minPromptTokens: number | null;
}

export interface RuleTarget {
  /** Index into `Route.targets`. */
  readonly target: number;
  /** All of a lower number go first. */
  readonly priority: number;
  /** Share within its priority; 0: only when nothing else of the tier can serve. */
  readonly weight: number;
}

export interface FailoverPolicy {
  readonly maxAttempts: number;
  readonly timeouts: {
    readonly connectMs: number;
    readonly firstTokenMs: number;
    readonly idleMs: number;
    readonly totalMs: number;
  };
  /** Sorted. */
  readonly reasons: readonly FailoverReason[];
  /** Target indexes, in the user's order; null: mode Return. */
  readonly contentFilter: { readonly stages: readonly ('Prompt' | 'Completion')[]; readonly targets: readonly number[] } | null;
  readonly contextOverflow: { readonly targets: readonly number[] } | null;
}

export type LimitScope =
  | { readonly kind: 'APIKey' | 'Tenant' | 'Route' | 'Model' }
  | { readonly kind: 'Header'; readonly name: string; readonly maxValues: number };

export interface Limit {
  /** `namespace/name` of the LLMQuota that it is of, counted over all routes that it limits; absent: the route's own. */
  readonly quota?: string;
  readonly name: string;
  /** Counted separately for each combination; empty: one counter for the route. */
  readonly per: readonly LimitScope[];
  readonly unit: 'Requests' | 'Tokens' | 'Concurrency' | 'USD';
  /** An integer; of USD in nano-USD. */
  readonly limit: number;
  /** null exactly for Concurrency and with `calendar`. */
  readonly windowMs: number | null;
  /** Counting begins anew with each period; never for Concurrency. */
  readonly calendar?: Calendar;
  /** Index into `Route.targets`: what answers a request beyond the limit. Absent: it is refused. */
  readonly downgradeTo?: number;
}
