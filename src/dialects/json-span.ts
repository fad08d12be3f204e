import { err, ok, type Result } from '../lib/result.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';

/**
 * Nesting a request may have, its own object counted. Upstreams that parse recursively fail on deep bodies with a 500 of
 * their own (Python's json at about 1,000), which would eject a healthy target for a hostile body.
 */
export const MAX_JSON_DEPTH = 512;

/** Where a member's value lies: bytes `[start, end)`, without the white space around it. */
export interface MemberSpan {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface ObjectSpans {
  /** Offset just after `{`: where members can be inserted. */
  readonly open: number;
  readonly empty: boolean;
  /** The wanted members in the order of their bytes; a key that occurs twice is in it twice. */
  readonly members: readonly MemberSpan[];
}

export type SpanFailure = 'malformed' | 'too_deep';

const MALFORMED = -1;
const TOO_DEEP = -2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** A UTF-16 unit of a key takes at most this many bytes of JSON (`\u006d`). */
const MAX_BYTES_PER_UNIT = 6;

/**
 * Finds the values of the members called `names` in the object that begins at `from` (white space allowed before it). Keys
 * are compared decoded, so `"mo\u0064el"` is `model`. Meant for bytes that JSON.parse accepts; of others it reports a
 * failure or spans that mean nothing, and never throws. Linear in the bytes, without recursion.
 */
export function scanObject(
  bytes: Buffer,
  names: readonly string[],
  from = 0,
  maxDepth = MAX_JSON_DEPTH,
): Result<ObjectSpans, SpanFailure> {
  let at = skipSpace(bytes, from);
  if (bytes[at] !== OPEN_OBJECT) return err('malformed');
  const open = at + 1;
  at = skipSpace(bytes, open);
  const members: MemberSpan[] = [];
  if (bytes[at] === CLOSE_OBJECT) return ok({ open, empty: true, members });
  let longest = 0;
  for (const name of names) longest = Math.max(longest, name.length);

  for (;;) {
    if (bytes[at] !== QUOTE) return err('malformed');
    const keyEnd = stringEnd(bytes, at);
    if (keyEnd === MALFORMED) return err('malformed');
    const name = keyEnd - at - 2 <= longest * MAX_BYTES_PER_UNIT ? decodeString(bytes, at, keyEnd) : null;

    at = skipSpace(bytes, keyEnd);
    if (bytes[at] !== COLON) return err('malformed');
    const start = skipSpace(bytes, at + 1);
    const end = valueEnd(bytes, start, maxDepth);
    if (end < 0) return err(end === TOO_DEEP ? 'too_deep' : 'malformed');
    if (name !== null && names.includes(name)) members.push({ name, start, end });

    at = skipSpace(bytes, end);
    if (bytes[at] === CLOSE_OBJECT) return ok({ open, empty: false, members });
    if (bytes[at] !== COMMA) return err('malformed');
    at = skipSpace(bytes, at + 1);
  }
}

/** The first name that `spans` holds twice, or null. */
export function duplicateMember(spans: ObjectSpans): string | null {
  const { members } = spans;
  for (let i = 1; i < members.length; i++) {
    for (let j = 0; j < i; j++) {
      const name = members[i]?.name;
      if (name !== undefined && name === members[j]?.name) return name;
    }
  }
  return null;
}

/** Decodes the JSON string at `[start, end)`, quotes included; null where it is not one. */
export function decodeString(bytes: Buffer, start: number, end: number): string | null {
  for (let at = start; at < end; at++) {
    if (bytes[at] === BACKSLASH) {
      try {
        const value: unknown = parseJsonOrThrow(bytes.toString('utf8', start, end));
        return typeof value === 'string' ? value : null;
      } catch {
        return null;
      }
    }
  }
  return bytes.toString('utf8', start + 1, end - 1);
}

/** The first offset at or after `at` that is not JSON's white space. */
export function skipSpace(bytes: Buffer, at: number): number {
  let next = at;
  for (;;) {
    const byte = bytes[next];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return next;
    next++;
  }
}

/** The offset after the string whose opening quote is at `open`; -1 where it does not end. */
export function stringEnd(bytes: Buffer, open: number): number {
  let from = open + 1;
  for (;;) {
    const quote = bytes.indexOf(QUOTE, from);
    if (quote === -1) return MALFORMED;
    // An odd run of backslashes escapes the quote. Each run stands before one quote only, so this stays linear.
    let before = quote;
    while (before > from && bytes[before - 1] === BACKSLASH) before--;
    if ((quote - before) % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

/** The offset after the value that begins at `at`, or a negative failure. */
function valueEnd(bytes: Buffer, at: number, maxDepth: number): number {
  const first = bytes[at];
  if (first === QUOTE) return stringEnd(bytes, at);
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return containerEnd(bytes, at, maxDepth);
  let next = at;
  while (isScalarByte(bytes[next])) next++;
  return next === at ? MALFORMED : next;
}

function isScalarByte(byte: number | undefined): boolean {
  // Digits, letters, sign and point: all that numbers and literals are made of.
  return (
    byte !== undefined &&
    ((byte >= 0x30 && byte <= 0x39) ||
      (byte >= 0x61 && byte <= 0x7a) ||
      byte === 0x2d ||
      byte === 0x2b ||
      byte === 0x2e ||
      byte === 0x45)
  );
}

function containerEnd(bytes: Buffer, at: number, maxDepth: number): number {
  // The object that holds this value is the first level.
  let depth = 1;
  let next = at;
  for (;;) {
    const byte = bytes[next];
    if (byte === undefined) return MALFORMED;
    if (byte === QUOTE) {
      next = stringEnd(bytes, next);
      if (next === MALFORMED) return MALFORMED;
      continue;
    }
    next++;
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (++depth > maxDepth) return TOO_DEEP;
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      if (--depth === 1) return next;
    }
  }
}
