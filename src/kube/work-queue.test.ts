import { describe, expect, test } from '@jest/globals';
import { ManualTimers } from '../lib/timers.ts';
import type { WorkResult } from './contract.ts';
import { WorkQueue } from './work-queue.ts';

function setUp(run: (key: string, signal: AbortSignal) => Promise<WorkResult>, concurrency = 1) {
  const timers = new ManualTimers();
  const errors: string[] = [];
  const queue = new WorkQueue({
    timers,
    random: () => 1,
    concurrency,
    run,
    onError: (error, key) => errors.push(`${key}: ${String(error)}`),
  });
  return { timers, queue, errors };
}

describe('a work queue', () => {
  test('runs a key once however often it was added, and again where it came while it ran', async () => {
    const log: string[] = [];
    const gates: (() => void)[] = [];
    const { timers, queue } = setUp((key) => {
      log.push(key);
      return new Promise((resolve) => gates.push(() => resolve('done')));
    });
    for (const key of ['a', 'b', 'a', 'b']) queue.add(key);
    await timers.run(0);
    expect(log).toEqual(['a']);
    queue.add('a');
    queue.add('a');
    gates.shift()?.();
    await timers.run(0);
    expect(log).toEqual(['a', 'b']);
    gates.shift()?.();
    await timers.run(0);
    expect(log).toEqual(['a', 'b', 'a']);
    gates.shift()?.();
    await timers.run(0);
    expect([log.length, queue.depth, timers.pending]).toEqual([3, 0, 0]);
  });

  test('never runs more than its concurrency, nor one key twice at a time', async () => {
    const running = new Set<string>();
    let most = 0;
    let twice = false;
    const { timers, queue } = setUp(async (key) => {
      twice ||= running.has(key);
      running.add(key);
      most = Math.max(most, running.size);
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(key);
      return 'done';
    }, 3);
    for (let i = 0; i < 100; i++) queue.add(`k${i % 7}`);
    while (queue.depth > 0 || running.size > 0) await timers.run(1);
    expect([most, twice]).toEqual([3, false]);
  });

  test('waits longer after each failure of a key, no longer than its bound, and forgets that on success', async () => {
    const times: number[] = [];
    let failures = 12;
    const { timers, queue, errors } = setUp(() => {
      times.push(timers.nowMs());
      if (failures-- > 0) return Promise.reject(new Error('no'));
      return Promise.resolve('done');
    });
    queue.add('a');
    await timers.run(200_000);
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(gaps).toEqual([50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    expect(errors).toHaveLength(12);
    failures = 1;
    const before = timers.nowMs();
    queue.add('a');
    await timers.run(1000);
    expect(times.slice(-2).map((time) => time - before)).toEqual([0, 50]);
  });

  test('a key that is added by somebody does not wait for its backoff', async () => {
    let runs = 0;
    const { timers, queue } = setUp(() => Promise.resolve(++runs === 1 ? 'retry' : 'done'));
    queue.add('a');
    await timers.run(10);
    queue.add('a');
    await timers.run(0);
    expect([runs, timers.pending]).toEqual([2, 0]);
  });

  test('of two wishes for later the sooner counts', async () => {
    const times: number[] = [];
    const { timers, queue } = setUp(() => {
      times.push(timers.nowMs());
      return Promise.resolve('done');
    });
    queue.addAfter('a', 500);
    queue.addAfter('a', 200);
    queue.addAfter('a', 900);
    await timers.run(2000);
    expect(times).toEqual([200]);
  });

  test('stop takes back what waits, tells what runs and resolves when that has ended', async () => {
    const gate = Promise.withResolvers<WorkResult>();
    let told: AbortSignal | undefined;
    const { timers, queue } = setUp((_key, signal) => {
      told = signal;
      return gate.promise;
    });
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 100);
    let ended = false;
    const stopped = queue.stop().then(() => (ended = true));
    await timers.run(1000);
    expect([told?.aborted, ended, timers.pending, queue.depth]).toEqual([true, false, 0, 0]);
    gate.resolve('retry');
    await stopped;
    queue.add('d');
    queue.addAfter('e', 1);
    expect([timers.pending, queue.depth]).toEqual([0, 0]);
  });
});
