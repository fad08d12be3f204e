/** Limits by the calendar over a real Redis, whose script is handed the tests' clock. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Decision } from '../../src/limits/limiter.ts';
import type { SharedLimiter } from '../../src/limits/redis/shared.ts';
import type { Limit } from '../../src/routetable/types.ts';
import { ClockedFleet } from './clocked-fleet.ts';
import { limitedRequest } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';

const ask = async (limiter: SharedLimiter, limits: readonly Limit[], tokens = 1, nanoUsd = 0): Promise<Decision> =>
  limiter.reserve(limitedRequest(limits, tokens, nanoUsd));

const HOUR_MS = 3_600_000;
const rome = (limit: number, unit: Limit['unit'] = 'Requests'): Limit => ({
  name: 'budget',
  per: [],
  unit,
  limit,
  windowMs: null,
  calendar: { period: 'Day', timeZone: 'Europe/Rome' },
});

if (redisAbsent === null) {
  describe('limits by the calendar over a real Redis', () => {
    let redis: RedisProcess;
    let fleet: ClockedFleet;
    beforeEach(async () => {
      redis = await RedisProcess.start();
    });
    afterEach(async () => {
      await fleet.close();
      await redis.kill();
    });

    it.each([
      ['the pods agree', 0],
      ['a pod is five minutes ahead', 300_000],
      ['a pod is five minutes behind', -300_000],
    ])('end at midnight on Redis’ clock, where %s', async (_, aheadMs) => {
      // Clocks go forward in this night: the day has 23 hours.
      fleet = new ClockedFleet(redis.port, Date.parse('2026-03-28T23:00:00Z'));
      const pods = [await fleet.pod(), await fleet.pod(aheadMs)];
      const limits = [rome(40)];
      const burst = async (): Promise<readonly Decision[]> =>
        Promise.all(Array.from({ length: 60 }, async (_each, i) => ask(pods[i % 2] as SharedLimiter, limits)));
      expect((await burst()).filter(({ ok }) => ok)).toHaveLength(40);
      fleet.advance(23 * HOUR_MS - 1);
      for (const decision of await burst()) expect(decision).toMatchObject({ ok: false, retryAfterMs: 1 });
      fleet.advance(1);
      expect((await burst()).filter(({ ok }) => ok)).toHaveLength(40);
    });

    it('take nothing of a lease over into the next period', async () => {
      fleet = new ClockedFleet(redis.port, Date.parse('2026-11-24T22:59:59.960Z'));
      const pods = [await fleet.pod(), await fleet.pod()];
      const limits = [rome(1_000)];
      for (let i = 0; i < 200; i++) {
        expect((await ask(pods[i % 2] as SharedLimiter, limits)).ok).toBe(true);
        if (i % 20 === 0) fleet.advance(1);
      }
      fleet.advance(30);
      const admitted = await Promise.all(
        Array.from({ length: 1_200 }, async (_each, i) => ask(pods[i % 2] as SharedLimiter, limits)),
      );
      expect(admitted.filter(({ ok }) => ok)).toHaveLength(1_000);
    });

    it('keep what was spent in a month through FLUSHALL and the death of a pod’s lease', async () => {
      fleet = new ClockedFleet(redis.port, Date.parse('2028-02-10T12:00:00Z'));
      const pod = await fleet.pod();
      const limits: Limit[] = [{ ...rome(1_000_000, 'USD'), calendar: { period: 'Month', timeZone: 'UTC' } }];
      const first = await ask(pod, limits, 0, 600_000);
      if (!first.ok) throw new Error('refused');
      first.settle(0, 500_000);
      await redis.command('FLUSHALL');
      fleet.advance(20_000);
      expect(await ask(pod, limits, 0, 600_000)).toMatchObject({ ok: false, affordableNanoUsd: 500_000 });
      expect((await ask(pod, limits, 0, 500_000)).ok).toBe(true);
      // The leap year's 29th belongs to the month.
      fleet.advance(Date.parse('2028-02-29T23:59:59.999Z') - fleet.redisMs);
      expect(await ask(pod, limits, 0, 1)).toMatchObject({ ok: false, retryAfterMs: 1 });
      fleet.advance(1);
      expect((await ask(pod, limits, 0, 1_000_000)).ok).toBe(true);
    });
  });
} else {
  it(`absent: limits by the calendar over a real Redis: ${redisAbsent}`, () => {});
}
