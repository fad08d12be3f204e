// By an import: the global is an accessor, which takes 30 cache lines at each use.
import { Buffer } from 'node:buffer';
import type net from 'node:net';
import type { Fields } from '../../lib/http1/message-parser.ts';
import { type Flushable, soon } from '../../lib/turn-end.ts';
import { type AnswerEvents, AnswerParser } from './answer-parser.ts';
import type { Connector } from './connector.ts';
import type { FixedHeaders } from './fixed-headers.ts';
import { requestBytes } from './request-head.ts';

/** Longer than any deadline of a call for its connection; an attempt to connect whose call has gone ends here. */
const CONNECT_MAX_MS = 60_000;
/** The code of the error of a connection that was not there in time. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';
/** Up to here head and body leave as one buffer, which costs less than two with a copy saved. */
const ONE_WRITE_MAX_BYTES = 16 * 1024;
/** How much earlier than the upstream says an idle connection is given up: a request must not meet its end. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

const NO_BODY: readonly Buffer[] = [];

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly fixed: FixedHeaders;
  /** Those of this request alone. Flat: name, value, …; without what frames the body. */
  readonly headers: readonly string[];
  /** Whole or in pieces. */
  readonly body: Buffer | readonly Buffer[] | null;
}

/** Steers a call under way. */
export interface CallController {
  /** The call ends at once with this error, and its connection with it. */
  abort(error: Error): void;
  pause(): void;
  resume(): void;
}

/** What becomes of a request; exactly one of `onResponseEnd` and `onResponseError` comes, last. */
export interface CallHandler {
  onRequestStart(controller: CallController): void;
  onResponseStart(controller: CallController, status: number, headers: Readonly<Fields>): void;
  onResponseData(controller: CallController, chunk: Buffer): void;
  onResponseEnd(): void;
  /** `controller`: null where the call never started. */
  onResponseError(controller: CallController | null, error: Error): void;
}

/** Whoever keeps connections. */
export interface ConnectionOwner {
  /** It has ended while no call was on it. */
  ended(connection: Connection): void;
}

/**
 * One HTTP/1.1 connection that carries one call at a time. On node:net, because undici's client takes 12 of the 46 µs of CPU that a
 * bare proxy of node:http and undici costs a call (Node 26, undici 8).
 */
export class Connection implements AnswerEvents, CallController, Flushable {
  /** Monotonic ms until which, left idle, it may be used. */
  idleUntilMs = 0;
  readonly #owner: ConnectionOwner;
  readonly #host: string;
  readonly #socket: net.Socket;
  readonly #parser: AnswerParser;
  readonly #connectTimer: NodeJS.Timeout;
  #handler: CallHandler | null = null;
  /** Waits for the connection to be there. */
  #request: HttpRequest | null = null;
  /** The head, and a small body with it, that go out at the turn's end. */
  #head: Buffer | null = null;
  /** What follows it. */
  #body: readonly Buffer[] = NO_BODY;
  #started = false;
  #paused = false;
  #ready = false;
  #over = false;

  constructor(connector: Connector, owner: ConnectionOwner) {
    this.#owner = owner;
    this.#host = connector.host;
    this.#parser = new AnswerParser(this, connector.known);
    this.#socket = connector.connect(
      (bytes, to) => this.#read(bytes, to),
      () => this.#onReady(),
    );
    this.#socket.on('error', (error: Error) => this.#fail(connectError(error, this.#ready)));
    this.#socket.on('end', () => this.#endedByUpstream());
    this.#socket.on('close', () => this.#fail(new Error('the upstream closed the connection')));
    this.#connectTimer = setTimeout(
      () => this.#fail(connectTimeout(`no connection within ${CONNECT_MAX_MS} ms`)),
      CONNECT_MAX_MS,
    ).unref();
  }

  /** Sends a request, now or as soon as the connection is there. None may be under way. Throws for one that cannot be sent. */
  dispatch(request: HttpRequest, handler: CallHandler): void {
    this.#handler = handler;
    this.#started = false;
    if (this.#ready) this.#send(request, handler);
    else this.#request = request;
  }

  /** The last answer left it fit for another call. */
  get reusable(): boolean {
    return this.#ready && !this.#over && this.#parser.reusable && this.#head === null && this.#socket.writableLength === 0;
  }

  /** How long it may be kept idle, given that the gateway keeps its own for `ownMs`. */
  keepAliveMs(ownMs: number): number {
    const { keepAliveMs } = this.#parser;
    return keepAliveMs === null ? ownMs : Math.min(ownMs, keepAliveMs - KEEP_ALIVE_MARGIN_MS);
  }

  /** Its call is over, or given up: the handler hears nothing more. */
  detach(): void {
    this.#handler = null;
    this.#request = null;
  }

  /** Closes it; a call on it is not told. */
  destroy(): void {
    this.detach();
    this.#over = true;
    this.#parser.stop();
    clearTimeout(this.#connectTimer);
    this.#socket.destroy();
  }

  /** Resolves when the socket is closed. */
  async closed(): Promise<void> {
    if (this.#socket.closed) return;
    await new Promise((resolve) => this.#socket.once('close', resolve));
  }

  /** Ends the call on it, which is told. */
  abort(error: Error): void {
    this.#fail(error);
  }

  pause(): void {
    if (this.#paused || this.#over) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#over) return;
    this.#paused = false;
    this.#socket.resume();
  }

  onHead(status: number, headers: Readonly<Fields>): void {
    this.#handler?.onResponseStart(this, status, headers);
  }

  onBody(bytes: Buffer): void {
    this.#handler?.onResponseData(this, bytes);
  }

  onEnd(): void {
    // The next call may be on it before this returns.
    const handler = this.#handler;
    this.#handler = null;
    this.resume();
    handler?.onResponseEnd();
  }

  #send(request: HttpRequest, handler: CallHandler): void {
    const body = piecesOf(request.body);
    let bytes = 0;
    for (const piece of body) bytes += piece.length;
    const beginning = request.fixed.beginning(request.method, request.path, this.#host);
    const together = beginning.length + bytes <= ONE_WRITE_MAX_BYTES;
    const length = request.body === null ? null : bytes;
    this.#head = requestBytes(beginning, request.headers, length, together ? body : NO_BODY);
    this.#body = together ? NO_BODY : body;
    this.#started = true;
    this.#parser.expect();
    soon(this);
    // Who starts its clocks now has not kept the request waiting for them.
    handler.onRequestStart(this);
  }

  flush(): void {
    const head = this.#head;
    const body = this.#body;
    this.#head = null;
    this.#body = NO_BODY;
    if (head === null || this.#over) return;
    const socket = this.#socket;
    if (body.length === 0) {
      socket.write(head);
    } else {
      socket.cork();
      socket.write(head);
      for (const piece of body) socket.write(piece);
      socket.uncork();
    }
  }

  #onReady(): void {
    this.#ready = true;
    clearTimeout(this.#connectTimer);
    const { request, handler } = { request: this.#request, handler: this.#handler };
    this.#request = null;
    if (request === null || handler === null) return;
    try {
      this.#send(request, handler);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #read(bytes: Buffer, to: number): void {
    try {
      this.#parser.read(bytes, 0, to);
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #endedByUpstream(): void {
    if (this.#over) return;
    try {
      this.#parser.end();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    this.#fail(new Error('the upstream closed the connection'));
  }

  /** It is of no further use; whoever is on it is told, else its owner. */
  #fail(error: Error): void {
    if (this.#over) return;
    const handler = this.#handler;
    const controller = this.#started ? this : null;
    this.destroy();
    if (handler === null) this.#owner.ended(this);
    else handler.onResponseError(controller, error);
  }
}

function piecesOf(body: HttpRequest['body']): readonly Buffer[] {
  if (body === null) return NO_BODY;
  return Buffer.isBuffer(body) ? [body] : body;
}

function connectTimeout(message: string, cause?: Error): Error {
  return Object.assign(new Error(message, { cause }), { code: CONNECT_TIMEOUT });
}

/** Of several addresses that were tried in turn: one that did not answer says more than the others' refusals. */
function connectError(error: Error, connected: boolean): Error {
  if (connected || !(error instanceof AggregateError)) return error;
  const errors: readonly unknown[] = error.errors;
  const timedOut = errors.some((one) => one instanceof Error && 'code' in one && one.code === 'ETIMEDOUT');
  return timedOut ? connectTimeout('no address of the upstream answered in time', error) : error;
}
