import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { redisAbsent, RedisProcess } from '../limits/redis-process.ts';
import { eventually } from './support/clean-up.ts';
import { type Answer, request, send } from './support/client.ts';
import { chat, responses, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { clientKeyYaml, documents } from './support/secrets.ts';
import { FakeUpstream, type ReceivedCall, type Respond } from './support/upstream.ts';
import { redisGatewayYaml } from './support/yaml.ts';

/** A route with a cache asks its provider once for what its clients ask again. */

const KEYS = { a1: 'fl-team-a-key-one', a2: 'fl-team-a-key-two', b: 'fl-team-b-key' } as const;
const SECRETS = documents(
  clientKeyYaml(KEYS.a1, { name: 'one', namespace: 'team-a' }),
  clientKeyYaml(KEYS.a2, { name: 'two', namespace: 'team-a' }),
  clientKeyYaml(KEYS.b, { name: 'key', namespace: 'team-b' }),
);

/** Each call has an answer of its own. */
function counting(): Respond {
  let calls = 0;
  return (call: ReceivedCall) => {
    calls++;
    const dialect = call.path.endsWith('/responses') ? responses : chat;
    if (call.body.includes('"stream":true')) call.stream(streamOf(dialect, `Hello ${calls}`));
    else call.answer(200, dialect.whole(`Hello ${calls}`));
  };
}

interface Asked {
  readonly key?: keyof typeof KEYS;
  readonly body?: object | string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function options({ key = 'a1', body = chat.body, path, headers }: Asked): Parameters<typeof request>[1] {
  return { body, headers: { 'api-key': KEYS[key], ...headers }, ...(path === undefined ? {} : { path }) };
}

async function ask({ port }: TestGateway, asked: Asked = {}): Promise<Answer> {
  return request(port, options(asked));
}

function told({ headers }: Answer): unknown {
  return headers['x-fairlead-cache'];
}

/** Where it is not about silence, a slow machine has all the time it needs. */
const PATIENT: TestGatewayOptions = { redisTimeoutMs: 30_000 };

const STREAM = { ...chat.body, stream: true };

interface Setting {
  readonly cache?: string;
  readonly limits?: string;
  readonly redis?: RedisProcess;
  readonly rules?: string;
}

const gatewayYaml = `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: platform, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {}
`;

async function yamlOf(upstream: FakeUpstream, { cache = '{ttl: 1h}', limits = '', redis, rules }: Setting): Promise<string> {
  return documents(
    redis === undefined ? gatewayYaml : redisGatewayYaml(redis.port, { redis: 'onUnavailable: FailOpen' }),
    SECRETS,
    `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat, other]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}, pricing: {unit: USDPerMillionTokens, input: "1", output: "2"}}
  rules: ${rules ?? '[{name: default, targets: [{model: m}], failover: {maxAttempts: 1}}]'}
  rateLimits: [${limits}]
${cache === '' ? '' : `  cache: ${cache}`}
`,
  );
}

async function start(
  setting: Setting = {},
  respond: Respond = counting(),
  more: TestGatewayOptions = {},
): Promise<{ readonly gateway: TestGateway; readonly upstream: FakeUpstream }> {
  const upstream = await FakeUpstream.start(respond);
  return { gateway: await startGateway(await yamlOf(upstream, setting), more), upstream };
}

async function metric({ gateway }: TestGateway, line: string): Promise<boolean> {
  const { text } = await gateway.renderMetrics();
  return text.split('\n').includes(line);
}

describe('a route with a cache', () => {
  it('asks once for what is asked again, and says so', async () => {
    const clock = new ManualClock();
    const { gateway, upstream } = await start({}, counting(), { clock });
    const first = await ask(gateway);
    clock.advance(7_500);
    const second = await ask(gateway, { body: `{ "messages": ${JSON.stringify(chat.body['messages'])}, "model" : "chat" }` });
    expect([told(first), told(second)]).toEqual(['miss', 'hit']);
    expect(second.text).toBe(first.text);
    expect(second.headers).toMatchObject({
      'content-type': 'application/json',
      age: '7',
      'x-fairlead-model': 'm',
      'x-fairlead-reason': 'cache',
      'x-fairlead-attempts': '0',
      'x-fairlead-cost': '0',
    });
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(upstream.calls).toHaveLength(1);
    await gateway.until(() => gateway.requests.length === 2);
    expect(gateway.requests[1]).toMatchObject({ status: 200, reason: 'cache', target: null, attempts: [], tenant: 'team-a' });
    expect(await metric(gateway, 'fairlead_cache_lookups_total{route="platform/chat",result="hit"} 1')).toBe(true);
    expect(await metric(gateway, 'fairlead_cache_stored_total 1')).toBe(true);
  });

  it('asks again when the time is over', async () => {
    const clock = new ManualClock();
    const { gateway } = await start({ cache: '{ttl: 10s}' }, counting(), { clock });
    await ask(gateway);
    clock.advance(9_999);
    expect(told(await ask(gateway))).toBe('hit');
    clock.advance(1);
    expect(told(await ask(gateway))).toBe('miss');
  });

  it('gives no tenant the answer of another, and two keys of one tenant the same', async () => {
    const { gateway } = await start();
    const first = await ask(gateway);
    expect((await ask(gateway, { key: 'a2' })).text).toBe(first.text);
    const other = await ask(gateway, { key: 'b' });
    expect([told(other), other.text === first.text]).toEqual(['miss', false]);
  });

  it('tells keys apart where its scope says so, and nobody where it says Route', async () => {
    const perKey = await start({ cache: '{scope: APIKey}' });
    await ask(perKey.gateway);
    expect(told(await ask(perKey.gateway, { key: 'a2' }))).toBe('miss');
    expect(told(await ask(perKey.gateway))).toBe('hit');
    const all = await start({ cache: '{scope: Route}' });
    await ask(all.gateway);
    expect(told(await ask(all.gateway, { key: 'b' }))).toBe('hit');
  });

  it('replays a stream as a stream, and takes the same request without one for another', async () => {
    const { gateway, upstream } = await start();
    const first = await ask(gateway, { body: STREAM });
    const again = await ask(gateway, { body: STREAM });
    expect(told(again)).toBe('hit');
    expect(again.text).toBe(first.text);
    expect(again.headers['content-type']).toBe(first.headers['content-type']);
    expect(again.headers['content-length']).toBeUndefined();
    expect(again.text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(told(await ask(gateway))).toBe('miss');
    expect(told(await ask(gateway, { body: { ...STREAM, stream_options: { include_usage: true } } }))).toBe('miss');
    expect(upstream.calls).toHaveLength(3);
  });

  it('tells apart models, rules and switches of the provider', async () => {
    const rules = `
  - {name: gold, matches: [{headers: [{name: x-tier, value: gold}]}], targets: [{model: m}]}
  - {name: default, targets: [{model: m}]}`;
    const { gateway } = await start({ rules });
    await ask(gateway);
    expect(told(await ask(gateway, { body: { ...chat.body, model: 'other' } }))).toBe('miss');
    expect(told(await ask(gateway, { headers: { 'x-tier': 'gold' } }))).toBe('miss');
    expect(told(await ask(gateway, { headers: { 'openai-beta': 'assistants=v2' } }))).toBe('miss');
    expect(told(await ask(gateway, { headers: { 'x-trace': 'whatever' } }))).toBe('hit');
  });

  it('does as cache-control says', async () => {
    const clock = new ManualClock();
    const { gateway, upstream } = await start({}, counting(), { clock });
    const control = (value: string): Asked => ({ headers: { 'cache-control': value } });
    expect(told(await ask(gateway, control('no-store')))).toBe('bypass');
    expect(told(await ask(gateway))).toBe('miss');
    const renewed = await ask(gateway, control('no-cache'));
    expect(told(renewed)).toBe('miss');
    expect((await ask(gateway)).text).toBe(renewed.text);
    clock.advance(5_000);
    expect(told(await ask(gateway, control('max-age=5')))).toBe('hit');
    clock.advance(1_000);
    expect(told(await ask(gateway, control('max-age=5')))).toBe('miss');
    expect(upstream.calls).toHaveLength(4);
  });

  it('takes no part where an answer is not to be given twice', async () => {
    const { gateway } = await start();
    expect(told(await ask(gateway, { path: responses.path, body: responses.body }))).toBe('bypass');
    expect(told(await ask(gateway, { headers: { 'x-fairlead-include-cost': 'true' } }))).toBe('bypass');
    const unstored = { path: responses.path, body: { ...responses.body, store: false } };
    expect(told(await ask(gateway, unstored))).toBe('miss');
    expect(told(await ask(gateway, unstored))).toBe('hit');
  });

  const error = (call: ReceivedCall): void => call.answer(500, '{"error":{"message":"no"}}');
  const whole =
    (finish: string): Respond =>
    (call) =>
      call.answer(200, chat.whole('x').replace('"stop"', `"${finish}"`));
  it.each<[string, Respond, object]>([
    ['fails', error, chat.body],
    ['is refused', (call) => call.answer(400, '{"error":{"message":"bad","type":"invalid_request_error"}}'), chat.body],
    ['is filtered', whole('content_filter'), chat.body],
    ['is cut short', whole('length'), chat.body],
    ['is a stream that a filter ends', (call) => call.stream([...chat.preamble, chat.text('x'), ...chat.filtered]), STREAM],
    [
      'is a stream that breaks',
      (call) => {
        call.open();
        call.chunk(chat.text('x'));
        call.cut();
      },
      STREAM,
    ],
    ['is too large', (call) => call.answer(200, chat.whole('x'.repeat(1024 * 1024))), chat.body],
  ])('keeps no answer that %s', async (_, respond, body) => {
    const { gateway, upstream } = await start({}, respond);
    await ask(gateway, { body });
    await ask(gateway, { body });
    expect(upstream.calls).toHaveLength(2);
    upstream.respond(counting());
    expect(told(await ask(gateway, { body }))).toBe('miss');
    expect(told(await ask(gateway, { body }))).toBe('hit');
  });

  it('counts a hit as a request and spends no tokens on it', async () => {
    const limits = '{name: rpm, unit: Requests, limit: 3, window: 1h}, {name: tpm, unit: Tokens, limit: 100000, window: 1h}';
    const { gateway } = await start({ limits });
    await ask(gateway);
    const hit = await ask(gateway);
    const again = await ask(gateway);
    expect(told(again)).toBe('hit');
    expect(again.headers['x-ratelimit-remaining-requests']).toBe('0');
    expect(again.headers['x-ratelimit-remaining-tokens']).toBe(hit.headers['x-ratelimit-remaining-tokens']);
    expect((await ask(gateway)).status).toBe(429);
  });

  it('forgets what another model had answered, and not for a change of limits', async () => {
    const { gateway, upstream } = await start();
    await ask(gateway);
    const limits = '{name: rpm, unit: Requests, limit: 100, window: 1h}';
    gateway.apply(await yamlOf(upstream, { limits }));
    expect(told(await ask(gateway))).toBe('hit');
    gateway.apply((await yamlOf(upstream, { limits })).replace('{model: m, baseURL', '{model: better, baseURL'));
    expect(told(await ask(gateway))).toBe('miss');
  });

  it('costs a route without one nothing, not even a header', async () => {
    const { gateway, upstream } = await start({ cache: '' });
    const answers = [await ask(gateway), await ask(gateway)];
    expect(answers.map(told)).toEqual([undefined, undefined]);
    expect(upstream.calls).toHaveLength(2);
  });
});

describe('identical requests at the same moment', () => {
  it.each([
    ['whole', chat.body],
    ['stream', STREAM],
  ])('are one upstream call (%s)', async (_, body) => {
    const { gateway, upstream } = await start({}, () => {});
    const sent = Array.from({ length: 20 }, () => send(gateway.port, options({ body })));
    const call = await upstream.nextCall();
    await eventually(() => gateway.gateway.running.size === 20);
    await counting()(call);
    const answers = await Promise.all(sent.map(async ({ answer }) => answer));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter((answer) => told(answer) === 'hit')).toHaveLength(19);
    expect(upstream.calls).toHaveLength(1);
    expect(await metric(gateway, 'fairlead_cache_lookups_total{route="platform/chat",result="joined"} 19')).toBe(true);
  });

  it('do not fail with the one that asked', async () => {
    const { gateway, upstream } = await start({}, () => {});
    const first = send(gateway.port, options({}));
    const call = await upstream.nextCall();
    const others = [send(gateway.port, options({})), send(gateway.port, options({ key: 'a2' }))];
    await eventually(() => gateway.gateway.running.size === 3);
    upstream.respond(counting());
    call.answer(500, '{"error":{"message":"no"}}');
    expect((await first.answer).status).toBe(502);
    for (const { answer } of others) expect((await answer).status).toBe(200);
    expect(upstream.calls).toHaveLength(3);
  });

  it('do not leave with the one that asked: the next one asks', async () => {
    const { gateway, upstream } = await start({}, () => {});
    const first = send(gateway.port, options({}));
    const call = await upstream.nextCall();
    const others = [send(gateway.port, options({})), send(gateway.port, options({ key: 'a2' }))];
    await eventually(() => gateway.gateway.running.size === 3);
    upstream.respond(counting());
    first.leave();
    await call.gone;
    const answers = await Promise.all(others.map(async ({ answer }) => answer));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(new Set(answers.map(told))).toEqual(new Set(['hit', 'miss']));
    expect(upstream.calls).toHaveLength(2);
  });

  it('each get what is as new as they ask for', async () => {
    const clock = new ManualClock();
    const { gateway, upstream } = await start({}, counting(), { clock });
    await ask(gateway);
    clock.advance(6_000);
    const { cache } = gateway.gateway;
    const found = Promise.withResolvers<void>();
    const lookUp = cache.lookUp.bind(cache);
    // As Redis answers: later.
    cache.lookUp = async (key) => {
      await found.promise;
      return lookUp(key);
    };
    const any = send(gateway.port, options({}));
    await eventually(() => gateway.gateway.running.size === 1);
    const newer = send(gateway.port, options({ headers: { 'cache-control': 'max-age=5' } }));
    await eventually(() => gateway.gateway.running.size === 2);
    found.resolve();
    expect([told(await any.answer), told(await newer.answer)]).toEqual(['hit', 'miss']);
    expect(upstream.calls).toHaveLength(2);
  });

  it('do not fail with another one that waits', async () => {
    const { gateway, upstream } = await start({}, () => {});
    const sent = [0, 1, 2].map(() => send(gateway.port, options({})));
    const call = await upstream.nextCall();
    await eventually(() => gateway.gateway.running.size === 3);
    const faults: unknown[] = [];
    gateway.gateway.onFault = (error) => void faults.push(error);
    let left = 1;
    for (const { metrics } of gateway.gateway.table?.routes ?? []) {
      metrics.cacheLookedUp = () => {
        if (left-- > 0) throw new Error('a fault of one request');
      };
    }
    await counting()(call);
    const answers = await Promise.all(sent.map(async ({ answer }) => answer));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 500]);
    expect(faults).toHaveLength(1);
    await eventually(() => gateway.gateway.running.size === 0);
    expect(gateway.gateway.budget.usedBytes).toBe(0);
  });

  it('give everything back when all of them leave', async () => {
    const { gateway, upstream } = await start({ limits: '{name: slots, unit: Concurrency, limit: 3}' }, () => {});
    const sent = [0, 1, 2].map(() => send(gateway.port, options({})));
    await upstream.nextCall();
    await eventually(() => gateway.gateway.running.size === 3);
    for (const one of sent.reverse()) one.leave();
    await eventually(() => gateway.gateway.running.size === 0);
    upstream.respond(counting());
    const answers = await Promise.all([0, 1, 2].map(async () => ask(gateway)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(gateway.gateway.budget.usedBytes).toBe(0);
  });
});

if (redisAbsent === null) {
  describe('two pods with one Redis', () => {
    let redis: RedisProcess;
    beforeEach(async () => {
      redis = await RedisProcess.start();
    });
    afterEach(async () => {
      await redis.kill();
    });

    const startTwo = async (
      patience = PATIENT,
    ): Promise<{
      readonly pods: readonly [TestGateway, TestGateway];
      readonly upstream: FakeUpstream;
    }> => {
      const { gateway, upstream } = await start({ redis }, counting(), patience);
      const pods = [gateway, await startGateway(await yamlOf(upstream, { redis }), patience)] as const;
      for (const pod of pods) await until(pod, 'fairlead_cache_store_reachable 1');
      return { pods, upstream };
    };

    it.each([
      ['whole', chat.body],
      ['stream', STREAM],
    ])('have one cache (%s)', async (_, body) => {
      const { pods, upstream } = await startTwo();
      const first = await ask(pods[0], { body });
      await until(pods[0], 'fairlead_cache_stored_total 1');
      const second = await ask(pods[1], { body });
      expect([told(first), told(second), upstream.calls.length]).toEqual(['miss', 'hit', 1]);
      expect(second.text).toBe(first.text);
      expect(told(await ask(pods[1], { body, key: 'b' }))).toBe('miss');
      const keys = await redis.command('KEYS', 'fairlead:*:answer:{*}');
      expect(keys).not.toContain('team-a');
      const [, key = ''] = /(fairlead:\S+:answer:\S+)/.exec(keys) ?? [];
      const left = Number((await redis.command('PTTL', key)).slice(1));
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(3_600_000);
    });

    it('answer without it when Redis is gone, and use it again when it is back', async () => {
      const { pods, upstream } = await startTwo();
      await redis.kill();
      const answers = [await ask(pods[0]), await ask(pods[1])];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers.map(told)).toEqual(['miss', 'miss']);
      await until(pods[0], 'fairlead_cache_store_reachable 0');
      expect((await ask(pods[0])).status).toBe(200);
      await redis.restart();
      for (const pod of pods) await until(pod, 'fairlead_cache_store_reachable 1');
      // An answer is kept after it was sent.
      const deadlineMs = performance.now() + PATIENCE_MS;
      while (told(await ask(pods[0])) !== 'hit' && performance.now() < deadlineMs);
      const before = upstream.calls.length;
      expect([told(await ask(pods[1])), upstream.calls.length]).toEqual(['hit', before]);
    });

    it('go on when Redis hangs', async () => {
      const { pods } = await startTwo({});
      redis.signal('SIGSTOP');
      try {
        const answer = await ask(pods[0]);
        expect([answer.status, told(answer)]).toEqual([200, 'miss']);
      } finally {
        redis.signal('SIGCONT');
      }
    });

    it('store nothing where Redis has little memory left, so that limits find room', async () => {
      const { pods, upstream } = await startTwo();
      await redis.command('CONFIG', 'SET', 'maxmemory', '1000000');
      await ask(pods[0]);
      await until(pods[0], 'fairlead_cache_not_stored_total{reason="full"} 1');
      expect(told(await ask(pods[1]))).toBe('miss');
      expect(upstream.calls).toHaveLength(2);
    });

    it('take nothing else for an answer', async () => {
      const { pods } = await startTwo();
      await ask(pods[0]);
      await until(pods[0], 'fairlead_cache_stored_total 1');
      const [, key = ''] = /(fairlead:\S+:answer:\S+)/.exec(await redis.command('KEYS', '*answer*')) ?? [];
      await redis.command('SET', key, 'something else');
      const answer = await ask(pods[1]);
      expect([answer.status, told(answer)]).toEqual([200, 'miss']);
    });
  });
} else {
  it(`absent: a cache that two pods share: ${redisAbsent}`, () => undefined);
}

const PATIENCE_MS = 100_000;

/** Until a scrape has this line. */
async function until(pod: TestGateway, line: string): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await metric(pod, line))) {
    if (performance.now() > deadlineMs) {
      const { text } = await pod.gateway.renderMetrics();
      throw new Error(`no scrape says ${line}, but:\n${text.match(/^fairlead_cache.*$/gm)?.join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
