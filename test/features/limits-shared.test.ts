import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { type Answer, request } from './support/client.ts';
import { chat, USAGE } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { clientKeyYaml, documents } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';

/** Two gateway pods with one Redis are one gateway to a client. */

const KEY = 'fl-team-a-key-one';

if (redisAbsent === null) {
  describe('limits that two pods share', () => {
    let redis: RedisProcess;
    let upstream: FakeUpstream;
    const pods: TestGateway[] = [];

    const start = async (limits: string, onUnavailable: string): Promise<readonly [TestGateway, TestGateway]> => {
      const yaml = documents(
        `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: platform, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec:
  redis: {addressRef: {name: redis}, onUnavailable: ${onUnavailable}}
`,
        `
apiVersion: v1
kind: Secret
metadata: {name: redis, namespace: platform}
stringData: {url: "redis://127.0.0.1:${redis.port}"}
`,
        clientKeyYaml(KEY, { name: 'one', namespace: 'team-a' }),
        `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}}
  rules: [{name: default, targets: [{model: m}]}]
  rateLimits: [${limits}]
`,
      );
      const two = [await startGateway(yaml), await startGateway(yaml)] as const;
      pods.push(...two);
      await Promise.all(two.map(async (pod) => shown(pod, 'fairlead_limit_store_reachable 1')));
      return two;
    };
    const ask = async (pod: TestGateway): Promise<Answer> => request(pod.port, { body: chat.body, headers: { 'api-key': KEY } });

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
      expect(await first.gateway.renderMetrics().then(({ text }) => text)).toContain(
        'fairlead_limits_decided_alone_total{decision="refused"} 1',
      );
    });

    it('let everything pass under FailOpen, and say so', async () => {
      const [first] = await start('{name: rpm, unit: Requests, limit: 2, window: 1m}', 'FailOpen');
      await redis.kill();
      await shown(first, 'fairlead_limit_store_reachable 0');
      for (let i = 0; i < 5; i++) expect((await ask(first)).status).toBe(200);
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
