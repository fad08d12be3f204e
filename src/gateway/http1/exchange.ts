// By an import: the global is an accessor, which takes 30 cache lines at each use.
import { Buffer } from 'node:buffer';
import { CHUNKED, type Fields, UNTOLD } from '../../lib/http1/message-parser.ts';
import { writeLineEnd } from '../../lib/http1/write-head.ts';
import { answerHead, type HeadAhead } from './answer-head.ts';
import type { RequestHead } from './request-head.ts';

/** Who reads a request's body. */
export interface BodySink {
  /** To be kept as it is. Never empty. */
  onBodyBytes(bytes: Buffer): void;
  onBodyEnd(): void;
}

/** The connection's side of an exchange. */
export interface ExchangeCarrier {
  /** Something is to be sent. `atOnce`: without waiting for what else this turn of the event loop has to say. */
  outputReady(atOnce: boolean): void;
  /** Sends this now, ahead of the answer. */
  sendInterim(bytes: string): void;
  /** Below what may wait in the connection's buffer. */
  readonly flowing: boolean;
  /** Ends the connection. `reset`: in a way that no reader can take for its proper end. */
  cut(reset: boolean): void;
}

/** What becomes of an exchange. */
export interface ExchangeOwner {
  /** The connection has ended before the answer had. Called once, and last. */
  connectionLost(): void;
}

export const NO_BYTES = Buffer.alloc(0);
/** Up to here head and body leave as one buffer, which costs less than two with a copy saved. */
const ONE_WRITE_MAX_BYTES = 16 * 1024;
const ZERO = 48;
const HEX = Buffer.from('0123456789abcdef');
/** `0` CRLF CRLF */
const LAST_CHUNK_BYTES = 5;

/** How an answer's body is told from what follows it. */
type Framing = 'length' | 'chunked' | 'until-close' | 'none';

/**
 * One request on a client's connection, and its answer. What is answered in one turn of the event loop is gathered and leaves as one
 * buffer, one HTTP chunk of a stream.
 */
export class Exchange {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Fields>;
  /** What the client says of its body, in bytes; null: nothing. */
  readonly contentLength: number | null;
  readonly #http11: boolean;
  readonly #expectsContinue: boolean;
  readonly #carrier: ExchangeCarrier;
  /** The connection carries no other request after this one. */
  last: boolean;
  /** The request has come whole. */
  complete = false;
  owner: ExchangeOwner | null = null;
  sink: BodySink | null = null;
  /** 0: no answer has begun. */
  status = 0;
  /** The answer's last byte is written, or gathered to be. */
  ended = false;
  /** When the client has caught up; null: nobody waits for it. */
  onDrain: (() => void) | null = null;
  #framing: Framing = 'none';
  #continued = false;
  /** What has been gathered. */
  #head: Buffer = NO_BYTES;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  constructor(carrier: ExchangeCarrier, head: RequestHead, contentLength: number | null) {
    this.#carrier = carrier;
    this.method = head.method;
    this.url = head.url;
    this.headers = head.headers;
    this.contentLength = contentLength;
    this.#http11 = head.http11;
    this.#expectsContinue = head.expectsContinue;
    this.last = !head.keepAlive;
  }

  /** The head of an answer has been given. */
  get answering(): boolean {
    return this.status !== 0;
  }

  /** From here on the body is told to the sink; where nobody reads it, it is dropped. */
  readBody(sink: BodySink): void {
    this.sink = sink;
  }

  /** Asks for the body of a client that waits to be asked. */
  continue(): void {
    if (!this.#expectsContinue || this.#continued || this.complete) return;
    this.#continued = true;
    this.#carrier.sendInterim('HTTP/1.1 100 Continue\r\n\r\n');
  }

  /** A whole answer. `headers` is flat: name (lower case), value, …; without what frames the body. */
  answer(status: number, headers: readonly string[], body: Buffer): void {
    const bodiless = status === 204 || status === 304;
    this.#begin(status, headers, bodiless ? 'none' : 'length', bodiless ? UNTOLD : body.length);
    if (!bodiless && this.method !== 'HEAD') this.#gather(body);
    this.ended = true;
    this.#carrier.outputReady(false);
  }

  /** Begins an answer whose length is not known yet. `ahead`: what of its head was made before; null: nothing. */
  open(status: number, headers: readonly string[], ahead: HeadAhead | null = null): void {
    if (!this.#http11) this.last = true;
    if (this.#http11) this.#begin(status, headers, 'chunked', CHUNKED, ahead);
    else this.#begin(status, headers, 'until-close', UNTOLD, ahead);
    if (this.method === 'HEAD') this.#framing = 'none';
  }

  /**
   * More of an answer that is open; the first of it leaves at once. False: the client is behind; the `onDrain` of the last such
   * write is called once when it has caught up.
   */
  write(bytes: Buffer, onDrain: () => void): boolean {
    const first = this.#head.length > 0;
    this.#gather(bytes);
    this.#carrier.outputReady(first);
    if (this.#carrier.flowing) return true;
    this.onDrain = onDrain;
    return false;
  }

  /** The end of an answer that is open. */
  end(bytes: Buffer): void {
    this.#gather(bytes);
    this.ended = true;
    this.#carrier.outputReady(false);
  }

  /** Ends the connection in the midst of the answer, so that no client can take it for whole. */
  abort(): void {
    // Unframed, a mere end of the connection would be the end of the answer.
    this.#carrier.cut(this.#framing === 'until-close');
  }

  /** Calls back whoever waits for the client, once. */
  drained(): void {
    const { onDrain } = this;
    this.onDrain = null;
    onDrain?.();
  }

  #gather(bytes: Buffer): void {
    if (bytes.length === 0 || this.#framing === 'none') return;
    this.#pieces.push(bytes);
    this.#pieceBytes += bytes.length;
  }

  #begin(status: number, headers: readonly string[], framing: Framing, told: number, ahead: HeadAhead | null = null): void {
    // Nobody can know whether it will send its body after all.
    if (this.#expectsContinue && !this.#continued && !this.complete) this.last = true;
    // Where it throws, nothing has begun, and another answer can say so.
    this.#head = answerHead(status, headers, told, this.last, ahead);
    this.status = status;
    this.#framing = framing;
  }

  /** Takes what has been gathered, in as many pieces as are best written; none: an empty list. */
  takeOutput(): readonly Buffer[] {
    const head = this.#head;
    const pieces = this.#pieces;
    const bytes = this.#pieceBytes;
    this.#head = NO_BYTES;
    this.#pieceBytes = 0;
    if (pieces.length > 0) this.#pieces = [];
    const chunked = this.#framing === 'chunked';
    const digits = chunked && bytes > 0 ? hexDigitsOf(bytes) : 0;
    const size = head.length + bytes + (digits === 0 ? 0 : digits + 4) + (chunked && this.ended ? LAST_CHUNK_BYTES : 0);
    if (size === 0) return NOTHING;
    if (size > ONE_WRITE_MAX_BYTES && !chunked) return head.length === 0 ? pieces : [head, ...pieces];
    // Of the right size at once: a part of a buffer is another object, which takes longer to make than the digits to count.
    const out = Buffer.allocUnsafe(size);
    if (head.length > 0) out.set(head);
    let at = head.length;
    if (digits > 0) at = writeChunkLine(out, at, bytes, digits);
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i];
      if (piece === undefined) continue;
      out.set(piece, at);
      at += piece.length;
    }
    if (digits > 0) at = writeLineEnd(out, at);
    if (chunked && this.ended) {
      out[at] = ZERO;
      writeLineEnd(out, writeLineEnd(out, at + 1));
    }
    return [out];
  }
}

const NOTHING: readonly Buffer[] = [];

function hexDigitsOf(number: number): number {
  let digits = 1;
  for (let rest = number >>> 4; rest > 0; rest >>>= 4) digits += 1;
  return digits;
}

/** RFC 9112, section 7.1: the size in hex, CRLF. Returns where it ends. */
function writeChunkLine(out: Buffer, at: number, size: number, digits: number): number {
  for (let index = at + digits - 1, rest = size; index >= at; index -= 1, rest >>>= 4) out[index] = HEX[rest & 15] ?? 0;
  return writeLineEnd(out, at + digits);
}
