import { SSE_KEEP_ALIVE } from '../dialects/sse.ts';
import type { ClientStream } from './client-stream.ts';

/** Whose stream it is. */
export interface Awaited {
  readonly clientStream: ClientStream;
  /** What its head can say before any target has answered. */
  addKnownHeaders(headers: string[]): void;
}

/** Comments in a stream whose first output is still awaited: a proxy in between may cut a connection that is silent for long. */
export class KeepAlive {
  readonly #awaited: Awaited;
  readonly #requestId: string;
  readonly #afterMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(awaited: Awaited, requestId: string, afterMs: number) {
    this.#awaited = awaited;
    this.#requestId = requestId;
    this.#afterMs = afterMs;
  }

  arm(): void {
    this.#timer = setTimeout(comment, this.#afterMs, this);
  }

  /** Output flows, or it is over. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  comment(): void {
    const { clientStream } = this.#awaited;
    if (!clientStream.opened) {
      const headers = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache'];
      headers.push('x-request-id', this.#requestId);
      this.#awaited.addKnownHeaders(headers);
      clientStream.open(headers);
    }
    clientStream.write(SSE_KEEP_ALIVE, () => {});
    this.arm();
  }
}

function comment(keepAlive: KeepAlive): void {
  keepAlive.comment();
}
