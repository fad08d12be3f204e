// Promise: what one gateway pod learns of an upstream, all pods know, and where Redis is away each goes by what it sees itself.
import { RETRY_FLOOR_PER_SECOND, RETRY_SHARE } from '../../src/upstream/retry-budget.ts';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { type Answer, request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { serve } from './support/faults.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

/** None of this is about a Redis that is slow: a slow machine has all the time it needs. */
const PATIENT_MS = 30_000;

const wrong: Respond = (call) => call.answer(500, '{}');

if (redisAbsent === null) {
  describe('the health that pods share', () => {
    let redis: RedisProcess;
    let a: FakeUpstream;
    let b: FakeUpstream;

    const start = async (maxAttempts = 2): Promise<TestGateway> => {
      const pod = await startGateway(
        documents(
          redisGatewayYaml(redis.port, { spec: 'clientAuth: {type: None}' }),
          `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - {name: a, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${a.url}"}}, auth: {type: None}}
  - {name: b, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${b.url}"}}, auth: {type: None}}
  rules:
  - name: default
    targets: [{model: a, priority: 0}, {model: b, priority: 1}]
    failover: {maxAttempts: ${maxAttempts}}
`,
        ),
        { redisTimeoutMs: PATIENT_MS },
      );
      await until(async () => (await pod.gateway.renderMetrics()).text.includes('fairlead_limit_store_reachable 1\n'));
      return pod;
    };
    /** Each listens to the channel: what is told from now on is heard. */
    const fleet = async (count: number): Promise<TestGateway[]> => {
      const pods = await Promise.all(Array.from({ length: count }, async () => start()));
      await until(async () => {
        const channels = await redis.command('PUBSUB', 'CHANNELS', 'fairlead:*');
        const channel = channels.split('\r\n').find((line) => line.startsWith('fairlead'));
        return channel !== undefined && (await redis.command('PUBSUB', 'NUMSUB', channel)).endsWith(`:${count}\r\n`);
      });
      return pods;
    };
    const ask = async (pod: TestGateway | undefined): Promise<Answer> => {
      if (pod === undefined) throw new Error('no such pod');
      return request(pod.port, { body: chat.body });
    };
    const heard = async (pod: TestGateway | undefined, to: string): Promise<void> =>
      pod?.until(() => pod.lines.some((line) => line.includes(`"to":"${to}"`) && line.includes('"told":true')));

    beforeEach(async () => {
      redis = await RedisProcess.start();
      a = await FakeUpstream.start(wrong);
      b = await FakeUpstream.start(serve(chat, 'b'));
    });
    afterEach(async () => {
      await redis.kill();
    });

    it('is out on every pod once one has seen it fail, also on a pod that starts later', async () => {
      const [first, second, third] = await fleet(3);
      for (let i = 0; i < 5; i++) await ask(first);
      await Promise.all([heard(second, 'Ejected'), heard(third, 'Ejected')]);
      for (const pod of [second, third]) expect((await ask(pod)).headers['x-fairlead-reason']).toBe('spilled');
      const late = await start();
      await heard(late, 'Ejected');
      expect((await ask(late)).headers['x-fairlead-reason']).toBe('spilled');
      expect(a.calls).toHaveLength(5);
    });

    it('obeys on every pod the retry-after that one was given', async () => {
      a.respond((call) => call.answer(429, '{"error":{"code":"rate_limit_exceeded"}}', { 'retry-after': '600' }));
      const [first, second] = await fleet(2);
      await ask(first);
      await heard(second, 'CoolingDown');
      expect((await ask(second)).headers['x-fairlead-reason']).toBe('spilled');
      expect(a.calls).toHaveLength(1);
    });

    it('is what each pod sees itself while Redis is away', async () => {
      const [first, second] = await fleet(2);
      await redis.kill();
      for (let i = 0; i < 6; i++) await ask(first);
      expect(a.calls).toHaveLength(5);
      for (let i = 0; i < 6; i++) await ask(second);
      expect(a.calls).toHaveLength(10);
      expect((await ask(second)).headers['x-fairlead-reason']).toBe('spilled');
    });

    it('leaves nobody without an answer where everything fails, and asks little more than once', async () => {
      b.respond(wrong);
      const pods = await fleet(2);
      const requests = 300;
      const startMs = performance.now();
      for (let i = 0; i < requests; i++) expect((await ask(pods[i % 2])).status).toBeGreaterThanOrEqual(500);
      // The share of the requests, and what each pod may give each target in any second, however few come.
      const seconds = Math.floor((performance.now() - startMs) / 1_000);
      const floor = seconds * RETRY_FLOOR_PER_SECOND * pods.length * 2;
      expect(a.calls.length + b.calls.length).toBeLessThanOrEqual((1 + RETRY_SHARE) * requests + floor);
      a.respond(serve(chat, 'a'));
      b.respond(serve(chat, 'b'));
      for (const pod of pods) expect((await ask(pod)).status).toBe(200);
    });

    it('tells Redis no more of an upstream than a hash', async () => {
      const [first] = await fleet(2);
      const said = redis.listen('fairlead:*');
      await said.ready;
      for (let i = 0; i < 5; i++) await ask(first);
      const text = await said.until((all) => all.includes('"ejection"'));
      expect(text).not.toContain(a.url);
      expect(text).not.toContain('127.0.0.1');
    });
  });
} else {
  it(`absent: the health that pods share: ${redisAbsent}`, () => undefined);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}
