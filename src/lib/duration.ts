import { err, ok, type Result } from './result.ts';

/** Gateway API's duration (GEP-2257): one to four of h, m, s, ms, each with up to five digits, in any order. */
export const DURATION_PATTERN = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';

const WHOLE = new RegExp(DURATION_PATTERN);
const PART = /([0-9]{1,5})(ms|h|m|s)/g;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** `1h30m` → milliseconds; the error says what a duration looks like. */
export function parseDurationMs(text: string): Result<number, string> {
  if (!WHOLE.test(text)) {
    return err(`${JSON.stringify(text)} is not a duration: write it like 500ms, 30s, 10m or 24h (there is no unit for days)`);
  }
  let totalMs = 0;
  for (const [, digits, unit] of text.matchAll(PART)) {
    totalMs += Number(digits) * (UNIT_MS[unit ?? ''] ?? 0);
  }
  return ok(totalMs);
}

/** Milliseconds → the shortest exact form, e.g. 90000 → `1m30s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = Math.round(ms);
  let text = '';
  for (const unit of ['h', 'm', 's', 'ms']) {
    const size = UNIT_MS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
