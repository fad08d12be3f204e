import { describe, expect, it } from '@jest/globals';
import { PeriodSum, SlidingWindow } from '../counters.ts';
import { AloneShare } from './alone-share.ts';

const HOUR_MS = 3_600_000;
const PODS = 2;
const LIMIT = 100;

describe('a pod that has lost Redis', () => {
  it('has a share that makes the limit with those of the others', () => {
    const roomOf = (limit: number, pods: number, rank: number | null): number =>
      new AloneShare(new SlidingWindow(HOUR_MS), HOUR_MS).room(limit, { pods, rank }, 0);
    for (const [limit, pods] of [
      [5, 3],
      [100, 7],
      [30, 3],
      [3, 3],
    ] as const) {
      const shares = Array.from({ length: pods }, (_, rank) => roomOf(limit, pods, rank));
      expect(shares.reduce((sum, share) => sum + share)).toBe(limit);
    }
    // Where it is not known who has what is left over, nobody has.
    expect([roomOf(5, 3, null), roomOf(2, 3, 2)]).toEqual([1, 1]);
  });

  it('waits for the end of a period of the calendar where the others have used it up', () => {
    const alone = new AloneShare(new PeriodSum({ startMs: 0, endMs: HOUR_MS }, () => 0), null);
    alone.heard(LIMIT, 20, 0, 0);
    const { room, waitMs } = alone.measured({ pods: PODS });
    expect(room(LIMIT, 0)).toBe(10);
    expect(waitMs(LIMIT, 10, 0)).toBe(1);
    expect(waitMs(LIMIT, 11, 0)).toBe(HOUR_MS);
  });

  it('waits until what the others had in a window has aged as far as it needs, and then has it', () => {
    const alone = new AloneShare(new SlidingWindow(HOUR_MS), HOUR_MS);
    alone.heard(LIMIT, 20, 0, 0);
    const { room, waitMs } = alone.measured({ pods: PODS });
    const thenMs = waitMs(LIMIT, 28, 0);
    // A fifth of the 90 that are theirs.
    expect(thenMs).toBe(HOUR_MS / 5);
    expect(room(LIMIT, thenMs - 1)).toBe(27);
    expect(room(LIMIT, thenMs)).toBe(28);
  });
});
