import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { ManualTimers } from '../lib/timers.ts';
import { Debounce } from './debounce.ts';

function debounced(): { timers: ManualTimers; debounce: Debounce; ranAt: number[] } {
  const timers = new ManualTimers();
  const ranAt: number[] = [];
  const debounce = new Debounce({ timers, run: () => ranAt.push(timers.nowMs()) });
  return { timers, debounce, ranAt };
}

describe('Debounce', () => {
  it('runs at once after a pause, and again at once after the next', async () => {
    const { timers, debounce, ranAt } = debounced();
    debounce.call();
    expect(ranAt).toEqual([0]);
    await timers.run(10);
    debounce.call();
    expect(ranAt).toEqual([0, 10]);
    await timers.run(1_000);
    expect(ranAt).toHaveLength(2);
    expect(timers.pending).toBe(0);
  });

  it('gathers what follows closely until it is quiet for 10 ms', async () => {
    const { timers, debounce, ranAt } = debounced();
    debounce.call();
    await timers.run(4);
    debounce.call();
    await timers.run(4);
    debounce.call();
    await timers.run(100);
    expect(ranAt).toEqual([0, 18]);
  });

  it('waits 50 ms at most while it never becomes quiet', async () => {
    const { timers, debounce, ranAt } = debounced();
    for (let ms = 0; ms < 200; ms++) {
      debounce.call();
      await timers.run(1);
    }
    await timers.run(100);
    expect(ranAt.slice(0, 4)).toEqual([0, 51, 101, 151]);
  });

  it('runs nothing after it was stopped, and leaves no timer', async () => {
    const { timers, debounce, ranAt } = debounced();
    debounce.call();
    debounce.call();
    debounce.stop();
    debounce.call();
    expect(timers.pending).toBe(0);
    await timers.run(1_000);
    expect(ranAt).toEqual([0]);
  });

  it('whatever the calls: each is followed by a run within 50 ms, and runs never come closer than 10 ms unless it was quiet', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 }), async (gaps) => {
        const { timers, debounce, ranAt } = debounced();
        const calls: number[] = [];
        for (const gap of gaps) {
          await timers.run(gap);
          calls.push(timers.nowMs());
          debounce.call();
        }
        await timers.run(1_000);
        for (const at of calls) expect(ranAt.some((ran) => ran >= at && ran <= at + 50)).toBe(true);
        for (const [index, ran] of ranAt.entries())
          if (index > 0) expect(ran - (ranAt[index - 1] ?? 0)).toBeGreaterThanOrEqual(10);
        expect(timers.pending).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});
