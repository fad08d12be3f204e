/** An upstream's refusal of the request itself in words that every client dialect has a place for. */
import type { ClientError } from '../../dialects/client-error.ts';
import type { Failure } from '../../lib/failure.ts';

/** Code and type as OpenAI has them; other dialects have theirs by the type. */
const WORDS: Readonly<Partial<Record<Failure['kind'], readonly [type: string, code: string | null]>>> = {
  content_filtered: ['invalid_request_error', 'content_filter'],
  context_exceeded: ['invalid_request_error', 'context_length_exceeded'],
  payload_too_large: ['invalid_request_error', 'request_too_large'],
  rate_limited: ['rate_limit_error', 'rate_limit_exceeded'],
  quota_exhausted: ['insufficient_quota', 'insufficient_quota'],
  auth: ['authentication_error', null],
  permission: ['permission_error', null],
  not_found: ['not_found_error', null],
  overloaded: ['overloaded_error', null],
};

export function clientErrorOf(failure: Failure): ClientError {
  const [type, code] = WORDS[failure.kind] ?? ['invalid_request_error', failure.code ?? null];
  return { message: failure.message, type, code, param: null };
}
