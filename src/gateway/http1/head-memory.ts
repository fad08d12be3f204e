import { MAX_HEAD_BYTES } from '../../lib/http1/message-parser.ts';
import { isSameBytes } from '../../lib/http1/same-bytes.ts';
import type { RequestHead } from './request-head.ts';

const LENGTH = /\r\ncontent-length:[\t ]*(\d{1,15})(?=[\t ]*\r\n)/i;
const MAX_LENGTH_DIGITS = 15;
/** So many heads in a row that were not the one before, and a client's are all different. */
const MAX_STRANGERS = 4;

/** A head as it came. */
interface Form {
  readonly bytes: Buffer;
  /** Where the digits of its `content-length` are, to that before which they end; where it has none, both are its end. */
  readonly digits: number;
  readonly after: number;
}

/**
 * The head that came last on a connection. A client's requests there have the same head time and again but for the length of the body:
 * what is the same byte for byte need not be read again, nor become text, which spares a request half of what its head costs.
 */
export class HeadMemory {
  /** What was kept; null: nothing is. */
  request: RequestHead | null = null;
  /** How the body of the last one is framed, as `framingOf` has it. */
  framing = 0;
  #text = '';
  /** null: not made yet, as that of a connection's only request never is. */
  #form: Form | null = null;
  #strangers = 0;

  /** Where the head that begins at `from` ends, if it is the one that was kept but for its length; -1: it is another, or not whole. */
  find(bytes: Buffer, from: number): number {
    if (this.request === null) return -1;
    const { bytes: known, digits, after } = (this.#form ??= formOf(this.#text));
    if (!isSameBytes(known, 0, digits, bytes, from)) return -1;
    const start = from + digits;
    let at = start;
    if (digits !== after) {
      let length = 0;
      for (let digit = digitOf(bytes[at]); digit !== -1 && at - start < MAX_LENGTH_DIGITS; digit = digitOf(bytes[at])) {
        length = length * 10 + digit;
        at += 1;
      }
      if (at === start || !isSameBytes(known, after, known.length, bytes, at)) return -1;
      this.framing = length;
    }
    const end = at + known.length - after;
    if (end - from > MAX_HEAD_BYTES) return -1;
    this.#strangers = 0;
    return end;
  }

  /** `request` and `framing` are what was read from `text`, which was not found. */
  keep(text: string, request: RequestHead, framing: number): void {
    if (this.request !== null) this.#strangers += 1;
    const keeps = this.#strangers < MAX_STRANGERS;
    this.#text = keeps ? text : '';
    this.request = keeps ? request : null;
    this.framing = framing;
    this.#form = null;
  }
}

function formOf(text: string): Form {
  // Not a part of a larger buffer, which it would keep as long as the connection lives.
  const bytes = Buffer.allocUnsafeSlow(text.length);
  bytes.write(text, 'latin1');
  const found = LENGTH.exec(text);
  if (found === null) return { bytes, digits: text.length, after: text.length };
  const after = found.index + found[0].length;
  return { bytes, digits: after - (found[1]?.length ?? 0), after };
}

/** -1: none. */
function digitOf(byte: number | undefined): number {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : -1;
}
