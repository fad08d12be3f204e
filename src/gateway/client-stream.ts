import type { AnswerCapture } from './answer-capture.ts';
import type { HeadAhead } from './http1/answer-head.ts';
import { type Exchange, NO_BYTES } from './http1/exchange.ts';

/** Of every stream: what fails before its first output may still be answered as a whole. */
export const STATUS = 200;

/**
 * The client's side of an answer, whole or streamed. A stream is opened at the commit point, or earlier when silence has lasted so long that a proxy in
 * between might cut it: then comments keep it alive while failover goes on behind it.
 */
export class ClientStream {
  readonly #exchange: Exchange;
  #opened = false;
  /** Takes down what is sent; null: nobody else will want it. */
  capture: AnswerCapture | null = null;
  /** Bytes of the body of a stream written so far. */
  sentBytes = 0;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** A whole answer, all at once. `headers` is flat: name, value, …; without content-length. */
  whole(status: number, headers: readonly string[], body: Buffer): void {
    this.capture?.head(headers);
    this.capture?.add(body);
    this.#exchange.answer(status, headers, body);
  }

  /** Writes a stream's head. `headers` is flat: name, value, …; content-type is the caller's. `ahead`: as `Exchange.open` has it. */
  open(headers: readonly string[], ahead: HeadAhead | null = null): void {
    if (this.#opened) return;
    this.#exchange.open(STATUS, headers, ahead);
    this.#opened = true;
    this.capture?.head(headers);
  }

  /** False: the client is behind; the `onDrain` of the last such write is called once when it has caught up. */
  write(bytes: Buffer, onDrain: () => void): boolean {
    // Nothing to write is no reason to write the head.
    if (bytes.length === 0) return true;
    this.capture?.add(bytes);
    this.sentBytes += bytes.length;
    return this.#exchange.write(bytes, onDrain);
  }

  end(bytes: Buffer | null): void {
    if (bytes !== null) {
      this.sentBytes += bytes.length;
      this.capture?.add(bytes);
    }
    this.#exchange.end(bytes ?? NO_BYTES);
  }

  /** Ends the connection in a way that no client can take for a whole answer. */
  abort(): void {
    this.#exchange.abort();
  }
}
