/** From an error's facts to a `Failure`: one ordered list of rules a provider, the first that fits decides. */
import type { Failure, RateLimitScope } from '../../lib/failure.ts';
import type { AnswerHeaders } from '../provider.ts';
import { NO_FACTS, type ErrorFacts } from './error-facts.ts';
import { redactMessage } from './redact.ts';
import { retryAfterMs } from './retry-after.ts';

/** What a rule decides; the details (phase, scope, retry) are read from the facts and headers. */
export type Verdict =
  | 'prompt_filtered'
  | 'completion_filtered'
  /** On which side is not said. */
  | 'filtered'
  | 'rate_limited'
  /** A single request larger than the whole limit: rate_limited, but waiting does not help it. */
  | 'larger_than_limit'
  | 'quota_exhausted'
  | 'context_exceeded'
  | 'payload_too_large'
  | 'invalid_request'
  | 'conflict'
  | 'auth'
  | 'permission'
  | 'not_found'
  | 'overloaded'
  | 'server_error'
  | 'timeout'
  | 'malformed';

/** All conditions that are given must hold. */
export interface ErrorRule {
  readonly status?: readonly number[];
  /** One of these is among the facts' names (lower case). */
  readonly names?: readonly string[];
  readonly param?: RegExp;
  /** Anchored at the beginning: text further in may be the user's own. */
  readonly message?: RegExp;
  /** A filter named categories. */
  readonly categories?: true;
  readonly verdict: Verdict;
}

export interface ErrorOrigin {
  /** HTTP status of the answer, 200 for an error that came in a stream or under a success. */
  readonly httpStatus: number;
  readonly headers: AnswerHeaders;
  /** Output had already been read when the error came. */
  readonly outputSeen: boolean;
  /** The credential that was sent, so that it can be kept out of the message; ''. */
  readonly secret: string;
}

const MAX_CODE_CHARS = 64;

const FILTERED_PHASES = { prompt_filtered: 'prompt', completion_filtered: 'completion', filtered: 'unknown' } as const;

/** The status that decides: HTTP's where it is an error's, else what the body says of itself; 0: neither. */
function decidingStatus(facts: ErrorFacts, httpStatus: number): number {
  return httpStatus >= 300 ? httpStatus : facts.bodyStatus;
}

export function matchRule(rules: readonly ErrorRule[], facts: ErrorFacts, httpStatus: number): ErrorRule | undefined {
  const status = decidingStatus(facts, httpStatus);
  return rules.find((rule) => fits(rule, facts, status));
}

function fits(rule: ErrorRule, facts: ErrorFacts, status: number): boolean {
  if (rule.status !== undefined && !rule.status.includes(status)) return false;
  if (rule.names !== undefined && !rule.names.some((name) => facts.names.includes(name))) return false;
  if (rule.param !== undefined && !rule.param.test(facts.param)) return false;
  if (rule.message !== undefined && !rule.message.test(facts.message)) return false;
  return rule.categories === undefined || facts.categories.length > 0;
}

/** `rules` must be total for statuses from 400; an error of no known status or name is the upstream's own (server_error). */
export function classifyError(rules: readonly ErrorRule[], facts: ErrorFacts, origin: ErrorOrigin): Failure {
  const verdict = matchRule(rules, facts, origin.httpStatus)?.verdict ?? 'server_error';
  return failureOf(verdict, facts, origin);
}

export function failureOf(verdict: Verdict, facts: ErrorFacts, origin: ErrorOrigin): Failure {
  const code = redactMessage(facts.code, origin.secret).slice(0, MAX_CODE_CHARS);
  const base = {
    status: origin.httpStatus,
    message: redactMessage(facts.message === '' ? wordless(origin.httpStatus) : facts.message, origin.secret),
    ...(code === '' ? {} : { code }),
  };
  // Headers of a success only describe what is left; they say nothing of when to come back.
  const headers = origin.httpStatus >= 400 ? origin.headers : null;
  switch (verdict) {
    case 'prompt_filtered':
    case 'completion_filtered':
    case 'filtered': {
      const phase = facts.filteredPhase ?? FILTERED_PHASES[verdict];
      return { ...base, kind: 'content_filtered', phase: origin.outputSeen ? 'mid_stream' : phase, categories: facts.categories };
    }
    case 'rate_limited': {
      const scope = rateLimitScope(facts, headers);
      return { ...base, kind: 'rate_limited', scope, retryAfterMs: retryAfterMs(headers, scope, facts) };
    }
    case 'larger_than_limit':
      return { ...base, kind: 'rate_limited', scope: rateLimitScope(facts, headers), retryAfterMs: null, permanent: true };
    case 'quota_exhausted':
      // A hint in the body is about the minute, not about the money or the day.
      return { ...base, kind: verdict, retryAfterMs: retryAfterMs(headers, 'unknown', NO_FACTS) };
    case 'overloaded':
      return { ...base, kind: verdict, retryAfterMs: retryAfterMs(headers, 'unknown', facts) };
    case 'timeout':
      return { ...base, kind: 'timeout', phase: origin.httpStatus >= 400 ? 'headers' : 'total' };
    case 'context_exceeded':
    case 'payload_too_large':
    case 'invalid_request':
    case 'conflict':
    case 'auth':
    case 'permission':
    case 'not_found':
    case 'server_error':
    case 'malformed':
      return { ...base, kind: verdict };
  }
}

function wordless(httpStatus: number): string {
  return httpStatus >= 300 ? `HTTP ${httpStatus} without a message` : 'an error without a message';
}

/** Which limit was hit: by name first, then by which allowance the headers say is empty, then by the provider's wording. */
function rateLimitScope(facts: ErrorFacts, headers: AnswerHeaders | null): RateLimitScope {
  // OpenAI, Groq: `type: tokens | requests`. Cerebras: `token_quota_exceeded`, `request_quota_exceeded`.
  for (const name of facts.names) {
    if (name === 'tokens' || name === 'token_quota_exceeded') return 'tokens';
    if (name === 'requests' || name === 'request_quota_exceeded') return 'requests';
  }
  if (headers !== null) {
    if (headers['x-ratelimit-remaining-tokens'] === '0') return 'tokens';
    if (headers['x-ratelimit-remaining-requests'] === '0') return 'requests';
  }
  if (/\btoken rate limit\b|\btokens? per (?:min|minute|day|second|month)\b|\bTP[MDS]\b/i.test(facts.message)) return 'tokens';
  if (
    /\b(?:call|request) rate limit\b|\b(?:requests?|queries) per (?:min|minute|day|second|month)\b|\bRP[MDS]\b/i.test(
      facts.message,
    )
  )
    return 'requests';
  // Bedrock's ThrottlingException.
  if (/^Too many tokens\b/.test(facts.message)) return 'tokens';
  if (/^Too many requests\b/.test(facts.message)) return 'requests';
  return /\bconcurren(?:t|cy)\b/i.test(facts.message) ? 'concurrency' : 'unknown';
}

/**
 * What HTTP itself says, for errors whose body says nothing better: the last rows of every provider's table.
 * https://www.rfc-editor.org/rfc/rfc9110.html#name-status-codes unless another source is named.
 */
export const STATUS_RULES: readonly ErrorRule[] = [
  { status: [401], verdict: 'auth' },
  { status: [402], verdict: 'quota_exhausted' },
  { status: [403], verdict: 'permission' },
  // A redirect is not followed: what was asked for is not at this address.
  { status: [300, 301, 302, 303, 307, 308, 404, 405, 410], verdict: 'not_found' },
  // 522, 524: Cloudflare gave up waiting, https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
  { status: [408, 504, 522, 524], verdict: 'timeout' },
  { status: [409], verdict: 'conflict' },
  { status: [413], verdict: 'payload_too_large' },
  // 424: the model behind an Azure endpoint failed, https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
  // 499: someone between the upstream and us hung up.
  { status: [424, 499], verdict: 'server_error' },
  { status: [429], verdict: 'rate_limited' },
  // 529: Anthropic and those who copied it, fixture anthropic/messages-529-overloaded-doc
  { status: [503, 529], verdict: 'overloaded' },
  { status: range(500, 599), verdict: 'server_error' },
  { status: range(400, 499), verdict: 'invalid_request' },
];

/** For errors without a status (in a stream, under a 200): the type alone decides. Anthropic's and OpenAI's generic types. */
export const TYPE_RULES: readonly ErrorRule[] = [
  // https://docs.claude.com/en/api/errors, which OpenAI-compatible servers took over
  { names: ['authentication_error'], verdict: 'auth' },
  { names: ['permission_error'], verdict: 'permission' },
  { names: ['not_found_error', 'notfounderror'], verdict: 'not_found' },
  { names: ['rate_limit_error', 'rate_limited', 'too_many_requests'], verdict: 'rate_limited' },
  { names: ['timeout_error', 'timeout', 'gateway_timeout'], verdict: 'timeout' },
  { names: ['billing_error'], verdict: 'quota_exhausted' },
  { names: ['request_too_large'], verdict: 'payload_too_large' },
  // https://platform.openai.com/docs/guides/error-codes; vLLM's ErrorResponse names its Python exception
  { names: ['invalid_request_error', 'badrequesterror', 'validation', 'invalid_argument'], verdict: 'invalid_request' },
];

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
