import { fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Decision, LimitedRequest, Rejection } from '../../src/limits/limiter.ts';
import { keyPrefix } from '../../src/limits/fleet.ts';
import { leaseTerms } from '../../src/limits/redis/lease-terms.ts';
import type { Limit, RedisSettings } from '../../src/routetable/types.ts';
import { FaultyLink } from './faulty-link.ts';
import { eventually, limitedRequest, settingsFor, TestPod } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';

/** Windows are far longer than a test, so that nothing depends on when it runs. */
const HOUR_MS = 3_600_000;
/** After which no answer counts as none: short, for a test waits for it, and longer than a Redis that is well ever takes. */
const SILENCE_MS = 500;

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

    it('with money for k of 500 equal requests, admit k, and for what was not spent as many more', async () => {
      const four = await start(4);
      const budget: Limit = { name: 'usd', per: [], unit: 'USD', limit: 1_230_000, windowMs: 720 * HOUR_MS };
      const admitted = (await Promise.all(four.map(async (pod) => pod.burst([budget], 125, 10)))).flat();
      expect(admitted).toHaveLength(123);
      for (const reservation of admitted) reservation.settle(10, 5_000);
      let more = 0;
      await eventually(async () => {
        more += (await Promise.all(four.map(async (pod) => pod.burst([budget], 125, 10)))).flat().length;
        return more >= 61;
      });
      expect(more).toBe(61);
    });

    it('tell what is left without taking of it, and ask Redis once a second for that', async () => {
      const [here, there] = (await start(2)) as [TestPod, TestPod];
      for (const reservation of await there.burst([requests(100)], 40)) reservation.settle(1);
      await there.fleet.close();
      const look = async (): Promise<number | undefined> => {
        const [use] = await here.fleet.limiter.look(limitedRequest([requests(100)], 0));
        return use?.remaining;
      };
      const before = await redis.command('INFO', 'commandstats');
      expect(await Promise.all(Array.from({ length: 50 }, look))).toEqual(Array.from({ length: 50 }, () => 60));
      const calls = (text: string): number => Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0);
      // One of them, and the pods' heartbeats.
      expect(calls(await redis.command('INFO', 'commandstats')) - calls(before)).toBeLessThan(10);
      expect(await here.burst([requests(100)], 100)).toHaveLength(60);
    });

    it('say without asking what they know to be refused, and nothing of what they do not know', async () => {
      const pod = await one();
      const limits = [tokens(100)];
      const asked = (amount: number): LimitedRequest => limitedRequest(limits, amount);
      const { limiter } = pod.fleet;
      expect(limiter.refusal(asked(10))).toBeNull();
      expect(await pod.burst(limits, 1, 95)).toHaveLength(1);
      refused(await limiter.reserve(asked(10)));
      expect(limiter.refusal(asked(10))).toMatchObject({ limitName: 'tph', left: [5] });
      expect(limiter.refusal(asked(5))).toBeNull();
      expect(await pod.burst(limits, 1, 5)).toHaveLength(1);
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

    it('cost one round trip where a counter is cold, and in the last part of a limit', async () => {
      const pod = await one();
      const limits = [requests(100), tokens(100_000), slots(50)];
      // The script writes once for each call.
      const calls = async (): Promise<number> =>
        Number(/cmdstat_set:calls=(\d+)/.exec(await redis.command('INFO', 'commandstats'))?.[1] ?? 0);
      await pod.reserve(limits);
      expect(await calls()).toBe(limits.length);
      expect(await pod.burst([requests(100)], 94)).toHaveLength(94);
      const before = await calls();
      for (let i = 0; i < 5; i++) expect((await pod.reserve([requests(100)])).ok).toBe(true);
      expect((await calls()) - before).toBeLessThanOrEqual(5);
      expect((await pod.reserve([requests(100)])).ok).toBe(false);
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

    it('lie under hashed keys of their gateway, each in a slot of its own, that all expire', async () => {
      const pod = await one();
      const daily: Limit = { ...requests(100), name: 'daily', windowMs: null, calendar: { period: 'Day', timeZone: 'UTC' } };
      await pod.burst([requests(100), tokens(100), slots(5), daily], 2);
      const keys = (await redis.command('KEYS', '*')).split('\r\n').filter((line) => /^[a-z]/.test(line));
      const prefix = keyPrefix({ namespace: 'test', name: 'gateway' });
      const counters = keys.filter((key) => key !== `${prefix}pods`);
      expect(counters).toHaveLength(4);
      for (const key of counters) expect(key.slice(prefix.length)).toMatch(/^\{[\w-]{22}\}$/);
      expect(new Set(counters).size).toBe(4);
      for (const key of keys) {
        expect(key.startsWith(prefix)).toBe(true);
        expect(Number((await redis.command('PTTL', key)).slice(1))).toBeGreaterThan(0);
      }
      expect(keys.join()).not.toContain('tenant');
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
      const pod = await one('FailClosed', link.port, SILENCE_MS);
      link.loseAnswers();
      const decisions = await Promise.all(Array.from({ length: 10 }, async () => pod.reserve([requests(100)])));
      expect(decisions.every((decision) => !decision.ok && decision.reason === 'unavailable')).toBe(true);
      link.heal();
      await pod.until(false);
      await pod.until(true);
      const other = await one();
      // Nobody waits for a counter that had no answer twice, until it has been asked for once more.
      await eventually(async () => (await pod.reserve([requests(100)])).ok);
      let admitted = 0;
      await eventually(async () => {
        const both = await Promise.all([pod.burst([requests(100)], 60), other.burst([requests(100)], 60)]);
        admitted += both.flat().length;
        return admitted >= 99;
      });
      expect(admitted).toBe(99);
      expect(refused(await other.reserve([requests(100)])).limitName).toBe('rph');
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

    it('follow LocalShare after uneven demand: what one pod had is not there for the others', async () => {
      const pods4 = await start(4, 'LocalShare');
      const [greedy, ...others] = pods4 as [TestPod, ...TestPod[]];
      await eventually(async () => (await redis.command('ZCARD', await podsKey(redis))).startsWith(':4'));
      const beats = pods4.map(({ told }) => told.commands);
      await eventually(() => pods4.every(({ told }, i) => told.commands >= (beats[i] ?? 0) + 2));
      let admitted = (await greedy.burst([requests(100)], 80)).length;
      expect(admitted).toBe(80);
      for (const pod of others) admitted += (await pod.burst([requests(100)], 1)).length;
      await redis.kill();
      await Promise.all(pods4.map(async (pod) => pod.until(false)));
      for (const pod of pods4) {
        const decisions = Array.from({ length: 40 }, () => pod.decide([requests(100)]));
        admitted += decisions.filter((decision) => !(decision instanceof Promise) && decision.ok).length;
        const rejection = refused(await pod.reserve([requests(100)]));
        expect(rejection.retryAfterMs).toBeGreaterThan(0);
      }
      expect(admitted).toBeGreaterThanOrEqual(90);
      expect(admitted).toBeLessThanOrEqual(110);
    });

    it('follow LocalShare in a pod that alone has lost Redis: it adds at most its part of what was free', async () => {
      const link = await FaultyLink.to(redis.port);
      links.push(link);
      const cutOff = await one('LocalShare', link.port, 500);
      const other = await one('LocalShare');
      await eventually(async () => (await redis.command('ZCARD', await podsKey(redis))).startsWith(':2'));
      const beats = cutOff.told.commands;
      await eventually(() => cutOff.told.commands >= beats + 2);
      let admitted = (await other.burst([requests(100)], 60)).length;
      admitted += (await cutOff.burst([requests(100)], 10)).length;
      link.loseAnswers();
      await cutOff.until(false);
      for (let i = 0; i < 100; i++) if ((await cutOff.reserve([requests(100)])).ok) admitted += 1;
      admitted += (await other.burst([requests(100)], 100)).length;
      // Of a hundred 70 were used: 15 of the other 30 are this pod's part.
      expect(admitted).toBeGreaterThanOrEqual(99);
      expect(admitted).toBeLessThanOrEqual(116);
    });

    it('free the slots of a pod that was killed, within ten seconds', async () => {
      const holder = fork(new URL('./slot-holder.ts', import.meta.url), [String(redis.port), JSON.stringify(slots(4))], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      });
      expect(await once(holder, 'message')).toEqual([{ held: 4 }, undefined]);
      const pod = await one();
      expect(await pod.burst([slots(4)], 4)).toHaveLength(0);
      const gone = once(holder, 'exit');
      holder.kill('SIGKILL');
      await gone;
      let free = 0;
      await eventually(async () => (free += (await pod.burst([slots(4)], 4)).length) === 4);
      // No call renews it, so it ends by Redis' clock.
      expect(leaseTerms('slots', 0).leaseMs).toBeLessThan(10_000);
    });

    it('are never above their slots for long: who slept past its lease is told that they are another pod’s', async () => {
      const sleeper = fork(new URL('./slot-holder.ts', import.meta.url), [String(redis.port), JSON.stringify(slots(4))], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      });
      try {
        expect(await once(sleeper, 'message')).toEqual([{ held: 4 }, undefined]);
        sleeper.kill('SIGSTOP');
        const pod = await one();
        let taken = 0;
        await eventually(async () => (taken += (await pod.burst([slots(4)], 3 - taken)).length) === 3);
        let lost = 0;
        sleeper.on('message', (message: { readonly lost: number }) => (lost = message.lost));
        sleeper.kill('SIGCONT');
        await eventually(() => lost === 3);
        // The fourth is still its own.
        expect(await pod.burst([slots(4)], 1)).toHaveLength(0);
      } finally {
        sleeper.kill('SIGKILL');
      }
    });

    it('wait for the first answer of Redis before a pod that has just started decides alone', async () => {
      const four = await start(4, 'LocalShare');
      const before = await Promise.all(four.map(async (pod) => pod.burst([requests(100)], 25)));
      expect(before.flat()).toHaveLength(100);
      // Asked in the turn in which it starts: no connection can be there yet.
      const pod = new TestPod(settingsFor(redis.port, 'LocalShare'), 30_000);
      pods.push(pod);
      expect(refused(await pod.reserve([requests(100)])).limitName).toBe('rph');
      expect(pod.told.alone).toBe(0);
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

    it('keep a connection whose answers come, though all too late', async () => {
      const link = await FaultyLink.to(redis.port);
      links.push(link);
      const pod = await one('LocalShare', link.port, 50);
      link.delayMs = 100;
      await pod.until(false);
      const connections = async (): Promise<string | undefined> =>
        /total_connections_received:(\d+)/.exec(await redis.command('INFO', 'stats'))?.[1];
      const probed = async (times: number): Promise<void> => {
        const { commands } = pod.told;
        await eventually(() => pod.told.commands >= commands + times);
      };
      // While it was well it was asked once a second: the first probe may take that for silence.
      await probed(4);
      const before = Number(await connections());
      // A second and a half: silence for a third of that would end it.
      await probed(10);
      // Those two looks are connections, too.
      expect(Number(await connections()) - before).toBe(1);
      link.delayMs = 0;
      await pod.until(true);
    });

    it('use a connection that took longer to make than one may be silent', async () => {
      let ms = 0;
      const pod = new TestPod(settingsFor(redis.port, 'FailClosed'), 30_000, {
        nowMs: () => (ms += 400),
        wallMs: () => Date.now(),
      });
      pods.push(pod);
      await pod.until(true);
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
