/**
 * What went wrong with one upstream call, as its provider's `failure.ts` classified it. Failover, health and metrics are
 * keyed on `kind`, never on a status code or on message text.
 */
/** `unknown`: something was filtered, and the provider does not say on which side. */
export type FilterPhase = 'prompt' | 'completion' | 'mid_stream' | 'unknown';
export type TimeoutPhase = 'connect' | 'headers' | 'first_token' | 'idle' | 'total';
export type RateLimitScope = 'requests' | 'tokens' | 'concurrency' | 'unknown';

/** Facts every failure carries; `message` is the upstream's own text, cut to 512 characters, with account names and keys redacted. */
interface FailureBase {
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  /** The provider's own code, e.g. `insufficient_quota`. */
  readonly code?: string;
  readonly message: string;
}

export type Failure = FailureBase &
  /** `permanent`: this one request is larger than the whole limit. Waiting does not help it, and others are not in its way. */
  (
    | {
        readonly kind: 'rate_limited';
        readonly scope: RateLimitScope;
        readonly retryAfterMs: number | null;
        readonly permanent?: true;
      }
    /** Money or a monthly allowance is used up: waiting does not help. */
    | { readonly kind: 'quota_exhausted'; readonly retryAfterMs: number | null }
    | { readonly kind: 'content_filtered'; readonly phase: FilterPhase; readonly categories: readonly string[] }
    /** The model itself declined (a `refusal` field), no filter was involved. */
    | { readonly kind: 'refusal' }
    | { readonly kind: 'context_exceeded' }
    | { readonly kind: 'payload_too_large' }
    | { readonly kind: 'invalid_request' }
    | { readonly kind: 'conflict' }
    | { readonly kind: 'auth' }
    | { readonly kind: 'permission' }
    | { readonly kind: 'not_found' }
    | { readonly kind: 'overloaded'; readonly retryAfterMs: number | null }
    | { readonly kind: 'server_error' }
    | { readonly kind: 'timeout'; readonly phase: TimeoutPhase }
    /** No HTTP answer: refused, reset, DNS, TLS. `connecting`: the request was never sent. */
    | { readonly kind: 'network'; readonly connecting: boolean }
    | { readonly kind: 'malformed' }
    /** The answer is not what the client's JSON schema asks for, and the route wants it to be. */
    | { readonly kind: 'invalid_output' }
    /** A stream that ended without a finish reason, or broke. `sentBytes`: output that had already reached the client. */
    | { readonly kind: 'stream_broken'; readonly sentBytes: number }
    | { readonly kind: 'client_gone' }
  );

export type FailureKind = Failure['kind'];

/** The reasons a route can list in `failover.reasons`. */
export type FailoverReason =
  | 'ConnectFailure'
  | 'Timeout'
  | 'RateLimited'
  | 'QuotaExhausted'
  | 'Overloaded'
  | 'ServerError'
  | 'StreamBroken'
  | 'Auth'
  | 'NotFound';

/**
 * The one table that says which failover reason a failure answers to. `null`: no other target would do better, or
 * (content_filtered, context_exceeded, invalid_output) a rule of its own decides.
 */
export const FAILOVER_REASON: Readonly<Record<FailureKind, FailoverReason | null>> = {
  rate_limited: 'RateLimited',
  quota_exhausted: 'QuotaExhausted',
  content_filtered: null,
  refusal: null,
  context_exceeded: null,
  payload_too_large: null,
  invalid_request: null,
  conflict: null,
  auth: 'Auth',
  permission: 'Auth',
  not_found: 'NotFound',
  overloaded: 'Overloaded',
  server_error: 'ServerError',
  timeout: 'Timeout',
  network: 'ConnectFailure',
  malformed: 'ServerError',
  invalid_output: null,
  stream_broken: 'StreamBroken',
  client_gone: null,
};
