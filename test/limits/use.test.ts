/** How much of a limit eight pods can use, over minutes of a clock that the test sets: windows of a minute, one real Redis. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { OutputEstimate } from '../../src/gateway/output-estimate.ts';
import type { Reservation } from '../../src/limits/limiter.ts';
import type { SharedLimiter } from '../../src/limits/redis/shared.ts';
import type { Limit } from '../../src/routetable/types.ts';
import { seededRandom } from '../features/support/gateway.ts';
import { ClockedFleet } from './clocked-fleet.ts';
import { limitedRequest } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';
import { PODS } from './schedule.ts';

const WINDOW_MS = 60_000;
const WINDOWS = 6;
const STEP_MS = 10;
/** Until a first window is full, and answers have been learned from. */
const SETTLING_WINDOWS = 2;

if (redisAbsent === null) {
  describe('of a limit that eight pods share', () => {
    let redis: RedisProcess;
    let fleet: ClockedFleet;
    let pods: SharedLimiter[];

    beforeEach(async () => {
      redis = await RedisProcess.start();
      fleet = new ClockedFleet(redis.port, Date.parse('2026-11-24T12:00:00Z'));
      pods = [];
      for (let i = 0; i < PODS; i++) pods.push(await fleet.pod());
      // What pods do every so often, they do by the test's clock.
      jest.useFakeTimers({
        doNotFake: [
          ...(['Date', 'hrtime', 'performance', 'nextTick', 'queueMicrotask'] as const),
          ...(['setImmediate', 'clearImmediate', 'setTimeout', 'clearTimeout'] as const),
        ],
      });
    });
    afterEach(async () => {
      jest.useRealTimers();
      await fleet.close();
      await redis.kill();
    });

    /** One request each step, of the pods in turn; answers what was used in each window, the first ones left out. */
    async function demand(limit: Limit, tokens: (pod: number) => number, used: (pod: number) => number): Promise<number[]> {
      const running: { readonly reservation: Reservation; readonly endMs: number; readonly used: number }[] = [];
      const usedIn = Array.from({ length: WINDOWS }, () => 0);
      const limits = [limit];
      for (let ms = 0; ms < WINDOWS * WINDOW_MS; ms += STEP_MS) {
        while (running[0] !== undefined && running[0].endMs <= ms) {
          const ended = running.shift();
          ended?.reservation.settle(ended.used);
        }
        const turn = (ms / STEP_MS) % PODS;
        const asked = pods[turn]?.reserve(limitedRequest(limits, tokens(turn)));
        const decision = asked instanceof Promise ? await asked : asked;
        if (decision?.ok === true) {
          const uses = used(turn);
          running.push({ reservation: decision, endMs: ms + 2_000, used: uses });
          const window = Math.floor(ms / WINDOW_MS);
          usedIn[window] = (usedIn[window] ?? 0) + (limit.unit === 'Tokens' ? uses : 1);
        }
        fleet.advance(STEP_MS);
        jest.advanceTimersByTime(STEP_MS);
      }
      return usedIn.slice(SETTLING_WINDOWS);
    }

    it('95 % of the requests can be used under steady, even demand', async () => {
      const limit = 100 * PODS;
      const requests: Limit = { name: 'rpm', per: [], unit: 'Requests', limit, windowMs: WINDOW_MS };
      for (const used of await demand(
        requests,
        () => 0,
        () => 0,
      )) {
        expect(used).toBeLessThanOrEqual(limit);
        expect(used / limit).toBeGreaterThanOrEqual(0.95);
      }
    });

    it('95 % of the tokens can be used, and at most 1 % more, whose debt the next window pays', async () => {
      const random = seededRandom(1);
      const limit = 1_000_000;
      const tokens: Limit = { name: 'tpm', per: [], unit: 'Tokens', limit, windowMs: WINDOW_MS };
      const estimates = pods.map(() => new OutputEstimate());
      // Twice what fits; most answers are short, a few are long, and the client would let all be far longer.
      const windows = await demand(
        tokens,
        (pod) => estimates[pod]?.tokens(8_000) ?? 0,
        (pod) => {
          const output = Math.ceil(-400 * Math.log(1 - random()));
          estimates[pod]?.learn(output);
          return output;
        },
      );
      const mean = windows.reduce((sum, used) => sum + used, 0) / windows.length;
      expect(mean / limit).toBeGreaterThanOrEqual(0.95);
      expect(mean / limit).toBeLessThanOrEqual(1.01);
    });
  });
} else {
  it(`absent: how much of a shared limit can be used: ${redisAbsent}`, () => undefined);
}
