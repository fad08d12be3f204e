// Promise: a Redis that dies, stands still, goes silent or is slow fails no request where the policy is FailOpen or LocalShare.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultyLink } from '../limits/faulty-link.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { request } from './support/client.ts';
import { chat } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { documents } from './support/secrets.ts';
import { FakeUpstream } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

/** Requests at the same moment, so that some find a lease, some wait and some are decided alone. */
const AT_ONCE = 8;

/** How long a fault lasts at least; `make test-limits-faults` makes it half a minute. */
const FAULT_MS = Number(process.env['FAULT_MS'] ?? '0');

type Fault = (redis: RedisProcess, link: FaultyLink) => Promise<() => Promise<void>>;

/** Each answers how it is undone. */
const FAULTS: Readonly<Record<string, Fault>> = {
  'is killed': async (redis) => {
    await redis.kill();
    return async () => redis.restart();
  },
  'stands still': async (redis) => {
    redis.signal('SIGSTOP');
    return async () => redis.signal('SIGCONT');
  },
  'goes silent': async (_, link) => {
    link.loseAnswers();
    return async () => link.heal();
  },
  'is slow by 200 ms': async (_, link) => {
    link.delayMs = 100;
    return async () => {
      link.delayMs = 0;
    };
  },
};

if (redisAbsent === null) {
  describe.each(['FailOpen', 'LocalShare'])('under %s, a Redis that', (policy) => {
    let redis: RedisProcess;
    let link: FaultyLink;
    let pod: TestGateway;
    let statuses: number[];

    const ask = async (): Promise<void> => {
      const answers = await Promise.all(Array.from({ length: AT_ONCE }, async () => request(pod.port, { body: chat.body })));
      statuses.push(...answers.map(({ status }) => status));
    };
    const until = async (line: string): Promise<void> => {
      while (!(await pod.gateway.renderMetrics()).text.includes(`${line}\n`)) await ask();
    };

    beforeEach(async () => {
      redis = await RedisProcess.start();
      link = await FaultyLink.to(redis.port);
      statuses = [];
      const upstream = await FakeUpstream.start((call) => call.answer(200, chat.whole('Hello')));
      pod = await startGateway(
        documents(
          redisGatewayYaml(link.port, { spec: 'clientAuth: {type: None}', redis: `onUnavailable: ${policy}` }),
          `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}}
  rules: [{name: default, targets: [{model: m}]}]
  rateLimits:
  - {name: rpm, per: [Tenant], unit: Requests, limit: 1000000, window: 1m}
  - {name: tpm, per: [Route], unit: Tokens, limit: 1000000000, window: 1m}
  - {name: slots, per: [Model], unit: Concurrency, limit: 10000}
`,
        ),
      );
    });
    afterEach(async () => {
      await link.close();
      await redis.kill();
    });

    it.each(Object.entries(FAULTS))('%s fails no request, then and when it is back', async (_, fault) => {
      await until('fairlead_limit_store_reachable 1');
      const undo = await fault(redis, link);
      await until('fairlead_limit_store_reachable 0');
      const endMs = performance.now() + FAULT_MS;
      for (let i = 0; i < 20 || performance.now() < endMs; i++) await ask();
      await undo();
      await until('fairlead_limit_store_reachable 1');
      for (let i = 0; i < 5; i++) await ask();
      expect(new Set(statuses)).toEqual(new Set([200]));
    });
  });
} else {
  it(`absent: limits over a Redis with faults: ${redisAbsent}`, () => undefined);
}
