import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { SlidingWindow } from '../counters.ts';
import { type LeaseReply, PARTS } from './lease-call.ts';
import { LeasedCounter } from './leased-counter.ts';

const WINDOW_MS = 1_000;
const LIMIT = 1_000;
const REDIS_AHEAD_MS = 1e12;

it('tells after a long absence of Redis what its window still holds, and no more', async () => {
  let nowMs = 0;
  let reachable = true;
  const asked: (readonly (string | number)[])[] = [];
  const host = {
    clock: { nowMs: () => nowMs, wallMs: () => nowMs },
    pod: 'p',
    get reachable() {
      return reachable;
    },
    lease: async (_key: string, args: readonly (string | number)[]): Promise<LeaseReply> => {
      asked.push(args);
      if (!reachable) throw new Error('no answer');
      const status = 'OK' as const;
      const clock = { nowMs: REDIS_AHEAD_MS + nowMs, waitMs: 0, resetMs: 0 };
      return { ...clock, status, epoch: 'e', granted: 1, leaseMs: 250, lastCall: 0, free: LIMIT, pods: 1 };
    },
    tellDate() {},
    tend() {},
  };
  const identity = { key: 'k', kind: 'sliding' as const, windowMs: WINDOW_MS, period: null };
  const counter = new LeasedCounter(host, identity, new SlidingWindow(WINDOW_MS), LIMIT);
  await counter.acquire(0);
  reachable = false;
  const partMs = WINDOW_MS / PARTS;
  // Half of them are answered much later than their window lasts.
  const open: { readonly part: number; readonly takenMs: number }[] = [];
  for (let parts = 0; parts < 20 * PARTS; parts++) {
    nowMs += partMs;
    open.push({ part: counter.take(2, nowMs), takenMs: nowMs });
    const ended = parts > 4 * PARTS ? open.shift() : undefined;
    if (ended !== undefined) counter.settle(ended.part, 2, 1, ended.takenMs, nowMs);
  }
  reachable = true;
  for (let calls = 0; calls < 3; calls++) {
    nowMs += partMs;
    await counter.acquire(0);
    await turn();
  }
  const pairs = asked.map((args) => args.slice(15).map(Number));
  expect(Math.max(...pairs.map(({ length }) => length / 2))).toBeLessThanOrEqual(3 * PARTS);
  // All that was used within the last window is among them.
  const nowPart = Math.floor((REDIS_AHEAD_MS + nowMs) / partMs);
  let told = 0;
  for (const one of pairs)
    for (let at = 0; at < one.length; at += 2) if ((one[at] ?? 0) > nowPart - PARTS) told += one[at + 1] ?? 0;
  expect(told).toBeGreaterThanOrEqual(2 * (PARTS - 5));
});
