import type { AuthFailure } from '../auth/client-keys.ts';
import type { Endpoint } from '../dialects/endpoints.ts';
import type { RequestFacts } from '../dialects/facts.ts';
import type { BodyError } from '../dialects/request-body.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Failure } from '../lib/failure.ts';
import { formatUsd } from '../lib/money.ts';
import type { Operation } from '../lib/operation.ts';
import type { Rejection } from '../limits/limiter.ts';
import type { Route } from '../routetable/types.ts';
import type { Plan } from '../selection/types.ts';
import { addLimitHeaders } from './answers.ts';
import type { Attempt } from './attempt.ts';
import type { ErrorCode, GatewayError } from './errors.ts';

/** From what happened to what a client reads: each function names the thing at fault and what would be right. */

const AUTH_CODES: Readonly<Record<AuthFailure['reason'], ErrorCode>> = {
  missing: 'missing_api_key',
  malformed: 'invalid_api_key',
  unknown: 'invalid_api_key',
  expired: 'expired_api_key',
};

export function authError(failure: AuthFailure): GatewayError {
  return { code: AUTH_CODES[failure.reason], message: failure.message, headers: ['www-authenticate', 'Bearer'] };
}

export function bodyError(error: BodyError): GatewayError {
  return { code: 'invalid_body', message: error.message, ...(error.param === null ? {} : { param: error.param }) };
}

export function endpointError(
  endpoint: Exclude<Endpoint, { kind: 'operation' | 'models' | 'model' | 'usage' | 'stored' }>,
  method: string,
): GatewayError {
  const path = JSON.stringify(endpoint.path.slice(0, 256));
  switch (endpoint.kind) {
    case 'not_found': {
      const meant = endpoint.suggestion === null ? '' : ` Did you mean ${endpoint.suggestion}?`;
      return { code: 'unknown_url', message: `Unknown request URL: ${method} ${path}.${meant}` };
    }
    case 'method_not_allowed':
      return {
        code: 'method_not_allowed',
        message: `${method} is not allowed on ${path}; use ${endpoint.allow}.`,
        headers: ['allow', endpoint.allow],
      };
    case 'not_implemented':
      return { code: 'not_implemented', message: `This gateway does not serve ${endpoint.feature} (${path}).` };
  }
}

export const SLOT_LOST: GatewayError = {
  code: 'limit_revoked',
  message: 'This gateway pod stood still for so long that the place of this request in a concurrency limit went to another one.',
};

export function limitError(rejection: Rejection): GatewayError {
  const scope = rejection.scope.length === 0 ? 'the route' : rejection.scope.join(' and ');
  const limit = `limit ${JSON.stringify(rejection.limitName)} (${rejection.unit === 'USD' ? formatUsd(rejection.limit) : rejection.limit} ${rejection.unit} per ${scope})`;
  const headers = ['x-fairlead-limit', rejection.limitName];
  addLimitHeaders(headers, rejection.remaining);
  if (rejection.impossible)
    return { code: 'request_exceeds_limit', message: `This request alone is larger than ${limit}.`, headers };
  return {
    code: 'rate_limit_exceeded',
    message: `Rate limit reached: ${limit}. Try again in ${formatDuration(Math.ceil(rejection.retryAfterMs))}.`,
    retryAfterMs: rejection.retryAfterMs,
    headers,
  };
}

/** Where the prompt is, if not in messages. */
const PROMPT_PARAMS: Readonly<Partial<Record<Operation, string>>> = {
  completions: 'prompt',
  responses: 'input',
  embeddings: 'input',
};

/** No target to try: the request asks for more than any can do, or the route has none. */
export function noCandidateError(plan: Plan, route: Route, facts: RequestFacts): GatewayError {
  if (plan.rule === -1)
    return { code: 'no_matching_rule', message: `The route ${route.id} has no rule that matches this request.` };
  if (plan.excluded.length === 0) {
    return {
      code: 'no_target',
      message: `Rule ${route.rules[plan.rule]?.name ?? ''} of route ${route.id} has no model that can serve; see the route's status.`,
      retryAfterMs: 5000,
    };
  }
  const why = plan.excluded.map(({ target, detail }) => `${route.targets[target]?.name ?? target}: ${detail}`).join('; ');
  const tooLong = plan.excluded.every(({ reason }) => reason === 'contextTokens');
  if (tooLong)
    return {
      code: 'context_length_exceeded',
      message: `The request does not fit into the context of any model: ${why}.`,
      param: PROMPT_PARAMS[facts.operation] ?? 'messages',
    };
  const param = plan.excluded.find((exclusion) => exclusion.param !== undefined)?.param;
  return {
    code: 'unsupported_request',
    message: `No model of ${JSON.stringify(facts.model)} can serve this request: ${why}.`,
    ...(param === undefined ? {} : { param }),
  };
}

/** Every attempt failed. The status follows the last failure, the message lists them all. */
export function exhaustedError(attempts: readonly Attempt[], last: Failure, operation: Operation): GatewayError {
  if (operation === 'files' && last.kind === 'not_found') {
    const name = attempts.at(-1)?.target.target.name ?? '';
    return { code: 'not_implemented', message: `The upstream of model ${name} keeps no files (HTTP ${last.status ?? 404}).` };
  }
  const tried = attempts.map((attempt) => `${attempt.target.target.name}: ${describe(attempt.failure)}`).join('; ');
  const message = `No model could answer. Tried ${attempts.length}: ${tried}.`;
  const waits = attempts.flatMap(({ failure }) =>
    failure !== null && 'retryAfterMs' in failure && failure.retryAfterMs !== null ? [failure.retryAfterMs] : [],
  );
  const retryAfter = waits.length === 0 ? {} : { retryAfterMs: Math.min(...waits) };
  return { code: exhaustedCode(last), message, ...retryAfter };
}

/** None of these is retryable: the gateway has retried as often as it makes sense, and a client that repeats it multiplies the load. */
export function exhaustedCode(last: Failure): ErrorCode {
  switch (last.kind) {
    case 'rate_limited':
      return 'upstream_rate_limited';
    case 'quota_exhausted':
      return 'insufficient_quota';
    case 'content_filtered':
      return 'content_filter';
    case 'context_exceeded':
      return 'context_length_exceeded';
    case 'payload_too_large':
      return 'request_too_large';
    case 'invalid_request':
    case 'conflict':
      return 'request_refused';
    case 'timeout':
      return 'upstream_timeout';
    case 'invalid_output':
      return 'invalid_structured_output';
    default:
      return 'upstream_failed';
  }
}

export function interruptedError(failure: Failure, { target: { target } }: Pick<Attempt, 'target'>): GatewayError {
  if (failure.kind === 'invalid_output')
    return {
      code: 'invalid_structured_output',
      message: `The answer of ${target.name} is not what the request's JSON schema asks for: ${failure.message}.`,
    };
  return {
    code: 'stream_interrupted',
    message: `The stream from ${target.name} broke after output had been sent: ${describe(failure)}.`,
  };
}

/** One failure in a few words; the upstream's own text only where it speaks of the request, not of the account behind it. */
export function describe(failure: Failure | null): string {
  if (failure === null) return 'no answer';
  switch (failure.kind) {
    case 'timeout':
    case 'network':
    case 'malformed':
    case 'invalid_output':
    case 'stream_broken':
    case 'invalid_request':
    case 'conflict':
    case 'context_exceeded':
    case 'payload_too_large':
      return `${failure.kind} (${failure.message})`;
    case 'content_filtered':
      return failure.categories.length === 0
        ? `content_filtered in the ${failure.phase}`
        : `content_filtered in the ${failure.phase} (${failure.categories.join(', ')})`;
    default:
      return failure.status === undefined ? failure.kind : `${failure.kind} (HTTP ${failure.status})`;
  }
}
