import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { atTurnEnd, type Flushable, soon } from '../../lib/turn-end.ts';
import { Exchange, type ExchangeCarrier } from './exchange.ts';
import type { RecentHeads } from './head-memory.ts';
import type { RequestHead } from './request-head.ts';
import { readShared } from './shared-reads.ts';
import { HttpRequestError, type RequestEvents, RequestParser } from './request-parser.ts';

/** What a client may send ahead of its answers before it is read no further. Its leaving is seen only while it is read. */
const MAX_AHEAD_BYTES = 64 * 1024;
/** How much of a refused request is read on, and for how long, before its connection is cut. */
const LINGER_MAX_BYTES = 64 * 1024 * 1024;
export const LINGER_MAX_MS = 30_000;
/** For a refusal to be read; then the connection goes, whether or not the client lets go of it. */
const REFUSED_LINGER_MS = 1_000;

/** Whoever accepts connections. */
export interface ConnectionHost {
  /** Counts sweeps over the connections: what time is measured in here, so that no request asks a clock. */
  readonly tick: number;
  readonly recentHeads: RecentHeads;
  onExchange(exchange: Exchange, connection: ClientConnection): void;
  onClosed(connection: ClientConnection): void;
  /** The answer to a request that is none: its head and body. */
  refusal(status: number, message: string): Buffer;
}

/** How long a client may take, in sweeps. */
export interface PatienceTicks {
  readonly head: number;
  /** For the whole request, body included; and to take what was left of its answer when that was over. */
  readonly request: number;
  readonly idle: number;
  readonly linger: number;
}

/**
 * One client's connection: reads its requests one after the other and writes their answers in that order. A request that comes before
 * the one ahead of it is answered waits here, up to a bound.
 */
export class ClientConnection implements RequestEvents, ExchangeCarrier, Flushable {
  /** Monotonic ms from which on it is too old to be kept; 0: not decided yet. */
  oldAtMs = 0;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #parser: RequestParser;
  #exchange: Exchange | null = null;
  /** Came ahead of its turn. */
  #ahead: Buffer | null = null;
  #reading = false;
  #paused = false;
  /** Its output is to be flushed. */
  #waiting = false;
  /** The answer's last byte has been handed to the socket. */
  #answered = false;
  #lingeredBytes = 0;
  /** When what it waits for began. */
  #sinceTick: number;
  /** Nothing more is read from it. */
  #closing = false;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#sinceTick = host.tick;
    this.#parser = new RequestParser(this, host.recentHeads);
    this.#parser.expect();
    readShared(socket, (bytes, to) => this.#onData(bytes, to));
    socket.on('close', () => this.#onClose());
    // What follows is its close.
    socket.on('error', ignore);
  }

  get flowing(): boolean {
    return !this.#socket.writableNeedDrain;
  }

  /** It has carried a request, and none is under way. */
  get idle(): boolean {
    return this.oldAtMs !== 0 && this.#isBetweenRequests();
  }

  #isBetweenRequests(): boolean {
    return this.#exchange === null && this.#parser.untouched;
  }

  /** Once its client has what was written. */
  close(): void {
    this.#closing = true;
    this.#socket.destroySoon();
  }

  /** At once, whatever is under way. */
  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  /** Ends it where its client has let a time pass. */
  expire(tick: number, patience: PatienceTicks): void {
    const exchange = this.#exchange;
    const ticks = tick - this.#sinceTick;
    if (this.#closing) {
      if (ticks > patience.request) this.destroy();
    } else if (exchange === null) {
      if (this.#parser.untouched) {
        if (ticks > (this.idle ? patience.idle : patience.head)) this.destroy();
      } else if (ticks > patience.head) {
        this.#refuse(LATE);
      }
    } else if (!exchange.complete) {
      if (this.#answered && ticks > patience.linger) this.destroy();
      else if (ticks > patience.request) this.#refuse(LATE);
    } else if (this.#answered && ticks > patience.request) {
      this.destroy();
    }
  }

  #onData(bytes: Buffer, to: number): void {
    if (this.#closing) return;
    if (this.#exchange?.complete === true) this.#keepAhead(bytes.subarray(0, to));
    else this.#read(bytes, to);
  }

  #keepAhead(bytes: Buffer): void {
    // A copy: the buffer is read into again.
    this.#ahead = this.#ahead === null ? Buffer.from(bytes) : Buffer.concat([this.#ahead, bytes]);
    if (this.#ahead.length <= MAX_AHEAD_BYTES || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #read(bytes: Buffer, to: number): void {
    this.#reading = true;
    const between = this.#isBetweenRequests();
    try {
      for (let at = 0; at < to && !this.#closing;) {
        if (this.#exchange?.complete === true) {
          this.#keepAhead(bytes.subarray(at, to));
          break;
        }
        at = this.#parser.read(bytes, at, to);
      }
      // Empty lines are no request: they gain no time.
      if (between && !this.#isBetweenRequests()) this.#sinceTick = this.#host.tick;
    } catch (error) {
      if (!(error instanceof HttpRequestError)) throw error;
      this.#refuse(error);
    } finally {
      this.#reading = false;
    }
  }

  onRequest(head: RequestHead, contentLength: number | null): void {
    const exchange = new Exchange(this, head, contentLength);
    this.#exchange = exchange;
    this.#answered = false;
    this.#lingeredBytes = 0;
    this.#host.onExchange(exchange, this);
  }

  onRequestBody(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (!exchange.ended) {
      exchange.sink?.onBodyBytes(bytes);
      return;
    }
    // Closed under a client that writes, the connection would be reset, and the answer lost before it is read (RFC 9112, section 9.6).
    this.#lingeredBytes += bytes.length;
    if (this.#lingeredBytes > LINGER_MAX_BYTES) this.destroy();
  }

  onRequestEnd(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    exchange.complete = true;
    if (!exchange.ended) exchange.sink?.onBodyEnd();
    exchange.sink = null;
    this.#settle();
  }

  outputReady(atOnce: boolean): void {
    if (atOnce) {
      this.flush();
    } else if (!this.#waiting) {
      this.#waiting = true;
      if (this.#exchange?.ended === true) soon(this);
      else atTurnEnd(this);
    }
  }

  sendInterim(text: string): void {
    if (!this.#closing) this.#socket.write(text, 'latin1');
  }

  cut(reset: boolean): void {
    this.#closing = true;
    // TLS has an end of its own, whose absence tells.
    if (reset && !(this.#socket instanceof TLSSocket)) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** What an ended connection is asked to send is nobody's any more. */
  flush(): void {
    this.#waiting = false;
    const exchange = this.#exchange;
    if (exchange === null || this.#answered || this.#socket.destroyed) return;
    const pieces = exchange.takeOutput();
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) {
      this.#write(first);
    } else if (pieces.length > 1) {
      this.#socket.cork();
      for (const piece of pieces) this.#write(piece);
      this.#socket.uncork();
    }
    if (!exchange.ended) return;
    this.#answered = true;
    this.#sinceTick = this.#host.tick;
    this.#settle();
  }

  #write(bytes: Buffer): void {
    if (this.#socket.write(bytes) || this.#socket.listenerCount('drain') > 0) return;
    this.#socket.once('drain', () => this.#onDrain());
  }

  #onDrain(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    if (this.#answered) this.#settle();
    else exchange.drained();
  }

  /** Both sides of an exchange are over and the client has caught up: the next one may begin. */
  #settle(): void {
    const exchange = this.#exchange;
    if (exchange === null || !this.#answered || !exchange.complete) return;
    if (exchange.last) {
      this.#exchange = null;
      this.close();
      return;
    }
    if (this.#socket.writableNeedDrain) return;
    this.#exchange = null;
    this.#sinceTick = this.#host.tick;
    this.#parser.expect();
    if (!this.#reading && this.#ahead !== null) this.#readAhead();
  }

  #readAhead(): void {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    if (ahead !== null) this.#read(ahead, ahead.length);
  }

  /** Says so, where nothing has been answered yet: nothing may be put into the middle of an answer, where it would pass for a part of it. */
  #refuse({ status, message }: Refusal): void {
    const exchange = this.#exchange;
    this.#closing = true;
    this.#parser.stop();
    if (exchange?.answering === true) {
      if (exchange.ended) {
        this.flush();
        this.#socket.destroySoon();
      } else {
        this.#socket.destroy();
      }
      return;
    }
    this.#exchange = null;
    this.#socket.end(this.#host.refusal(status, message));
    setTimeout(() => this.#socket.destroy(), REFUSED_LINGER_MS).unref();
    exchange?.owner?.connectionLost();
  }

  #onClose(): void {
    this.#closing = true;
    this.#parser.stop();
    this.#ahead = null;
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#host.onClosed(this);
    if (exchange !== null && !exchange.ended) exchange.owner?.connectionLost();
  }
}

interface Refusal {
  readonly status: number;
  readonly message: string;
}

const LATE: Refusal = { status: 408, message: 'The request did not arrive within the time for it.' };

function ignore(): void {}
