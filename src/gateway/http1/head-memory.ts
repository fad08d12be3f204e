import { MAX_HEAD_BYTES } from '../../lib/http1/message-parser.ts';
import { isSameBytes, isSameSecret } from '../../lib/http1/same-bytes.ts';
import type { RequestHead } from './request-head.ts';

const LENGTH = /\r\ncontent-length:[\t ]*(\d{1,15})(?=[\t ]*\r\n)/i;
const MAX_LENGTH_DIGITS = 15;
/** So many heads in a row that nobody knew, and a client's are all different. */
const MAX_STRANGERS = 4;
const MAX_RECENT = 4;

/** A head as it came. */
interface Form {
  readonly bytes: Buffer;
  /** Where the digits of its `content-length` are, to that before which they end; where it has none, both are its end. */
  readonly digits: number;
  readonly after: number;
}

/** A head, and what was read from it. */
class KnownHead {
  readonly request: RequestHead;
  /** How the body is framed of the one that was found last, as `framingOf` has it. */
  framing: number;
  readonly #text: string;
  /** null: not made yet, as that of a head that never comes again is not. */
  #form: Form | null = null;

  constructor(text: string, request: RequestHead, framing: number) {
    this.request = request;
    this.framing = framing;
    this.#text = text;
  }

  /** Where the head that begins at `from` ends, if it is this one but for its length; -1: it is another, or not whole at `to`. */
  endIn(bytes: Buffer, from: number, to: number, isSame: typeof isSameBytes): number {
    const { bytes: known, digits, after } = (this.#form ??= formOf(this.#text));
    if (!isSame(known, 0, digits, bytes, from)) return -1;
    const start = from + digits;
    let at = start;
    if (digits !== after) {
      let length = 0;
      for (let digit = digitOf(bytes[at]); digit !== -1 && at - start < MAX_LENGTH_DIGITS; digit = digitOf(bytes[at])) {
        length = length * 10 + digit;
        at += 1;
      }
      if (at === start || !isSame(known, after, known.length, bytes, at)) return -1;
      this.framing = length;
    }
    const end = at + known.length - after;
    return end > to || end - from > MAX_HEAD_BYTES ? -1 : end;
  }
}

/** The heads that came last on the connections of one listener: who opens one for each request sends the same on all of them. */
export class RecentHeads {
  /** Newest first. */
  #heads: readonly KnownHead[] = [];

  get heads(): readonly KnownHead[] {
    return this.#heads;
  }

  add(head: KnownHead): void {
    this.#heads = [head, ...this.#heads.slice(0, MAX_RECENT - 1)];
  }
}

/**
 * The head that came last on a connection. A client's requests have the same head time and again but for the length of the body:
 * what is the same byte for byte need not be read again, nor become text, which spares a request half of what its head costs.
 */
export class HeadMemory {
  readonly #recent: RecentHeads;
  #last: KnownHead | null = null;
  #strangers = 0;

  constructor(recent: RecentHeads) {
    this.#recent = recent;
  }

  /** What was found, or kept, last. */
  get request(): RequestHead | null {
    return this.#last === null ? null : this.#last.request;
  }

  get framing(): number {
    return this.#last === null ? 0 : this.#last.framing;
  }

  /** Where the head that begins at `from` ends, if it is one that came before but for its length; -1: it is another, or not whole at `to`. */
  find(bytes: Buffer, from: number, to: number): number {
    if (this.#strangers === MAX_STRANGERS) return -1;
    const end = this.#last === null ? -1 : this.#last.endIn(bytes, from, to, isSameBytes);
    return end === -1 ? this.#findRecent(bytes, from, to) : this.#found(end);
  }

  #findRecent(bytes: Buffer, from: number, to: number): number {
    const { heads } = this.#recent;
    // Other clients' credentials are in them: how much of one is the same must not be told by the time that takes.
    for (let i = 0; i < heads.length; i++) {
      const head = heads[i];
      const end = head === undefined || head === this.#last ? -1 : head.endIn(bytes, from, to, isSameSecret);
      if (head === undefined || end === -1) continue;
      this.#last = head;
      return this.#found(end);
    }
    return -1;
  }

  #found(end: number): number {
    this.#strangers = 0;
    return end;
  }

  /** `request` and `framing` are what was read from `text`, which was not found. */
  keep(text: string, request: RequestHead, framing: number): void {
    if (this.#last !== null && this.#strangers < MAX_STRANGERS) this.#strangers += 1;
    if (this.#strangers === MAX_STRANGERS) {
      this.#last = null;
      return;
    }
    this.#last = new KnownHead(text, request, framing);
    this.#recent.add(this.#last);
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
