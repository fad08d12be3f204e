import { fork } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { leaseTerms } from '../../src/limits/redis/lease-terms.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { type Answer, request, send } from './support/client.ts';
import { chat, USAGE } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

/** Two gateway pods with one Redis are one gateway to a client. */

const KEY = 'fl-team-a-key-one';

/** Where it is not about silence, a slow machine has all the time it needs. */
const PATIENT_MS = 30_000;

if (redisAbsent === null) {
  describe('limits that two pods share', () => {
    let redis: RedisProcess;
    let upstream: FakeUpstream;

    const routeOf = (name: string, limits = ''): string => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: ${name}, namespace: platform}
spec:
  modelNames: [${name}]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}, pricing: {unit: USDPerMillionTokens, input: "0", output: "1"}}
  rules: [{name: default, targets: [{model: m}]}]
  rateLimits: [${limits}]
`;
    const startAll = async (
      count: number,
      onUnavailable: string,
      ...yaml: readonly string[]
    ): Promise<readonly TestGateway[]> => {
      const all = documents(
        redisGatewayYaml(redis.port, { redis: `onUnavailable: ${onUnavailable}` }),
        clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
        ...yaml,
      );
      const started: TestGateway[] = [];
      for (let i = 0; i < count; i++) started.push(await startGateway(all, { redisTimeoutMs: PATIENT_MS }));
      await Promise.all(started.map(async (pod) => shown(pod, 'fairlead_limit_store_reachable 1')));
      return started;
    };
    const start = async (limits: string, onUnavailable: string): Promise<readonly [TestGateway, TestGateway]> =>
      (await startAll(2, onUnavailable, routeOf('chat', limits))) as [TestGateway, TestGateway];
    const ask = async (pod: TestGateway, more: object = {}): Promise<Answer> =>
      request(pod.port, { body: { ...chat.body, ...more }, headers: { 'api-key': KEY } });

    beforeEach(async () => {
      redis = await RedisProcess.start();
      upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
    });
    afterEach(async () => {
      await redis.kill();
    });

    it('are one limit, whichever pod is asked, and each answer says what is left of it', async () => {
      const [first, second] = await start('{name: key-rph, per: [APIKey], unit: Requests, limit: 5, window: 1h}', 'FailClosed');
      const left: number[] = [];
      for (const pod of [first, second, first, second, first]) {
        const answer = await ask(pod);
        expect(answer.status).toBe(200);
        left.push(Number(answer.headers['x-ratelimit-remaining-requests']));
      }
      expect(left).toEqual([4, 3, 2, 1, 0]);
      for (const pod of [first, second]) {
        const answer = await ask(pod);
        expect(answer.status).toBe(429);
        expect(answer.headers['x-fairlead-limit']).toBe('key-rph');
        expect(Number(answer.headers['retry-after-ms'])).toBeGreaterThan(3_400_000);
        expect(answer.text).toContain('"code":"rate_limit_exceeded"');
      }
    });

    it('count what an answer really used', async () => {
      const [first, second] = await start('{name: tokens, unit: Tokens, limit: 10000, window: 1h}', 'FailClosed');
      const used = USAGE.prompt_tokens + USAGE.completion_tokens;
      for (const pod of [first, second, first]) expect((await ask(pod)).status).toBe(200);
      const answer = await ask(second);
      expect(Number(answer.headers['x-ratelimit-remaining-tokens'])).toBeLessThanOrEqual(10_000 - used);
    });

    it('follow FailClosed with 503 and Retry-After, never with 429', async () => {
      const [first] = await start('{name: rpm, unit: Requests, limit: 5, window: 1m}', 'FailClosed');
      await redis.kill();
      await shown(first, 'fairlead_limit_store_reachable 0');
      const answer = await ask(first);
      expect(answer.status).toBe(503);
      expect(answer.text).toContain('"code":"limits_unavailable"');
      expect(answer.headers['retry-after']).toBe('1');
      expect(first.gateway.limitsProblem).toMatch(/ECONNREFUSED|connection/i);
      expect(await first.gateway.renderMetrics().then(({ text }) => text)).toContain(
        'fairlead_limits_decided_alone_total{decision="refused"} 1',
      );
    });

    it('let everything pass under FailOpen, and say so', async () => {
      const [first] = await start('{name: rpm, unit: Requests, limit: 2, window: 1m}', 'FailOpen');
      await redis.kill();
      await shown(first, 'fairlead_limit_store_reachable 0');
      for (let i = 0; i < 5; i++) {
        const answer = await ask(first);
        expect(answer.status).toBe(200);
        expect(answer.headers['x-fairlead-limits']).toBe('unchecked');
      }
    });

    it('ask Redis nothing for who is nobody, or asks for nothing there is', async () => {
      const [pod] = await start('{name: per-model, per: [Tenant, Model], unit: Requests, limit: 5, window: 1h}', 'FailClosed');
      for (let i = 0; i < 20; i++) {
        const stranger = await request(pod.port, { body: chat.body, headers: { 'api-key': `nobody-${i}` } });
        expect(stranger.status).toBe(401);
        expect((await ask(pod, { model: `nothing-${i}` })).status).toBe(404);
      }
      expect(await redis.command('INFO', 'commandstats')).not.toContain('cmdstat_set:');
      expect((await ask(pod)).status).toBe(200);
      expect(await redis.command('INFO', 'commandstats')).toContain('cmdstat_set:calls=1,');
    });

    it('share a quota over all routes', async () => {
      const quota = `
apiVersion: fairlead.dev/v1alpha1
kind: LLMQuota
metadata: {name: fair, namespace: platform}
spec:
  targetRefs: [{kind: LLMGateway, name: default}]
  limits: [{name: all, per: [Tenant], unit: Requests, limit: 5, window: 1h}]
`;
      const [first, second] = await startAll(2, 'FailClosed', routeOf('chat'), routeOf('other'), quota);
      const statuses: number[] = [];
      for (const model of ['chat', 'other', 'chat', 'other']) {
        for (const pod of [first, second] as TestGateway[]) statuses.push((await ask(pod, { model })).status);
      }
      expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    });

    it('with money for k of 500 requests at the same moment, admit exactly k', async () => {
      // Each reserves 100 tokens of output at a dollar a million; nothing comes back before the last has been refused.
      const affordable = 123;
      const over = Promise.withResolvers<void>();
      upstream.respond(async (call) => {
        await over.promise;
        call.answer(200, chat.whole('Hello'));
      });
      const pods = await startAll(4, 'FailClosed', routeOf('chat', '{name: budget, unit: USD, limit: "0.0123", window: 720h}'));
      const asked = async (i: number): Promise<number> => (await ask(pods[i % 4] as TestGateway, { max_tokens: 100 })).status;
      // On a busy machine Redis may answer too late, for which there is 503: who is refused before k are admitted asks again.
      const untilDecided = async (i: number): Promise<void> => {
        while ((await asked(i)) !== 200 && upstream.calls.length < affordable);
      };
      const all = Array.from({ length: 500 }, async (_, i) => untilDecided(i));
      await upstream.until(() => upstream.calls.length >= affordable);
      for (let i = 0; i < 8; i++) expect(await asked(i)).not.toBe(200);
      over.resolve();
      await Promise.all(all);
      expect(upstream.calls).toHaveLength(affordable);
    });

    it('end a request whose place became another pod’s while its own pod stood still', async () => {
      upstream.respond(() => {});
      const yaml = documents(
        redisGatewayYaml(redis.port, { spec: 'clientAuth: {type: None}', redis: 'onUnavailable: FailClosed' }),
        routeOf('route', '{name: slots, unit: Concurrency, limit: 1}'),
      );
      // The gateway and the route that slot-holder.ts is of.
      const pod = await startGateway(
        yaml.replaceAll('namespace: platform', 'namespace: test').replace('name: default', 'name: gateway'),
        { redisTimeoutMs: PATIENT_MS },
      );
      await shown(pod, 'fairlead_limit_store_reachable 1');
      const held = send(pod.port, { body: { ...chat.body, model: 'route' } });
      await upstream.nextCall();
      const limit = { name: 'slots', per: [], unit: 'Concurrency', limit: 1, windowMs: null };
      const successor = fork(new URL('../limits/slot-holder.ts', import.meta.url), [String(redis.port), JSON.stringify(limit)], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      });
      try {
        let taken = false;
        successor.on('message', () => (taken = true));
        while (!taken) {
          standStill(leaseTerms('slots', 0).leaseMs + 1_000);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        const answer = await held.answer;
        expect(answer.text).toContain('"code":"limit_revoked"');
      } finally {
        successor.kill('SIGKILL');
      }
    });
  });
} else {
  it(`absent: limits that two pods share: ${redisAbsent}`, () => undefined);
}

/** Until a scrape has this line. */
async function shown({ gateway }: TestGateway, line: string): Promise<void> {
  for (;;) {
    const { text } = await gateway.renderMetrics();
    if (text.split('\n').includes(line)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** As a process that was stopped. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
