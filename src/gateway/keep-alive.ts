import { SSE_KEEP_ALIVE } from '../dialects/sse.ts';
import type { ClientStream } from './client-stream.ts';

/** Whose stream it is. */
export interface Awaited {
  readonly clientStream: ClientStream;
  /** What its head can say before any target has answered. */
  addKnownHeaders(headers: string[]): void;
}

/**
 * Comments in a stream whose first output is still awaited: a proxy in between may cut a connection that is silent for long. All streams
 * are looked at together, now and then: a timer for each would be dear, and nearly all of them would fire for nothing.
 */
export class KeepAlive {
  readonly #awaited: Awaited;
  readonly #requestId: string;
  readonly #afterMs: number;
  /** Monotonic, as timers run; Infinity: no output is awaited. */
  #silentSinceMs = Number.POSITIVE_INFINITY;

  constructor(awaited: Awaited, requestId: string, afterMs: number) {
    this.#awaited = awaited;
    this.#requestId = requestId;
    this.#afterMs = afterMs;
  }

  start(): void {
    this.#silentSinceMs = performance.now();
  }

  /** Output flows, or it is over. */
  stop(): void {
    this.#silentSinceMs = Number.POSITIVE_INFINITY;
  }

  /** Comments where it is time to. */
  look(nowMs: number): void {
    if (nowMs - this.#silentSinceMs < this.#afterMs) return;
    this.#silentSinceMs = nowMs;
    this.#comment();
  }

  #comment(): void {
    const { clientStream } = this.#awaited;
    if (!clientStream.opened) {
      const headers = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache'];
      headers.push('x-request-id', this.#requestId);
      this.#awaited.addKnownHeaders(headers);
      clientStream.open(headers);
    }
    clientStream.write(SSE_KEEP_ALIVE, () => {});
  }
}
