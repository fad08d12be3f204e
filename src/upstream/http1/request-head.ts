import { checkName, checkValue } from './sendable.ts';

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DEL = 0x7f;
const ZERO = 0x30;
const LENGTH_NAME = Buffer.from('content-length: ');

/**
 * A request as it is sent: a head that begins with `beginning`, and this body behind it. `headers` is flat: name, value, …; none of them
 * may say how the body is framed. `length`: of the whole body, in bytes; null: there is none. Throws for what cannot be sent.
 *
 * Written into one buffer at once, because a text that is put together is copied to be looked at and again to be sent, which takes three
 * times as long.
 */
export function requestBytes(
  beginning: Buffer,
  headers: readonly string[],
  length: number | null,
  body: readonly Buffer[],
): Buffer {
  const digits = length === null ? 0 : digitsOf(length);
  let size = beginning.length + 2;
  if (length !== null) size += LENGTH_NAME.length + digits + 2;
  // ': ' or the line's end behind each.
  for (let i = 0; i < headers.length; i++) size += (headers[i]?.length ?? 0) + 2;
  for (let i = 0; i < body.length; i++) size += body[i]?.length ?? 0;
  const bytes = Buffer.allocUnsafe(size);
  bytes.set(beginning);
  let at = beginning.length;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    at = writeBytes(bytes, at, nameBytes(name));
    at = writeLineEnd(bytes, writeValue(bytes, at, name, headers[i + 1] ?? ''));
  }
  if (length !== null) {
    at = writeBytes(bytes, at, LENGTH_NAME);
    at = writeLineEnd(bytes, writeNumber(bytes, at, length, digits));
  }
  at = writeLineEnd(bytes, at);
  for (let i = 0; i < body.length; i++) {
    const piece = body[i];
    if (piece === undefined) continue;
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Short ones, in a loop that runs within its caller. */
function writeBytes(out: Buffer, at: number, bytes: Buffer): number {
  for (let i = 0; i < bytes.length; i++) out[at + i] = bytes[i] ?? 0;
  return at + bytes.length;
}

/** Its line's end and the head's have room behind it. */
function writeValue(out: Buffer, at: number, name: string, value: string): number {
  // UTF-8, which is written with the fewest detours, is the same as Latin-1 where it is as long.
  const end = at + out.write(value, at);
  if (end === at + value.length && isPlain(out, at, end)) return end;
  checkValue(name, value);
  return at + out.write(value, at, 'latin1');
}

/** ASCII without control characters but tab. */
function isPlain(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const byte = bytes[i] ?? 0;
    if ((byte < SPACE && byte !== TAB) || byte >= DEL) return false;
  }
  return true;
}

function digitsOf(number: number): number {
  let digits = 1;
  for (let bound = 10; bound <= number; bound *= 10) digits += 1;
  return digits;
}

function writeNumber(out: Buffer, at: number, number: number, digits: number): number {
  for (let i = at + digits - 1, rest = number; i >= at; i--, rest = Math.floor(rest / 10)) out[i] = ZERO + (rest % 10);
  return at + digits;
}

function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR;
  out[at + 1] = LF;
  return at + 2;
}

/** Of names that were looked at, with what follows them: configuration and a list of ours bound how many there are. */
const names = new Map<string, Buffer>();
const MAX_NAMES = 1_000;

function nameBytes(name: string): Buffer {
  const known = names.get(name);
  if (known !== undefined) return known;
  checkName(name);
  const bytes = Buffer.from(`${name}: `, 'latin1');
  if (names.size < MAX_NAMES) names.set(name, bytes);
  return bytes;
}
