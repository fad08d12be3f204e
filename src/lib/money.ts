import { err, ok, type Result } from './result.ts';

/** Non-negative decimal as the API takes money: no sign, no exponent, at most 9 digits before and 9 after the point. */
export const DECIMAL_PATTERN = '^[0-9]{1,9}(\\.[0-9]{1,9})?$';

const DECIMAL = new RegExp(DECIMAL_PATTERN);

/** A decimal string in USD → micro-USD (may be fractional: prices of single tokens are below one micro-USD). */
export function parseMicroUsd(text: string): Result<number, string> {
  if (!DECIMAL.test(text)) {
    return err(`${JSON.stringify(text)} is not an amount: write a decimal string like "0.15" or "500"`);
  }
  return ok(Number(text) * 1e6);
}

/** Micro-USD → a decimal string in USD without exponent or trailing zeros, exact to 1e-9 USD. */
export function formatUsd(microUsd: number): string {
  const nanoUsd = Math.round(microUsd * 1_000);
  if (nanoUsd > Number.MAX_SAFE_INTEGER) return String(Math.round(microUsd / 1e6));
  const whole = Math.floor(nanoUsd / 1e9);
  const rest = nanoUsd - whole * 1e9;
  if (rest === 0) return String(whole);
  let digits = String(rest + 1e9).slice(1);
  while (digits.endsWith('0')) digits = digits.slice(0, -1);
  return `${whole}.${digits}`;
}
