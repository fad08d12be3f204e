/** What is measured, each by a load of its own. */
import type { Job, Outcome } from './load.ts';
import type { Figures, ModeName } from './results.ts';
import { chatBody, CLIENT_KEY, type Shape, type Target } from './workload.ts';

/** One load on one server. */
export interface Round {
  readonly outcome: Outcome;
  /** NaN where it cannot be measured. */
  readonly cpuUs: number;
}

export interface LoadMode {
  readonly what: string;
  readonly shape: Shape;
  readonly rounds: number;
  readonly seconds: number;
  /** Told in the results. */
  readonly settings: Readonly<Record<string, number>>;
  /** Asks for a rate, or many streams, whatever the server can. */
  readonly demanding: boolean;
  /** The mock itself is measured, too, to be taken off. */
  readonly againstDirect: boolean;
  readonly warmUp: (target: Target) => Job;
  readonly load: (target: Target, seconds: number, warmUp: Outcome) => Job;
  readonly figures: (rounds: readonly Round[], direct: readonly Round[]) => Partial<Figures>;
}

const CONNECTIONS = 64;
const WARM_UP_SECONDS = 1.5;
const REQUESTS_A_SECOND = 400;
const STREAMS_A_SECOND = 200;
export const AT_ONCE: Shape = { firstByteMs: 0, events: 1, intervalMs: 1 };
const STREAMED: Shape = { firstByteMs: 20, events: 100, intervalMs: 10 };
const SHORT: Shape = { firstByteMs: 0, events: 20, intervalMs: 10 };

export function closedLoop(what: string, sizeBytes: number, rounds: number): LoadMode {
  const body = (target: Target) => chatBody({ model: target.model, sizeBytes, stream: false });
  const job = (target: Target) => ({ kind: 'closed', target, body: body(target), connections: CONNECTIONS }) as const;
  return {
    what,
    shape: AT_ONCE,
    rounds,
    seconds: 1.5,
    settings: { bodyBytes: sizeBytes, connections: CONNECTIONS },
    demanding: false,
    againstDirect: false,
    warmUp: (target) => ({ ...job(target), seconds: WARM_UP_SECONDS }),
    // A number of requests, not a time: so that each is answered, and can be counted on both sides.
    load: (target, seconds, warmUp) => ({
      ...job(target),
      requests: Math.max(CONNECTIONS, Math.round(rateOf(warmUp) * seconds)),
    }),
    figures: (all) => {
      const cpuUs = all.map((round) => round.cpuUs / round.outcome.answered);
      const typicalUs = median(cpuUs);
      return {
        ...known('cpuUs', typicalUs, 1),
        ...known('cpuUsMin', Math.min(...cpuUs), 1),
        ...known('perCoreSecond', 1e6 / typicalUs),
        ...known('perSecond', median(all.map((round) => rateOf(round.outcome)))),
        ...known('coreBusyPercent', median(all.map((round) => round.cpuUs / round.outcome.elapsedMs / 10))),
      };
    },
  };
}

/** The time until `which` in a fixed-rate load. */
export function fixedRate(
  what: string,
  shape: Shape,
  ratePerSecond: number,
  which: 'answer' | 'firstEvent',
  warmUp: LoadMode['warmUp'],
  keys: readonly string[] = [CLIENT_KEY],
): LoadMode {
  const stream = which === 'firstEvent';
  const events = stream ? shape.events : 0;
  const p50 = (rounds: readonly Round[]) =>
    median(rounds.map(({ outcome }) => (stream ? outcome.firstEventP50Us : outcome.p50Us)));
  const p99 = (rounds: readonly Round[]) =>
    median(rounds.map(({ outcome }) => (stream ? outcome.firstEventP99Us : outcome.p99Us)));
  return {
    what,
    shape,
    rounds: 3,
    seconds: 2,
    settings: { bodyBytes: 1024, ratePerSecond, ...(stream ? shape : {}) },
    demanding: true,
    againstDirect: true,
    warmUp,
    load: (target, seconds) => ({
      kind: 'open',
      target,
      body: chatBody({ model: target.model, sizeBytes: 1024, stream }),
      ratePerSecond,
      requests: Math.max(1, Math.round(ratePerSecond * seconds)),
      events,
      keys,
    }),
    figures: (all, direct) => ({
      ...known('p50Us', p50(all)),
      ...known('p99Us', p99(all)),
      ...known('addedP50Us', p50(all) - p50(direct)),
      ...known('addedP99Us', p99(all) - p99(direct)),
      ...known('cpuUs', median(all.map((round) => round.cpuUs / round.outcome.answered)), 1),
    }),
  };
}

const thr = closedLoop('1 KB, 64 connections, one request after the other on each', 1024, 5);

export const LOAD_MODES: Readonly<Record<Exclude<ModeName, 'open'>, LoadMode>> = {
  thr,
  thr100k: closedLoop('100 KB, 64 connections, one request after the other on each', 100 * 1024, 3),
  lat: fixedRate('1 KB, 400 requests a second', AT_ONCE, REQUESTS_A_SECOND, 'answer', thr.warmUp),
  sse: {
    what: '64 streams at once, of 100 events in a second',
    shape: STREAMED,
    rounds: 3,
    seconds: 2.2,
    settings: { bodyBytes: 1024, streams: CONNECTIONS, ...STREAMED },
    demanding: true,
    againstDirect: false,
    warmUp: (target) => streams(target, CONNECTIONS, 1, 100, STREAMED),
    load: (target, seconds) => {
      const perStreamMs = STREAMED.firstByteMs + STREAMED.events * STREAMED.intervalMs;
      return streams(target, CONNECTIONS, Math.max(1, Math.round((seconds * 1_000) / perStreamMs)), 100, STREAMED);
    },
    figures: (all) => {
      const cpuUs = all.map((round) => round.cpuUs / round.outcome.events);
      return {
        ...known('cpuUs', median(cpuUs), 2),
        ...known('cpuUsMin', Math.min(...cpuUs), 2),
        ...known('perSecond', median(all.map(({ outcome }) => (outcome.events * 1_000) / outcome.elapsedMs))),
      };
    },
  },
  // A stream that is new to a server's compiler costs several times its later ones: a thousand come before what is measured.
  ttft: fixedRate('200 new streams a second', SHORT, STREAMS_A_SECOND, 'firstEvent', (target) =>
    streams(target, 100, 10, 200, SHORT),
  ),
};

/** Memory of streams that are open all at once, in a server that has just started. */
export const OPEN_MODE = {
  what: '2,000 open streams',
  shape: { firstByteMs: 20, events: 30, intervalMs: 200 },
  streams: 2_000,
  rampMs: 2_000,
  load(target: Target, count: number): Job {
    return streams(target, count, 1, this.rampMs, this.shape);
  },
} as const;

function streams(target: Target, count: number, perSlot: number, rampMs: number, shape: Shape): Job {
  const body = chatBody({ model: target.model, sizeBytes: 1024, stream: true });
  return { kind: 'streams', target, body, streams: count, perSlot, rampMs, events: shape.events };
}

function rateOf(outcome: Outcome): number {
  return (outcome.answered * 1_000) / outcome.elapsedMs;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

/** A figure under its name, or nothing where there is none. */
export function known<K extends keyof Figures>(name: K, value: number, digits = 0): Partial<Record<K, number>> {
  if (!Number.isFinite(value)) return {};
  return { [name]: Number(value.toFixed(digits)) } as Partial<Record<K, number>>;
}
