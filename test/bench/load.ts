/**
 * The load generator, a process of its own: takes one `Job` after the other from its parent and answers each with an `Outcome`.
 * Closed loop: autocannon. Open loop and streams, which autocannon cannot do (its rate is a burst each second): undici, at a fixed
 * schedule. Times are of `performance.now()` in this process: they contain its own work and the mock's, which the same
 * measurement without a peer in between takes off. In the open loop a request's time starts when it is due; what a timer of 1 ms
 * is late by is not counted, what this process is late by beyond that is.
 */
import autocannon from 'autocannon';
import { Pool, type Dispatcher } from 'undici';

import { CLIENT_KEY, type Target } from './workload.ts';

/** Several connections, each with one request at a time, until `requests` are answered (or `seconds` have passed). */
export interface ClosedJob {
  readonly kind: 'closed';
  readonly target: Target;
  readonly body: string;
  readonly connections: number;
  readonly requests?: number;
  readonly seconds?: number;
}

/** `requests` at a fixed rate, whatever becomes of them. */
export interface OpenJob {
  readonly kind: 'open';
  readonly target: Target;
  readonly body: string;
  readonly ratePerSecond: number;
  readonly requests: number;
  /** Events with text in each answer; 0: whole answers. */
  readonly events: number;
  /** Client keys that take turns; absent: one for all. */
  readonly keys?: readonly string[];
}

/** `streams` at once, begun over `rampMs`, each followed by the next until it has been `perSlot`. */
export interface StreamsJob {
  readonly kind: 'streams';
  readonly target: Target;
  readonly body: string;
  readonly streams: number;
  readonly perSlot: number;
  readonly rampMs: number;
  readonly events: number;
}

export type Job = ClosedJob | OpenJob | StreamsJob;

export interface Outcome {
  /** Answered as they should be: 200, and a stream whole to its [DONE]. */
  readonly good: number;
  /** Answered at all, i.e. what the server should have counted. */
  readonly answered: number;
  readonly errors: number;
  /** What went wrong first, in words; empty where nothing did. */
  readonly firstError: string;
  /** From the first request to the last answer. */
  readonly elapsedMs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Until the first event of a stream; NaN for whole answers. */
  readonly firstEventP50Us: number;
  readonly firstEventP99Us: number;
  /** Received, of every kind. */
  readonly events: number;
  /** Most streams that had begun and not ended. */
  readonly mostAtOnce: number;
}

const TIMER_MS = 1;
/** A server that has not answered by then never will. */
const GIVE_UP_MS = 30_000;

/** What has been seen of a job's answers so far. */
class Tally {
  readonly latenciesUs: number[] = [];
  readonly firstEventsUs: number[] = [];
  readonly startMs = performance.now();
  good = 0;
  answered = 0;
  errors = 0;
  firstError = '';
  events = 0;
  mostAtOnce = 0;
  #lastMs = this.startMs;

  answer(latencyMs: number, problem: string): void {
    this.#lastMs = performance.now();
    this.answered++;
    if (problem !== '') {
      this.fail(problem);
      return;
    }
    this.good++;
    this.latenciesUs.push(latencyMs * 1_000);
  }

  fail(problem: string): void {
    if (this.errors++ === 0) this.firstError = problem;
  }

  outcome(): Outcome {
    this.latenciesUs.sort((a, b) => a - b);
    this.firstEventsUs.sort((a, b) => a - b);
    return {
      good: this.good,
      answered: this.answered,
      errors: this.errors,
      firstError: this.firstError,
      elapsedMs: this.#lastMs - this.startMs,
      p50Us: quantile(this.latenciesUs, 0.5),
      p99Us: quantile(this.latenciesUs, 0.99),
      maxUs: quantile(this.latenciesUs, 1),
      firstEventP50Us: quantile(this.firstEventsUs, 0.5),
      firstEventP99Us: quantile(this.firstEventsUs, 0.99),
      events: this.events,
      mostAtOnce: this.mostAtOnce,
    };
  }
}

/** Nearest rank; NaN of nothing. */
function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}

/** Counts blank lines, i.e. server-sent events, wherever the chunks are cut. */
export class EventCounter {
  count = 0;
  #endsWithNewline = false;
  #tail = '';

  add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    let from = this.#endsWithNewline && chunk[0] === 0x0a ? 1 : 0;
    this.count += from;
    for (let at = chunk.indexOf('\n\n', from); at >= 0; at = chunk.indexOf('\n\n', from)) {
      this.count++;
      from = at + 2;
    }
    this.#endsWithNewline = chunk.length > from && chunk[chunk.length - 1] === 0x0a;
    this.#tail = (this.#tail + chunk.toString('latin1', Math.max(0, chunk.length - 16))).slice(-16);
  }

  /** The last event was [DONE]. */
  get done(): boolean {
    return this.#tail.trimEnd().endsWith('[DONE]');
  }
}

interface Exchange {
  readonly tally: Tally;
  readonly dueMs: number;
  /** 0: a whole answer. */
  readonly events: number;
  readonly ended: () => void;
}

class Answer implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #seen = new EventCounter();
  #status = 0;
  #firstEventUs = 0;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  onRequestStart(): void {
    // Nothing to do; undici wants it.
  }

  onResponseStart(_controller: unknown, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    const { events, dueMs } = this.#exchange;
    if (events === 0) return;
    // Not the head, nor a comment that keeps a connection open: the first text.
    if (this.#firstEventUs === 0 && chunk.includes('"content"')) this.#firstEventUs = (performance.now() - dueMs) * 1_000;
    this.#seen.add(chunk);
  }

  onResponseEnd(): void {
    const { tally, dueMs, ended } = this.#exchange;
    const problem = this.#problem();
    tally.answer(performance.now() - dueMs, problem);
    tally.events += this.#seen.count;
    if (problem === '' && this.#firstEventUs > 0) tally.firstEventsUs.push(this.#firstEventUs);
    ended();
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#exchange.tally.fail(error.message);
    this.#exchange.ended();
  }

  #problem(): string {
    const { events } = this.#exchange;
    if (this.#status !== 200) return `status ${this.#status}`;
    if (events === 0) return '';
    if (!this.#seen.done) return 'a stream ended without [DONE]';
    return this.#seen.count < events ? `a stream of ${this.#seen.count} events instead of ${events}` : '';
  }
}

function headersOf(target: Target, key = CLIENT_KEY): Record<string, string> {
  return { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...target.headers };
}

function closedLoop(job: ClosedJob): Promise<Outcome> {
  const tally = new Tally();
  return new Promise((resolve, reject) => {
    const run = autocannon(
      {
        url: `http://127.0.0.1:${job.target.port}${job.target.path}`,
        method: 'POST',
        headers: headersOf(job.target),
        body: job.body,
        connections: job.connections,
        ...(job.requests === undefined ? { duration: job.seconds ?? 1 } : { amount: job.requests }),
        sampleInt: 20,
        timeout: GIVE_UP_MS / 1_000,
      },
      (error) => (error === null ? resolve(tally.outcome()) : reject(error)),
    );
    run.on('response', (_client, status, _bytes, durationMs) =>
      tally.answer(durationMs, status === 200 ? '' : `status ${status}`),
    );
    run.on('reqError', (error) => tally.fail(error.message));
  });
}

/** Requests to one target; `exchange` sends one that was due at a time and calls back when it has ended, well or not. */
class Sender {
  readonly tally = new Tally();
  readonly #pool: Pool;
  /** They take turns. */
  readonly #requests: readonly Dispatcher.DispatchOptions[];
  readonly #events: number;
  #open = 0;
  #sent = 0;

  constructor(target: Target, body: string, events: number, keys: readonly string[] = [CLIENT_KEY]) {
    this.#pool = new Pool(`http://127.0.0.1:${target.port}`, {
      connections: null,
      pipelining: 1,
      allowH2: false,
      headersTimeout: GIVE_UP_MS,
      bodyTimeout: GIVE_UP_MS,
    });
    const bytes = Buffer.from(body);
    this.#requests = keys.map((key) => ({ method: 'POST', path: target.path, headers: headersOf(target, key), body: bytes }));
    this.#events = events;
  }

  exchange(dueMs: number, ended: () => void): void {
    this.tally.mostAtOnce = Math.max(this.tally.mostAtOnce, ++this.#open);
    const closed = () => {
      this.#open--;
      ended();
    };
    const request = this.#requests[this.#sent++ % this.#requests.length];
    if (request === undefined) throw new Error('a load without a client key');
    this.#pool.dispatch(request, new Answer({ tally: this.tally, dueMs, events: this.#events, ended: closed }));
  }

  async close(): Promise<Outcome> {
    await this.#pool.destroy();
    return this.tally.outcome();
  }
}

function openLoop(job: OpenJob): Promise<Outcome> {
  const sender = new Sender(job.target, job.body, job.events, job.keys);
  const gapMs = 1_000 / job.ratePerSecond;
  return new Promise((resolve) => {
    let sent = 0;
    let ended = 0;
    const one = () => {
      if (++ended === job.requests) resolve(sender.close());
    };
    const tick = () => {
      const nowMs = performance.now();
      for (; sent < job.requests; sent++) {
        const dueMs = sender.tally.startMs + sent * gapMs;
        if (dueMs > nowMs) {
          setTimeout(tick, dueMs - nowMs);
          return;
        }
        sender.exchange(Math.min(nowMs, dueMs + TIMER_MS), one);
      }
    };
    tick();
  });
}

function streamsAtOnce(job: StreamsJob): Promise<Outcome> {
  const sender = new Sender(job.target, job.body, job.events);
  return new Promise((resolve) => {
    let running = job.streams;
    const next = (left: number) => {
      if (left > 0) sender.exchange(performance.now(), () => next(left - 1));
      else if (--running === 0) resolve(sender.close());
    };
    for (let slot = 0; slot < job.streams; slot++) setTimeout(next, (slot * job.rampMs) / job.streams, job.perSlot);
  });
}

export function runJob(job: Job): Promise<Outcome> {
  switch (job.kind) {
    case 'closed':
      return closedLoop(job);
    case 'open':
      return openLoop(job);
    case 'streams':
      return streamsAtOnce(job);
  }
}

if (import.meta.main) {
  process.on('message', (message) => {
    runJob(message as Job).then(
      (outcome) => process.send?.(outcome),
      (error: unknown) => process.send?.({ failed: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
  process.send?.({});
}
