import { isRecord } from './json.ts';
import type { FailureCause, KubeFailure, KubeFailureKind } from './outcome.ts';

/** No wait that a server asks for is obeyed beyond this: it would look like an outage. */
const MAX_RETRY_AFTER_MS = 60_000;
const MAX_MESSAGE = 1024;
/** How server-side apply refuses a field of the wrong type, with status 500: no later attempt would do better. */
const WRONG_TYPE = 'failed to create typed patch object';

/**
 * Reads what the API server answers instead of a value: an HTTP status and, mostly, a `Status` object. `what` names the call.
 */
export function failureOf(status: number, body: unknown, retryAfter: string | undefined, what: string): KubeFailure {
  const answer = isRecord(body) && body['kind'] === 'Status' ? body : {};
  const details = isRecord(answer['details']) ? answer['details'] : {};
  const said = typeof answer['message'] === 'string' ? answer['message'] : typeof body === 'string' ? body.trim() : '';
  const retryAfterMs = retryAfterOf(retryAfter, details['retryAfterSeconds']);
  const causes = causesOf(details['causes']);
  return {
    kind: said.startsWith(WRONG_TYPE) ? 'invalid' : kindOf(status, answer['reason'], details),
    status,
    message: `${what}: ${status}${said === '' ? '' : ` ${said.slice(0, MAX_MESSAGE)}`}`,
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

function kindOf(status: number, reason: unknown, details: Readonly<Record<string, unknown>>): KubeFailureKind {
  switch (status) {
    case 400:
    case 405:
    case 413:
    case 415:
    case 422:
      return 'invalid';
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      // Of a path that is served, the answer names the object that is not there.
      return typeof details['name'] === 'string' && details['name'] !== '' ? 'not_found' : 'absent';
    case 409:
      return reason === 'AlreadyExists' ? 'already_exists' : 'conflict';
    case 410:
      return 'gone';
    case 429:
      return 'throttled';
    default:
      return status >= 500 ? 'unavailable' : 'malformed';
  }
}

/** Seconds, in the header or in the `Status`; the larger where both speak. A date is none of Kubernetes. */
function retryAfterOf(header: string | undefined, detail: unknown): number | null {
  const seconds = [header === undefined || header.trim() === '' ? Number.NaN : Number(header), Number(detail)].filter(
    (value) => Number.isFinite(value) && value >= 0,
  );
  return seconds.length === 0 ? null : Math.min(Math.max(...seconds) * 1000, MAX_RETRY_AFTER_MS);
}

function causesOf(causes: unknown): FailureCause[] {
  if (!Array.isArray(causes)) return [];
  return causes
    .filter(isRecord)
    .map(({ field, reason, message }) => ({ field: text(field), reason: text(reason), message: text(message) }));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
