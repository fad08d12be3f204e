/**
 * One pod of the history check: a process of either kind with a clock of its own that is minutes off, which asks itself for what a schedule
 * wants of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/lib/clock.ts';
import { trueMs } from './history.ts';
import { PodLog } from './pod-log.ts';
import { type Burst, Random, type Schedule } from './schedule.ts';

/** What a request asks for and what becomes of it. */
export interface Wish {
  /** Unique among all pods. */
  readonly id: string;
  /** To be reserved. */
  readonly tokens: number;
  /** At most `tokens`. */
  readonly used: number;
  readonly holdMs: number;
  /** It never runs, and is given back. */
  readonly unused: boolean;
}

/** Something that limits, and writes down what it admitted. */
export interface Pod {
  begin(schedule: Schedule): void;
  /** Ends with the request. */
  ask(schedule: Schedule, wish: Wish): Promise<void>;
}

export type PodMessage =
  | { readonly schedule: Schedule; readonly pod: number; readonly startMs: number }
  | { readonly stepClockMs: number };

const [kind, port, file = '', skew] = process.argv.slice(2);
const skewMs = Number(skew);
let steppedMs = 0;
const clock: Clock = { nowMs: () => trueMs() + skewMs, wallMs: () => Date.now() + skewMs + steppedMs };
const log = new PodLog(file);
// Only one of the two is loaded: eight processes start at once.
const start = kind === 'gateway' ? (await import('./pod-gateway.ts')).gatewayPod : (await import('./pod-limiter.ts')).limiterPod;
const pod = await start(Number(port), clock, log);
let requests = 0;

async function demand(schedule: Schedule, burst: Burst, index: number): Promise<void> {
  const random = new Random(schedule.number * 1_000 + index);
  await sleep(burst.atMs);
  const under: Promise<void>[] = [];
  for (let i = 0; i < burst.requests; i++) {
    const id = `${process.pid}-${++requests}`;
    const tokens = random.whole(1, 300);
    const used = random.whole(0, tokens);
    under.push(pod.ask(schedule, { id, tokens, used, holdMs: random.whole(0, 200), unused: random.next() < 0.1 }));
    if (burst.gapMs > 0) await sleep(burst.gapMs);
  }
  await Promise.all(under);
}

process.on('message', (message: PodMessage) => {
  if ('stepClockMs' in message) {
    steppedMs += message.stepClockMs;
    return;
  }
  const { schedule } = message;
  pod.begin(schedule);
  const wait = message.startMs - Date.now();
  const mine = schedule.bursts.flatMap((burst, index) =>
    burst.pod === message.pod && burst.atMs + wait > 0 ? [demand(schedule, { ...burst, atMs: burst.atMs + wait }, index)] : [],
  );
  Promise.all(mine).then(
    () => process.send?.({ done: schedule.number }),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
// Whoever started it may end without a word.
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
