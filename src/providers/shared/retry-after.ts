/**
 * When an upstream that is limited or overloaded wants to be asked again. Read only from answers that are errors: the same
 * headers on a success only describe what is left.
 */
import type { AnswerHeaders } from '../provider.ts';
import type { RateLimitScope } from '../../lib/failure.ts';

/** Azure has said 86400 s; nothing is gained by believing more than this, and a target would be lost for the day. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/** A reset that lies further ahead than this is a point in time (Unix epoch), not a duration in seconds. */
const MIN_EPOCH_SECONDS = 1_000_000_000;
const MIN_EPOCH_MS = 1_000_000_000_000;

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * From the most exact to the vaguest: `retry-after-ms` (OpenAI, Azure), `retry-after` as seconds or HTTP date (RFC 9110 10.2.3),
 * the reset of the limit that was hit (`x-ratelimit-reset-requests: 6m0s`), what the body says in structure, and last what the message says. null: no word of it.
 */
export function retryAfterMs(
  headers: AnswerHeaders | null,
  scope: RateLimitScope,
  said: { readonly message: string; readonly retryDelayMs: number | null },
): number | null {
  const ms = headers === null ? null : headerRetryAfterMs(headers, scope);
  const found = ms ?? said.retryDelayMs ?? messageRetryAfterMs(said.message);
  return found === null ? null : Math.min(Math.ceil(found), MAX_RETRY_AFTER_MS);
}

function headerRetryAfterMs(headers: AnswerHeaders, scope: RateLimitScope): number | null {
  const { date } = headers;
  return (
    plainNumber(headers['retry-after-ms']) ??
    retryAfterHeaderMs(headers['retry-after'], date) ??
    (scope === 'requests' || scope === 'tokens' ? resetMs(headers[`x-ratelimit-reset-${scope}`], date) : null) ??
    resetMs(headers['x-ratelimit-reset'], date)
  );
}

function retryAfterHeaderMs(value: string | undefined, date: string | undefined): number | null {
  if (value === undefined) return null;
  const seconds = plainNumber(value);
  if (seconds !== null) return seconds * 1000;
  const dateMs = parseHttpDateMs(value);
  return dateMs === null ? parseDurationMs(value) : untilMs(dateMs, date);
}

/**
 * Until a reset that is told as seconds, as a duration or as a point in time (Unix seconds or milliseconds, RFC 3339). `date`: the
 * answer's own; without it no point in time says anything.
 */
export function resetMs(value: string | undefined, date: string | undefined): number | null {
  if (value === undefined) return null;
  const number = plainNumber(value);
  if (number === null) {
    const atMs = parseRfc3339Ms(value);
    return atMs === null ? parseDurationMs(value) : untilMs(atMs, date);
  }
  if (number < MIN_EPOCH_SECONDS) return number * 1000;
  return untilMs(number < MIN_EPOCH_MS ? number * 1000 : number, date);
}

/** The answer's own `date` is the server's now: a clock that differs from ours does not matter. */
function untilMs(atMs: number, date: string | undefined): number | null {
  const nowMs = parseHttpDateMs(date ?? '');
  return nowMs === null ? null : Math.max(0, atMs - nowMs);
}

/** `20`, `0.5`; a repeated header's first value. null for everything else, negative numbers included. */
function plainNumber(value: string | undefined): number | null {
  if (value === undefined) return null;
  const matched = /^\s*(\d{1,16}(?:\.\d{1,9})?)\s*(?:,|$)/.exec(value);
  return matched === null ? null : Number(matched[1]);
}

const DURATION_PART =
  /\s*(\d{1,12}(?:\.\d{1,9})?)\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)(?![a-z])/iy;

/** Go's durations as OpenAI and Groq write them, `6m0s`, `2m59.56s`, `88ms`, and their spelt-out forms; null: something else. */
export function parseDurationMs(text: string): number | null {
  DURATION_PART.lastIndex = 0;
  let totalMs: number | null = null;
  for (let parts = 0; parts < 5; parts++) {
    const matched = DURATION_PART.exec(text);
    if (matched === null) break;
    const unit = (matched[2] ?? '').toLowerCase();
    const unitMs = unit.startsWith('ms') || unit.startsWith('milli') ? 1 : (UNIT_MS[unit.charAt(0)] ?? 0);
    totalMs = (totalMs ?? 0) + Number(matched[1]) * unitMs;
  }
  return totalMs;
}

/** `Please try again in 1m2.5s`, `Please retry after 9 seconds.` */
function messageRetryAfterMs(message: string): number | null {
  const matched = /\b(?:(?:try again|retry) (?:in|after)|please wait) (?=\d)/i.exec(message);
  return matched === null
    ? null
    : parseDurationMs(message.slice(matched.index + matched[0].length, matched.index + matched[0].length + 48));
}

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** IMF-fixdate of RFC 9110 5.6.7, `Sun, 06 Nov 1994 08:49:37 GMT` → ms since the epoch. Own arithmetic: this folder has no clock. */
export function parseHttpDateMs(value: string): number | null {
  const matched = /^\s*[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT\s*$/.exec(value);
  if (matched === null) return null;
  const month = MONTHS.indexOf(matched[2] ?? '') / 3;
  if (month < 0 || !Number.isInteger(month)) return null;
  const days = daysSinceEpoch(Number(matched[3]), month + 1, Number(matched[1]));
  return ((days * 24 + Number(matched[4])) * 60 + Number(matched[5])) * 60_000 + Number(matched[6]) * 1000;
}

/** `2026-03-08T21:04:07Z`, as Anthropic writes resets → ms since the epoch. */
function parseRfc3339Ms(value: string): number | null {
  const matched = /^\s*(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3})\d*)?Z\s*$/.exec(value);
  if (matched === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = matched.slice(1, 7).map(Number);
  const days = daysSinceEpoch(year, month, day);
  return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + Number((matched[7] ?? '0').padEnd(3, '0'));
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar (https://howardhinnant.github.io/date_algorithms.html#days_from_civil). */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
