/** What a provider says, in the head of any answer, is left of its own limits. */
import type { HeadroomUnit } from '../../lib/headroom-unit.ts';
import type { AnswerHeaders, HeadroomHeader } from '../provider.ts';
import { resetMs } from './retry-after.ts';

/** More than any burst of requests takes before the next answer says again: when it is whole need not be known. */
const PLENTY: Readonly<Record<HeadroomUnit, number>> = {
  requests: 1_000,
  tokens: 2_000_000,
  inputTokens: 2_000_000,
  outputTokens: 1_000,
};

/** `left`, `resetMs` (until all of it is free again; null: not told) of each limit that this answer speaks of. */
export function readHeadroom(
  table: readonly HeadroomHeader[],
  headers: AnswerHeaders,
  told: (unit: HeadroomUnit, left: number, resetMs: number | null) => void,
): void {
  for (const { unit, remaining, reset } of table) {
    const value = headers[remaining];
    if (value === undefined) continue;
    const left = Number.parseFloat(value);
    if (left >= PLENTY[unit]) told(unit, left, 0);
    else if (!Number.isNaN(left)) told(unit, left, reset === null ? null : resetMs(headers[reset], headers['date']));
  }
}

/** Of OpenAI's form, as most have taken it over: `x-ratelimit-remaining-requests: 59`, `x-ratelimit-reset-requests: 1s`. */
export const OPENAI_FORM: readonly HeadroomHeader[] = [
  { unit: 'requests', remaining: 'x-ratelimit-remaining-requests', reset: 'x-ratelimit-reset-requests' },
  { unit: 'tokens', remaining: 'x-ratelimit-remaining-tokens', reset: 'x-ratelimit-reset-tokens' },
];
