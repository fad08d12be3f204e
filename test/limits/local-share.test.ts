/** LocalShare through whole gateways: three processes whose Redis is gone keep to one limit together, in any window. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';
import type { ShareCall, ShareReply } from './share-pod.ts';

const PODS = 3;
/** What does not divide by the pods is shared all the same. */
const LIMIT = 32;
const WINDOW_MS = 60_000;
/** Each pod asks once a step: twice its share. */
const STEP_MS = 3_000;
const STEPS_A_WINDOW = WINDOW_MS / STEP_MS;
const WINDOWS = 4;

if (redisAbsent === null) {
  describe('three gateways without the Redis that they had', () => {
    let redis: RedisProcess;
    let pods: ChildProcess[];

    const tell = async (pod: ChildProcess, call: ShareCall): Promise<ShareReply> => {
      pod.send(call);
      const [reply] = (await once(pod, 'message')) as [ShareReply | { readonly failed: string }];
      if ('failed' in reply) throw new Error(reply.failed);
      return reply;
    };
    const tellAll = async (call: ShareCall): Promise<readonly ShareReply[]> =>
      Promise.all(pods.map(async (pod) => tell(pod, call)));
    const look: ShareCall = { advanceMs: 0, requests: 0 };

    beforeEach(async () => {
      redis = await RedisProcess.start();
      pods = Array.from({ length: PODS }, () =>
        fork(new URL('./share-pod.ts', import.meta.url), [String(redis.port), String(LIMIT)], {
          execArgv: ['--disable-warning=ExperimentalWarning'],
          env: { ...process.env, JEST_WORKER_ID: undefined },
        }),
      );
      await Promise.all(pods.map(async (pod) => once(pod, 'message')));
      const seen = async (): Promise<boolean> => {
        const key = (await redis.command('KEYS', '*pods')).split('\r\n').find((line) => line.startsWith('fairlead:'));
        return key !== undefined && (await redis.command('ZCARD', key)).startsWith(`:${PODS}`);
      };
      await eventually(seen);
      // Their next heartbeats bring the number.
      const before = await tellAll(look);
      await eventually(async () => (await tellAll(look)).every(({ commands }, i) => commands >= (before[i]?.commands ?? 0) + 2));
    });
    afterEach(async () => {
      for (const pod of pods) pod.kill('SIGKILL');
      await redis.kill();
    });

    /** `before`: what each pod in turn is asked for while Redis is there. Answers what all admitted, by step; the first is `before`. */
    async function admissions(before: readonly number[]): Promise<number[]> {
      const sum = (replies: readonly ShareReply[]): number => replies.reduce((total, { admitted }) => total + admitted, 0);
      const first: ShareReply[] = [];
      for (const [i, pod] of pods.entries()) first.push(await tell(pod, { advanceMs: 0, requests: before[i] ?? 0 }));
      const admitted = [sum(first)];
      await redis.kill();
      await eventually(async () => (await tellAll(look)).every(({ reachable }) => !reachable));
      let replies: readonly ShareReply[] = [];
      for (let step = 0; step < WINDOWS * STEPS_A_WINDOW; step++) {
        replies = await tellAll({ advanceMs: STEP_MS, requests: 1 });
        admitted.push(sum(replies));
      }
      for (const { alone } of replies) expect(alone).toBeGreaterThan(0);
      return admitted;
    }

    /** Of every window that ends with a step from this one on. */
    function windows(admitted: readonly number[], from: number): number[] {
      return admitted.flatMap((_, end) => {
        if (end < from) return [];
        return [admitted.slice(Math.max(0, end + 1 - STEPS_A_WINDOW), end + 1).reduce((sum, step) => sum + step, 0)];
      });
    }

    it('admit a limit in every window, but for what begins it', async () => {
      const sums = windows(await admissions([0, 0, 0]), STEPS_A_WINDOW);
      expect(Math.max(...sums)).toBe(LIMIT);
      // The part of a window in which it begins counts in full.
      expect(Math.min(...sums)).toBeGreaterThanOrEqual(LIMIT * 0.9);
    });

    it.each([
      ['half of it, as the others have heard', [LIMIT / 2, 1, 1]],
      ['all of it, and the others have never asked', [LIMIT, 0, 0]],
    ])(
      'add no more than their shares where one has just used %s, and keep to the limit again a window later',
      async (_, before) => {
        const admitted = await admissions(before);
        expect(admitted[0]).toBe(before.reduce((sum, asked) => sum + asked));
        expect(Math.max(...windows(admitted, 0))).toBeLessThanOrEqual(LIMIT + (PODS - 1) * Math.ceil(LIMIT / PODS));
        const later = windows(admitted, 2 * STEPS_A_WINDOW);
        expect(Math.max(...later)).toBe(LIMIT);
        expect(Math.min(...later)).toBeGreaterThanOrEqual(LIMIT * 0.9);
      },
    );
  });
} else {
  it(`absent: the share of gateways without their Redis: ${redisAbsent}`, () => undefined);
}
