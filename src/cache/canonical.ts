/** Whether two bodies say the same: one text for all that are equal as JSON values, whatever their white space and order of keys. */
import { skipSpace, stringEnd } from '../dialects/json-span.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { JsonObject } from '../lib/json.ts';
import { canonicalJson } from '../routetable/digest.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
/** Decimal numbers of so many digits are told apart by the doubles that they become. */
const EXACT_DIGITS = 15;

/**
 * Without the member `model`, which a caller's own key has. null: two parsers could read the body differently (a name twice in one
 * object, a number with more digits than a double holds), so that it is like no other.
 */
export function canonicalBody({ bytes, json }: Pick<ParsedBody, 'bytes' | 'json'>): string | null {
  const names = unambiguousNames(bytes);
  if (names === null || names !== countNames(json)) return null;
  const { model: _, ...members } = json;
  return canonicalJson(members, () => '');
}

/** How often a name stands before a colon; null: a number in it is not exact. Of JSON that was parsed before. */
function unambiguousNames(bytes: Buffer): number | null {
  let names = 0;
  let at = 0;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = stringEnd(bytes, at);
      if (at < 0) return null;
    } else if (byte === COLON) {
      names++;
      at = skipSpace(bytes, at + 1);
    } else if (isNumberStart(byte)) {
      let end = at + 1;
      while (isNumberByte(bytes[end])) end++;
      if (!isExact(bytes.toString('latin1', at, end))) return null;
      at = end;
    } else {
      at++;
    }
  }
  return names;
}

function isNumberStart(byte: number | undefined): boolean {
  return byte !== undefined && (byte === 0x2d || (byte >= 0x30 && byte <= 0x39));
}

/** Digits, sign, point, exponent. */
function isNumberByte(byte: number | undefined): boolean {
  return isNumberStart(byte) || byte === 0x2b || byte === 0x2e || byte === 0x45 || byte === 0x65;
}

function isExact(text: string): boolean {
  const value = Number(text);
  if (!Number.isFinite(value)) return false;
  if (text.length <= EXACT_DIGITS && !/e/i.test(text)) return true;
  if (String(value) === text) return true;
  const [digits = '', exponent = '0'] = text.toLowerCase().split('e');
  const significant = digits.replace(/[-.]/g, '').replace(/^0+/, '').length;
  // Far from where doubles run out of digits or of size.
  return significant <= EXACT_DIGITS && Math.abs(Number(exponent)) <= 200;
}

function countNames(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let names = 0;
  if (Array.isArray(value)) {
    const items: readonly unknown[] = value;
    for (const item of items) if (typeof item === 'object') names += countNames(item);
    return names;
  }
  const members = value as JsonObject;
  for (const name of Object.keys(members)) names += 1 + countNames(members[name]);
  return names;
}
