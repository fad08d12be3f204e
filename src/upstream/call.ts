import { errors } from 'undici';
import type { Clock } from '../lib/clock.ts';
import type { Failure, TimeoutPhase } from '../lib/failure.ts';
import type { Fields } from '../lib/http1/message-parser.ts';
import { ADDRESS_REFUSED } from './address-policy.ts';
import type { Channel } from './connections.ts';
import { HttpAnswerError } from './http1/answer-head.ts';
import { type CallController, CONNECT_TIMEOUT, type Connection, type HttpRequest } from './http1/connection.ts';
import type { PooledHandler, Queued } from './origin-pool.ts';

/** What becomes of a call. After `onComplete` or `onBroken`, of which exactly one comes, nothing follows; after `cancel` nothing at all. */
export interface CallSink {
  onAnswer(status: number, headers: Readonly<Fields>): void;
  onChunk(chunk: Buffer): void;
  onComplete(): void;
  /** `timeout`, `network`, `stream_broken` (after the answer's head), `malformed`, or `client_gone` for a reader that stays behind. */
  onBroken(failure: Failure): void;
}

export interface CallTimeouts {
  readonly connectMs: number;
  readonly firstTokenMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
}

/** How long, and for how many bytes more, a body may go on of which nothing is needed any more, before its connection is closed. */
const AFTER_ENOUGH_MS = 5_000;
const AFTER_ENOUGH_BYTES = 64 * 1024;

/** setTimeout takes longer times for 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  ADDRESS_REFUSED,
]);

/**
 * One HTTP call to an upstream with its deadlines: `connect` from dispatch until the request is written (a queue for a
 * connection counts), then for streams `firstToken` until `committed()` is called and `idle` between bytes after it, for whole
 * answers `total`. What comes after `enough()` is bounded as a whole. At most one timer runs at a time.
 */
export class UpstreamCall implements PooledHandler {
  connection: Connection | null = null;
  /** Monotonic; 0 until it happened. */
  startedMs = 0;
  answeredMs = 0;
  readonly dispatchedMs: number;

  readonly #channel: Channel;
  readonly #sink: CallSink;
  readonly #timeouts: CallTimeouts;
  readonly #clock: Clock;
  readonly #stream: boolean;
  #controller: CallController | null = null;
  #queued: Queued | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires: at the deadline, or earlier, and then looks when that is. */
  #firesAtMs = 0;
  /** What is waited for, since when, and for how long. Monotonic, as timers run. */
  #phase: TimeoutPhase = 'connect';
  #sinceMs = 0;
  #limitMs = 0;
  #over = false;
  #committed = false;
  #paused = false;
  /** Of a body of which nothing is needed any more; null: it is. */
  #bytesLeft: number | null = null;

  constructor(channel: Channel, sink: CallSink, timeouts: CallTimeouts, stream: boolean, clock: Clock) {
    this.#channel = channel;
    this.#sink = sink;
    this.#timeouts = timeouts;
    this.#stream = stream;
    this.#clock = clock;
    this.dispatchedMs = clock.nowMs();
  }

  /** True where the call had to wait for a connection. */
  start(request: HttpRequest): boolean {
    try {
      this.#queued = this.#channel.dispatch(request, this);
    } catch (error) {
      this.#break(brokenBy(error, false, false));
      return false;
    }
    if (this.startedMs === 0 && !this.#over) this.#arm(this.#timeouts.connectMs, 'connect');
    return this.#queued !== null;
  }

  /** The stream's first output went to the client: from here on only silence ends it. */
  committed(): void {
    this.#committed = true;
    if (!this.#over) this.#arm(this.#timeouts.idleMs, 'idle');
  }

  /** Its reader is behind. While it stays so, silence is the reader's and not the upstream's. */
  pause(): void {
    this.#paused = true;
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#over) return;
    this.#paused = false;
    if (this.#committed && this.#bytesLeft === null) this.#sinceMs = performance.now();
    this.#controller?.resume();
  }

  /** The answer has ended, its transport has not: it may yet, and the connection can be used again, or it is closed. */
  enough(): void {
    if (this.#over) return;
    this.resume();
    this.#bytesLeft = AFTER_ENOUGH_BYTES;
    this.#arm(Math.min(this.#timeouts.idleMs, AFTER_ENOUGH_MS), 'idle');
  }

  /** Ends the call at once and closes its connection; the sink hears nothing more. */
  cancel(): void {
    if (this.#over) return;
    this.#finish();
    this.#abort();
  }

  onRequestStart(controller: CallController): void {
    this.#controller = controller;
    // It has the request, body included, and streams are long.
    this.#queued = null;
    if (this.#over) {
      controller.abort(new Error('cancelled'));
      return;
    }
    this.startedMs = this.#clock.nowMs();
    const { firstTokenMs, totalMs } = this.#timeouts;
    if (this.#stream && firstTokenMs < totalMs) this.#arm(firstTokenMs, 'first_token');
    else this.#arm(totalMs, 'total');
  }

  onResponseStart(_controller: CallController, status: number, headers: Readonly<Fields>): void {
    if (this.#over || status < 200) return;
    this.answeredMs = this.#clock.nowMs();
    this.#sink.onAnswer(status, headers);
  }

  onResponseData(_controller: CallController, chunk: Buffer): void {
    // undici's parser reports an empty chunk when it is resumed.
    if (this.#over || chunk.length === 0) return;
    if (this.#bytesLeft !== null) {
      this.#bytesLeft -= chunk.length;
      if (this.#bytesLeft < 0) this.#endLate();
      return;
    }
    if (this.#committed) this.#sinceMs = performance.now();
    this.#sink.onChunk(chunk);
  }

  onResponseEnd(): void {
    const over = this.#over;
    this.#finish();
    this.#channel.release(this, true);
    if (!over) this.#sink.onComplete();
  }

  onResponseError(_controller: CallController | null, error: Error): void {
    this.#channel.release(this, false);
    if (!this.#over) this.#break(brokenBy(error, this.startedMs > 0, this.answeredMs > 0));
  }

  /**
   * A timer that fires earlier goes on. To end one and begin another with each phase, and to set one back with each chunk, is dear: node
   * keeps a list for each length of time and throws it away with its last timer.
   */
  #arm(ms: number, phase: TimeoutPhase): void {
    const nowMs = performance.now();
    this.#phase = phase;
    this.#sinceMs = nowMs;
    this.#limitMs = ms;
    if (this.#timer === undefined || this.#firesAtMs > nowMs + ms) this.#startTimer(nowMs);
  }

  #startTimer(nowMs: number): void {
    const leftMs = Math.min(Math.ceil(this.#sinceMs + this.#limitMs - nowMs), MAX_TIMER_MS);
    clearTimeout(this.#timer);
    this.#firesAtMs = nowMs + leftMs;
    this.#timer = setTimeout(onTimer, leftMs, this);
  }

  onTimer(): void {
    if (this.#over) return;
    const nowMs = performance.now();
    if (this.#sinceMs + this.#limitMs > nowMs) this.#startTimer(nowMs);
    else this.#expire(this.#phase, this.#limitMs);
  }

  #expire(phase: TimeoutPhase, ms: number): void {
    this.#finish();
    this.#abort();
    if (this.#paused && this.#committed)
      this.#sink.onBroken({ kind: 'client_gone', message: `the client read nothing for ${ms} ms` });
    else this.#sink.onBroken({ kind: 'timeout', phase, message: `no ${WAITED_FOR[phase]} within ${ms} ms` });
  }

  #endLate(): void {
    this.#finish();
    this.#abort();
    this.#sink.onBroken({ kind: 'stream_broken', sentBytes: 0, message: 'the body went on after the end of its answer' });
  }

  #break(failure: Failure): void {
    this.#finish();
    this.#sink.onBroken(failure);
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #abort(): void {
    if (this.#controller !== null) this.#controller.abort(new Error('cancelled'));
    else if (this.connection !== null) this.#channel.release(this, false);
    else this.#queued?.cancel();
    // A proxy's call that has not started is none of these: onRequestStart sees that it is over.
  }
}

const WAITED_FOR: Readonly<Record<TimeoutPhase, string>> = {
  connect: 'connection',
  headers: 'answer',
  first_token: 'first token',
  idle: 'further byte',
  total: 'whole answer',
};

function onTimer(call: UpstreamCall): void {
  call.onTimer();
}

function brokenBy(error: unknown, started: boolean, answered: boolean): Failure {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const text = error instanceof Error && error.message !== '' ? error.message : String(code ?? error);
  const message = text.slice(0, 512);
  const known = code === undefined ? {} : { code };
  if (
    error instanceof HttpAnswerError ||
    error instanceof errors.HTTPParserError ||
    error instanceof errors.HeadersOverflowError
  ) {
    return { kind: 'malformed', message: `not an HTTP answer: ${message}`, ...known };
  }
  if (code === CONNECT_TIMEOUT || code === 'UND_ERR_CONNECT_TIMEOUT')
    return { kind: 'timeout', phase: 'connect', message, ...known };
  if (answered) return { kind: 'stream_broken', sentBytes: 0, message, ...known };
  return { kind: 'network', connecting: !started || (code !== undefined && CONNECT_CODES.has(code)), message, ...known };
}
