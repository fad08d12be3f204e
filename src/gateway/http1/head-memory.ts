import { contentLength } from '../../lib/http1/message-parser.ts';
import type { RequestHead } from './request-head.ts';

const LENGTH = /\r\ncontent-length:[\t ]*(\d{1,15})(?=[\t ]*\r\n)/i;
/** So many heads in a row that were not the one before, and a client's are all different. */
const MAX_STRANGERS = 4;

/** A head that was read before, and the body's length in this one: its digits; '' where it tells none. */
export interface KnownHead {
  readonly request: RequestHead;
  readonly length: string;
}

interface Form {
  readonly before: string;
  readonly after: string;
}

/**
 * The head that came last on a connection. A client's requests there have the same head time and again but for the length of the body:
 * what is the same byte for byte need not be read again.
 */
export class HeadMemory {
  #text = '';
  #request: RequestHead | null = null;
  #length = '';
  /** What stands around the digits of its length; null: not looked for yet, as a connection's only request never is. */
  #form: Form | null = null;
  #strangers = 0;

  /** null: it is another one. */
  find(text: string): KnownHead | null {
    const request = this.#request;
    if (request === null) return null;
    if (text === this.#text) return { request, length: this.#length };
    const { before, after } = (this.#form ??= formOf(this.#text));
    const end = text.length - after.length;
    // Comparing slices is several times quicker in V8 than startsWith.
    const same = end >= before.length && text.slice(0, before.length) === before && text.slice(end) === after;
    const length = same ? text.slice(before.length, end) : '';
    if (same && (after === '' ? length === '' : contentLength(length) !== -1)) {
      this.#strangers = 0;
      return { request, length };
    }
    this.#strangers += 1;
    return null;
  }

  /** `request` and `length` are what was read from it. */
  keep(text: string, request: RequestHead, length: string): void {
    const keeps = this.#strangers < MAX_STRANGERS;
    this.#text = keeps ? text : '';
    this.#request = keeps ? request : null;
    this.#length = length;
    this.#form = null;
  }
}

function formOf(text: string): Form {
  const found = LENGTH.exec(text);
  if (found === null) return { before: text, after: '' };
  const end = found.index + found[0].length;
  return { before: text.slice(0, end - (found[1]?.length ?? 0)), after: text.slice(end) };
}
