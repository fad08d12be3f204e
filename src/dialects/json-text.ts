/** Texts as they lie in JSON, between their quotes. */
import { parseJson } from '../lib/json.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
const LETTER_U = 0x75;

/** By byte: what makes an escape with the backslash before it, but for `u`. */
const ESCAPED = new Uint8Array(256);
for (const letter of '"\\/bfnrt') ESCAPED[letter.charCodeAt(0)] = 1;
const HEX = new Uint8Array(256);
for (const digit of '0123456789abcdefABCDEF') HEX[digit.charCodeAt(0)] = 1;

/** The first characters of a text, about `maxBytes` of it. */
export function headOfText(json: Buffer, maxBytes: number): string {
  const head = json.toString('utf8', 0, maxBytes);
  if (!head.includes('\\')) return head;
  // The last escape may have been cut.
  for (let cut = 0; cut < 6; cut++) {
    const value = parseJson(`"${head.slice(0, head.length - cut)}"`);
    if (typeof value === 'string') return value;
  }
  return '';
}

/** Words have their first byte lowest, as on all common processors; on others nothing is scanned. */
export const SCANS = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Finds where texts end, and that they are what JSON.parse takes, in bytes that are UTF-8. */
export class TextScanner {
  /** A text has the escape of U+0001, which nobody has a use for. */
  marked = false;
  readonly #bytes: Buffer;
  /** Aligned, because loads that are not take a third longer; the first may begin up to three bytes before the others. */
  readonly #words: Int32Array;
  readonly #before: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#before = bytes.byteOffset & 3;
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset - this.#before, (this.#before + bytes.length) >> 2);
  }

  /** The offset of the quote that ends the text which begins at `start`; -1: it has no end, or what no JSON string may have. */
  end(start: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const before = this.#before;
    let at = start;
    for (;;) {
      let word = (at + before) >> 2;
      if (word < words.length) {
        // Those of the first word's bytes before `at` do not count.
        let found = specials(words[word] ?? 0) & (-1 << (((at + before) & 3) << 3));
        while (found === 0 && ++word < words.length) found = specials(words[word] ?? 0);
        at = (word << 2) - before + (found === 0 ? 0 : (31 - Math.clz32(found & -found)) >> 3);
      }
      const byte = bytes[at];
      if (byte === QUOTE) return at;
      if (byte === undefined || byte < 0x20) return -1;
      if (byte !== BACKSLASH) at += 1;
      else if (ESCAPED[bytes[at + 1] ?? 0] === 1) at += 2;
      else if (this.#isUnicodeEscape(at)) at += 6;
      else return -1;
    }
  }

  #isUnicodeEscape(at: number): boolean {
    const bytes = this.#bytes;
    if (bytes[at + 1] !== LETTER_U) return false;
    let zeros = 0;
    for (let digit = at + 2; digit < at + 6; digit++) {
      const byte = bytes[digit] ?? 0;
      if (HEX[byte] !== 1) return false;
      if (byte === ZERO) zeros++;
    }
    if (zeros === 3 && bytes[at + 5] === ZERO + 1) this.marked = true;
    return true;
  }
}

/**
 * The top bit of each byte that is a quote, a backslash or a control character, and perhaps of others above one. (With their second bit
 * turned, control characters and the quote are all that is below 0x21.)
 */
function specials(word: number): number {
  const turned = word ^ 0x02020202;
  const zeroed = word ^ 0x5c5c5c5c;
  return (((turned - 0x21212121) & ~turned) | ((zeroed - 0x01010101) & ~zeroed)) & 0x80808080;
}
