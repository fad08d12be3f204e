import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Decision, Rejection } from '../../src/limits/limiter.ts';
import type { Limit, RedisSettings } from '../../src/routetable/types.ts';
import { FaultyLink } from './faulty-link.ts';
import { eventually, TestPod } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';

/** Windows are far longer than a test, so that nothing depends on when it runs. */
const HOUR_MS = 3_600_000;

const requests = (limit: number): Limit => ({ name: 'rph', per: [], unit: 'Requests', limit, windowMs: HOUR_MS });
const tokens = (limit: number): Limit => ({ name: 'tph', per: [], unit: 'Tokens', limit, windowMs: HOUR_MS });
const slots = (limit: number): Limit => ({ name: 'slots', per: [], unit: 'Concurrency', limit, windowMs: null });

function refused(decision: Decision): Rejection {
  if (decision.ok || decision.reason !== 'exceeded') throw new Error('it was not refused by a limit');
  return decision;
}

if (redisAbsent === null) {
  describe('limits over a real Redis', () => {
    let redis: RedisProcess;
    const pods: TestPod[] = [];
    const links: FaultyLink[] = [];

    const start = async (
      count: number,
      policy: RedisSettings['onUnavailable'] = 'FailClosed',
      port = redis.port,
      timeoutMs?: number,
    ): Promise<TestPod[]> => {
      const started = await Promise.all(Array.from({ length: count }, async () => TestPod.start(port, policy, timeoutMs)));
      pods.push(...started);
      return started;
    };
    const one = async (policy?: RedisSettings['onUnavailable'], port?: number, timeoutMs?: number): Promise<TestPod> => {
      const [pod] = await start(1, policy, port, timeoutMs);
      if (pod === undefined) throw new Error('no pod');
      return pod;
    };

    beforeEach(async () => {
      redis = await RedisProcess.start();
    });
    afterEach(async () => {
      await Promise.all(pods.splice(0).map(async (pod) => pod.fleet.close()));
      await Promise.all(links.splice(0).map(async (link) => link.close()));
      await redis.kill();
    });

    it('admit exactly the limit of what all pods are asked at once', async () => {
      const four = await start(4);
      const admitted = await Promise.all(four.map(async (pod) => pod.burst([requests(100)], 125)));
      expect(admitted.flat()).toHaveLength(100);
    });

    it('with tokens for k of 500 equal requests, admit k', async () => {
      const four = await start(4);
      const admitted = await Promise.all(four.map(async (pod) => pod.burst([tokens(1_230)], 125, 10)));
      expect(admitted.flat()).toHaveLength(123);
    });

    it('take all limits of a request or none', async () => {
      const pod = await one();
      expect(await pod.burst([requests(100), tokens(50), slots(3)], 20, 10)).toHaveLength(3);
      const again = await pod.burst([requests(100), tokens(50)], 20, 10);
      expect(again).toHaveLength(2);
      // Nothing of the refused ones is held: of the requests only five are used.
      expect(await pod.burst([requests(100)], 200)).toHaveLength(95);
    });

    it('name the limit, and when to come back', async () => {
      const pod = await one();
      await pod.burst([requests(2)], 2);
      const rejection = refused(await pod.reserve([requests(2)]));
      expect(rejection).toMatchObject({ limitName: 'rph', unit: 'Requests', limit: 2, impossible: false });
      expect(rejection.retryAfterMs).toBeGreaterThan(HOUR_MS * 0.98);
      expect(rejection.retryAfterMs).toBeLessThanOrEqual((HOUR_MS * 65) / 64 + 1_000);
      expect(rejection.remaining.requests).toMatchObject({ limit: 2, remaining: 0 });
      expect(refused(await pod.reserve([tokens(5)], 6))).toMatchObject({ limitName: 'tph', impossible: true });
    });

    it('cost no round trip while the counter is warm', async () => {
      const pod = await one();
      const limits = [requests(1_000_000)];
      await eventually(async () => {
        await pod.burst(limits, 50);
        return !(pod.decide(limits) instanceof Promise);
      });
      const before = pod.told.commands;
      for (let i = 0; i < 20; i++) expect(pod.decide(limits)).not.toBeInstanceOf(Promise);
      expect(pod.told.commands).toBe(before);
    });

    it('give back what a pod that leaves has not used', async () => {
      const [first, second] = await start(2);
      await eventually(
        async () =>
          (await first?.burst([requests(1_000)], 10)) !== undefined && !(first?.decide([requests(1_000)]) instanceof Promise),
      );
      const used = 1_000 - (await remaining(second));
      await first?.fleet.close();
      expect(await remaining(second)).toBeGreaterThan(1_000 - used);
    });

    it('let go of a place or of tokens that a pod has too many of, while others want them', async () => {
      const [first, second] = await start(2);
      const held = await first?.reserve([slots(1), tokens(1_000)], 900);
      if (held?.ok !== true) throw new Error('not admitted');
      expect((await second?.reserve([slots(1)]))?.ok).toBe(false);
      held.settle(10);
      await eventually(async () => (await second?.reserve([slots(1), tokens(1_000)], 900))?.ok === true);
    });

    it('owe what was used beyond the reservation, and give back what was not', async () => {
      const [first, second] = await start(2);
      const over = await first?.reserve([tokens(1_000)], 10);
      const under = await first?.reserve([tokens(1_000)], 500);
      if (over?.ok !== true || under?.ok !== true) throw new Error('not admitted');
      over.settle(700);
      under.settle(100);
      await first?.fleet.close();
      const admitted = await second?.burst([tokens(1_000)], 30, 10);
      expect(admitted).toHaveLength(20);
    });

    it('survive the loss of the scripts', async () => {
      const pod = await one();
      expect(await pod.burst([requests(10)], 5)).toHaveLength(5);
      await redis.command('SCRIPT', 'FLUSH');
      expect(await pod.burst([requests(10)], 10)).toHaveLength(5);
    });

    it('count an answer that was lost once', async () => {
      const link = await FaultyLink.to(redis.port);
      links.push(link);
      const pod = await one('FailClosed', link.port, 50);
      link.loseAnswers();
      const decisions = await Promise.all(Array.from({ length: 10 }, async () => pod.reserve([requests(100)])));
      expect(decisions.every((decision) => !decision.ok && decision.reason === 'unavailable')).toBe(true);
      link.heal();
      await pod.until(false);
      await pod.until(true);
      const other = await one();
      const both = await Promise.all([pod.burst([requests(100)], 60), other.burst([requests(100)], 60)]);
      expect(both.flat()).toHaveLength(100);
    });

    it('are told again by the pods when Redis has lost everything', async () => {
      const [first, second] = await start(2);
      expect(await first?.burst([requests(50)], 40)).toHaveLength(40);
      await redis.command('FLUSHALL');
      expect(await first?.burst([requests(50)], 5)).toHaveLength(5);
      expect(await second?.burst([requests(50)], 40)).toHaveLength(5);
    });

    it('follow FailClosed: 503, at once, and limits hold again when Redis is back', async () => {
      const pod = await one('FailClosed');
      await redis.kill();
      await pod.until(false);
      expect(pod.decide([requests(10)])).toMatchObject({ ok: false, reason: 'unavailable' });
      await redis.restart();
      await pod.until(true);
      expect(await pod.burst([requests(10)], 20)).toHaveLength(10);
      expect(pod.told.states.map(({ reachable }) => reachable)).toEqual([true, false, true]);
    });

    it('follow FailOpen: everything passes at once, and is owed when Redis is back', async () => {
      const pod = await one('FailOpen');
      await redis.kill();
      await pod.until(false);
      for (let i = 0; i < 30; i++) expect(pod.decide([requests(10)])).toMatchObject({ ok: true });
      await redis.restart();
      await pod.until(true);
      expect(refused(await pod.reserve([requests(10)])).limitName).toBe('rph');
    });

    it('follow LocalShare: each pod admits its share, and no more when Redis is back', async () => {
      const four = await start(4, 'LocalShare');
      await eventually(async () => (await redis.command('ZCARD', await podsKey(redis))).startsWith(':4'));
      // Their next heartbeats bring the number.
      const beats = four.map(({ told }) => told.commands);
      await eventually(() => four.every(({ told }, i) => told.commands >= (beats[i] ?? 0) + 2));
      await redis.kill();
      await Promise.all(four.map(async (pod) => pod.until(false)));
      for (const pod of four) {
        const decisions = Array.from({ length: 40 }, () => pod.decide([requests(100)]));
        expect(decisions.filter((decision) => !(decision instanceof Promise) && decision.ok)).toHaveLength(25);
      }
      await redis.restart();
      await Promise.all(four.map(async (pod) => pod.until(true)));
      // Each tells what it spent with its first call; until all have, one that is early may be granted what is not told yet.
      const later = await Promise.all(four.map(async (pod) => pod.burst([requests(100)], 1)));
      expect(later.flat().length).toBeLessThanOrEqual(3);
      for (const pod of four) expect(refused(await pod.reserve([requests(100)])).limitName).toBe('rph');
    });

    it('go on under way when a stopped Redis goes on', async () => {
      const pod = await one('LocalShare', redis.port, 50);
      redis.signal('SIGSTOP');
      const decision = await pod.reserve([requests(10)]);
      expect(decision.ok).toBe(true);
      await pod.until(false);
      redis.signal('SIGCONT');
      await pod.until(true);
      expect(await pod.burst([requests(10)], 20)).toHaveLength(9);
    });

    it('say at start that a policy evicts them, and what a user may not do', async () => {
      await redis.command('CONFIG', 'SET', 'maxmemory', '100mb');
      await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      const pod = await one();
      await eventually(() => pod.told.warnings.length > 0);
      expect(pod.told.warnings[0]).toContain('maxmemory-policy is allkeys-lru');
      await redis.command('ACL', 'SETUSER', 'default', '-evalsha', '-eval');
      await pod.until(false);
      expect(pod.told.states.at(-1)?.reason).toContain('NOPERM');
    });

    it('hold when Redis is out of memory: no limit is lost, and it is said', async () => {
      const pod = await one('FailClosed');
      expect(await pod.burst([requests(10)], 4)).toHaveLength(4);
      await redis.command('CONFIG', 'SET', 'maxmemory', '1');
      await pod.until(false);
      expect(pod.told.states.at(-1)?.reason).toContain('OOM');
      await redis.command('CONFIG', 'SET', 'maxmemory', '0');
      await pod.until(true);
      expect(await pod.burst([requests(10)], 20)).toHaveLength(6);
    });

    /** What this pod is told is left after one more request. */
    async function remaining(pod: TestPod | undefined): Promise<number> {
      const decision = await pod?.reserve([requests(1_000)]);
      if (decision?.ok !== true) throw new Error('not admitted');
      return decision.remaining.requests?.remaining ?? 0;
    }
  });
} else {
  it(`absent: limits over a real Redis: ${redisAbsent}`, () => undefined);
}

async function podsKey(redis: RedisProcess): Promise<string> {
  const answer = await redis.command('KEYS', '*pods');
  return answer.split('\r\n').find((line) => line.startsWith('fairlead:')) ?? '';
}
