/** Heads are written as bytes at once: a text that is put together is copied to be looked at, and again to be sent. */

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DEL = 0x7f;
const ZERO = 0x30;
const LAST_LATIN1 = 0xff;
/** Up to here a loop over a value's characters takes less than to have them looked at and written by others. */
const MAX_SHORT_CHARS = 40;
/** RFC 9110, section 5.5. A value with a line's end in it would be another header, or another message. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Whether it is something that a header's value may be; the rest has no place in Latin-1, or is a control character. */
export function isSendable(value: string): boolean {
  return VALUE.test(value);
}

/** How many bytes lines of these take: `headers` is flat: name, value, … */
export function headersSize(headers: readonly string[]): number {
  let size = 0;
  // ': ' or the line's end behind each.
  for (let i = 0; i < headers.length; i++) size += (headers[i]?.length ?? 0) + 2;
  return size;
}

/**
 * Lines of these, flat: name, value, … Returns where they end. `bytesOf`: a name with the colon and the space behind it; `wrong`: what to
 * throw for a header whose value cannot be sent.
 */
export function writeHeaders(
  out: Buffer,
  from: number,
  headers: readonly string[],
  bytesOf: (name: string) => Buffer,
  wrong: (name: string) => Error,
): number {
  let at = from;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    at = writeBytes(out, at, bytesOf(name));
    if (value.length > MAX_SHORT_CHARS) {
      if (!isSendable(value)) throw wrong(name);
      at += out.write(value, at, 'latin1');
    } else {
      for (let k = 0; k < value.length; k++) {
        const code = value.charCodeAt(k);
        if ((code < SPACE && code !== TAB) || code === DEL || code > LAST_LATIN1) throw wrong(name);
        out[at] = code;
        at += 1;
      }
    }
    at = writeLineEnd(out, at);
  }
  return at;
}

export function writeBytes(out: Buffer, at: number, bytes: Buffer): number {
  out.set(bytes, at);
  return at + bytes.length;
}

export function writeLineEnd(out: Buffer, at: number): number {
  out[at] = CR;
  out[at + 1] = LF;
  return at + 2;
}

const LENGTH_NAME = Buffer.from('content-length: ');

/** How many bytes `writeLength` takes. */
export function lengthSize(length: number): number {
  return LENGTH_NAME.length + digitsOf(length) + 2;
}

/** The line that says how many bytes a body has. */
export function writeLength(out: Buffer, from: number, length: number): number {
  const at = writeBytes(out, from, LENGTH_NAME);
  const end = at + digitsOf(length);
  for (let i = end - 1, rest = length; i >= at; i--, rest = Math.floor(rest / 10)) out[i] = ZERO + (rest % 10);
  return writeLineEnd(out, end);
}

function digitsOf(number: number): number {
  let digits = 1;
  for (let bound = 10; bound <= number; bound *= 10) digits += 1;
  return digits;
}
