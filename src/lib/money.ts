import { err, ok, type Result } from './result.ts';

/** Non-negative decimal as the API takes money: no sign, no exponent, at most 9 digits before and 9 after the point. */
export const DECIMAL_PATTERN = '^[0-9]{1,9}(\\.[0-9]{1,9})?$';

const DECIMAL = new RegExp(DECIMAL_PATTERN);

/** What whole nano-USD can say exactly: nine million dollars. */
const MAX_USD = Math.floor(Number.MAX_SAFE_INTEGER / 1e9);

/** A decimal string in USD → whole nano-USD. */
export function parseNanoUsd(text: string): Result<number, string> {
  if (!DECIMAL.test(text)) return err(`${JSON.stringify(text)} is not an amount: write a decimal string like "0.15" or "500"`);
  if (Number(text) > MAX_USD) return err(`${JSON.stringify(text)} is more than can be counted: ${MAX_USD} at most`);
  return ok(scaled(text, 9));
}

/** A price in USD per million tokens → whole pico-USD a token, rounded up beyond the sixth decimal. `text` is a DECIMAL. */
export function picoUsdPerToken(text: string): number {
  return scaled(text, 6);
}

/** As `picoUsdPerToken`, of a number that was written with at most six decimals. */
export function picoUsdOf(usdPerMillionTokens: number): number {
  return Math.round(usdPerMillionTokens * 1e6);
}

/** By digits, not by a product of floats, which would make 0.29 × 10⁶ a fraction. */
function scaled(text: string, decimals: number): number {
  const [whole = '0', fraction = ''] = text.split('.');
  const number = Number(whole + fraction.slice(0, decimals).padEnd(decimals, '0'));
  return /[1-9]/.test(fraction.slice(decimals)) ? number + 1 : number;
}

/** Nano-USD → a decimal string in USD without exponent or trailing zeros. */
export function formatUsd(nanoUsd: number): string {
  const whole = Math.floor(nanoUsd / 1e9);
  const rest = Math.round(nanoUsd - whole * 1e9);
  if (rest === 0) return String(whole);
  let digits = String(rest + 1e9).slice(1);
  while (digits.endsWith('0')) digits = digits.slice(0, -1);
  return `${whole}.${digits}`;
}
