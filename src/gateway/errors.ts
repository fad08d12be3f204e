/**
 * What a client sees when the gateway itself answers: one table, from which the reference in docs/ is generated. The shape is
 * OpenAI's (`{"error": {message, type, param, code}}`), so every client library raises its own typed error for it.
 */
export interface ErrorSpec {
  readonly status: number;
  /** OpenAI's error type. */
  readonly type: string;
  /** Whether the client may usefully send the same request again; sent as `x-should-retry`, which OpenAI's clients obey. */
  readonly retryable: boolean;
  /** When it happens, for the reference. */
  readonly meaning: string;
}

export const GATEWAY_ERRORS = {
  missing_api_key: {
    status: 401,
    type: 'authentication_error',
    retryable: false,
    meaning: 'No client key was sent, and this gateway asks for one.',
  },
  invalid_api_key: {
    status: 401,
    type: 'authentication_error',
    retryable: false,
    meaning: 'The client key is malformed or not known.',
  },
  expired_api_key: { status: 401, type: 'authentication_error', retryable: false, meaning: 'The client key has expired.' },
  unknown_url: { status: 404, type: 'invalid_request_error', retryable: false, meaning: 'The path is not one of the API.' },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The path exists, the method does not.',
  },
  not_implemented: {
    status: 501,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'A path or feature of the API that this gateway does not serve; the message names it.',
  },
  previous_response_not_found: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning:
      'No upstream that the model leads to is known to keep the response that `previous_response_id` names, for this tenant.',
  },
  response_not_found: {
    status: 404,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'No upstream is known to keep a response of this id for this tenant.',
  },
  file_not_found: {
    status: 404,
    type: 'invalid_request_error',
    retryable: false,
    meaning:
      'No upstream that the model leads to is known to keep a file of this id for this tenant; or a request names files that several accounts keep.',
  },
  batch_not_found: {
    status: 404,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'No upstream is known to keep a batch of this id for this tenant.',
  },
  kept_objects_unavailable: {
    status: 503,
    type: 'server_error',
    retryable: true,
    meaning: 'Which upstream keeps a response, a file or a batch is kept in Redis, which does not answer right now.',
  },
  bad_request: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The request is not HTTP as a client should send it.',
  },
  invalid_body: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The body is not what the path takes; the message says what is wrong and `param` names the member.',
  },
  request_too_large: {
    status: 413,
    type: 'invalid_request_error',
    retryable: false,
    meaning: "The body is larger than the listener's `maxRequestBytes`.",
  },
  unsupported_encoding: {
    status: 415,
    type: 'invalid_request_error',
    retryable: false,
    meaning: "The body's `content-encoding` is not one that is read (gzip, deflate, br, zstd).",
  },
  model_not_found: {
    status: 404,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'No route that the caller may use has this model name.',
  },
  model_not_allowed: {
    status: 403,
    type: 'permission_error',
    retryable: false,
    meaning: 'The client key is limited to other models.',
  },
  no_matching_rule: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The route has no rule for this request.',
  },
  unsupported_request: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'No model of the route can do what the request asks for; the message says why for each.',
  },
  invalid_structured_output: {
    status: 502,
    type: 'upstream_error',
    retryable: false,
    meaning: "No model gave an answer that meets the request's JSON schema, and the route asks for one (`structuredOutput`).",
  },
  context_length_exceeded: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The prompt is too long for every model of the route.',
  },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    retryable: true,
    meaning: 'A limit of the route is used up; the message names it and `retry-after-ms` says when it is free again.',
  },
  limits_unavailable: {
    status: 503,
    type: 'server_error',
    retryable: true,
    meaning:
      'Limits are shared over Redis, it does not answer, and the gateway is set to serve nothing meanwhile (`onUnavailable: FailClosed`).',
  },
  limit_revoked: {
    status: 503,
    type: 'server_error',
    retryable: true,
    meaning: 'The pod was paused for longer than its places in a concurrency limit were kept for it.',
  },
  request_exceeds_limit: {
    status: 429,
    type: 'rate_limit_error',
    retryable: false,
    meaning: 'The request alone is larger than a limit allows in a whole window.',
  },
  upstream_rate_limited: {
    status: 429,
    type: 'rate_limit_error',
    retryable: false,
    meaning: 'Every model that could answer is rate limited by its provider.',
  },
  insufficient_quota: {
    status: 429,
    type: 'insufficient_quota',
    retryable: false,
    meaning: 'The provider account behind every model that could answer has no money or allowance left.',
  },
  content_filter: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'Every model that the route allows for filtered requests refused this one too.',
  },
  request_refused: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The provider says, in the midst of an answer, that the request itself is wrong; the message quotes it.',
  },
  upstream_failed: {
    status: 502,
    type: 'upstream_error',
    retryable: false,
    meaning: 'Every attempt failed; the message lists them.',
  },
  upstream_timeout: {
    status: 504,
    type: 'upstream_error',
    retryable: false,
    meaning: 'Every attempt failed, the last by a deadline of the route; the message lists them.',
  },
  no_target: {
    status: 503,
    type: 'upstream_error',
    retryable: true,
    meaning: 'The route has no model that can serve, because of its configuration.',
  },
  overloaded: {
    status: 503,
    type: 'overloaded_error',
    retryable: true,
    meaning: 'This gateway pod is at its bound of work or of buffered bytes and sheds new requests.',
  },
  shutting_down: {
    status: 503,
    type: 'overloaded_error',
    retryable: true,
    meaning: 'This gateway pod is ending; another one will answer.',
  },
  stream_interrupted: {
    status: 502,
    type: 'upstream_error',
    retryable: false,
    meaning: 'A stream broke after output had flowed; sent as an error event inside the stream.',
  },
  internal_error: {
    status: 500,
    type: 'api_error',
    retryable: true,
    meaning: 'A fault of the gateway; its log has the request id.',
  },
} as const satisfies Readonly<Record<string, ErrorSpec>>;

export type ErrorCode = keyof typeof GATEWAY_ERRORS;

/** An answer of the gateway's own. A value, not thrown. */
export interface GatewayError {
  readonly code: ErrorCode;
  readonly message: string;
  /** The request's member at fault. */
  readonly param?: string;
  readonly retryAfterMs?: number;
  /** Further headers, flat. */
  readonly headers?: readonly string[];
}

/** OpenAI's error object. */
export interface ErrorObject {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
}

export function errorObject(error: GatewayError): ErrorObject {
  return { message: error.message, type: GATEWAY_ERRORS[error.code].type, param: error.param ?? null, code: error.code };
}
