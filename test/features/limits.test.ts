import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../src/lib/clock.ts';
import { type Answer, request, send } from './support/client.ts';
import { chat, streamOf, USAGE } from './support/dialects.ts';
import { startGateway, type TestGateway, type TestGatewayOptions } from './support/gateway.ts';
import { openAIError } from './support/openai-answers.ts';
import { clientKeyYaml, documents, gatewayYaml } from './support/secrets.ts';
import { FakeUpstream, type Respond } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

/** Limits of one process, on a clock that moves only when told to. */

const KEYS = { a1: 'fl-team-a-key-one', a2: 'fl-team-a-key-two', b: 'fl-team-b-key' } as const;
const SECRETS = documents(
  clientKeyYaml(KEYS.a1, { name: 'one', namespace: 'team-a' }),
  clientKeyYaml(KEYS.a2, { name: 'two', namespace: 'team-a' }),
  clientKeyYaml(KEYS.b, { name: 'key', namespace: 'team-b' }),
);

const hello: Respond = (call) => {
  if (call.body.includes('"stream":true')) call.stream(streamOf(chat, 'Hello'));
  else call.answer(200, chat.whole('Hello'));
};

interface Setting {
  readonly gateway: TestGateway;
  readonly upstream: FakeUpstream;
  readonly clock: ManualClock;
  readonly ask: (more?: Asked) => Promise<Answer>;
  readonly yaml: (limits: string) => string;
}

interface Asked {
  readonly key?: keyof typeof KEYS;
  readonly model?: string;
  readonly stream?: boolean;
  readonly maxTokens?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

function bodyOf({ model = 'chat', stream, maxTokens }: Asked): object {
  return {
    ...chat.body,
    model,
    ...(stream === undefined ? {} : { stream }),
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
  };
}

async function start(limits: string, respond: Respond = hello, more: TestGatewayOptions = {}): Promise<Setting> {
  const upstream = await FakeUpstream.start(respond);
  const clock = new ManualClock();
  clock.advance(1_000_000);
  const yaml = (rateLimits: string): string =>
    documents(
      gatewayYaml(),
      SECRETS,
      `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: platform}
spec:
  modelNames: [chat, "chat-*"]
  models:
  - {name: m, provider: {type: OpenAICompatible, openAICompatible: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}}
  rules: [{name: default, targets: [{model: m}], failover: {maxAttempts: 1}}]
  rateLimits: [${rateLimits}]
`,
    );
  const gateway = await startGateway(yaml(limits), { clock, ...more });
  const ask: Setting['ask'] = async (more = {}) =>
    request(gateway.port, { body: bodyOf(more), headers: { 'api-key': KEYS[more.key ?? 'a1'], ...more.headers } });
  return { gateway, upstream, clock, ask, yaml };
}

function left(
  answer: Answer,
  unit: 'requests' | 'tokens',
): { readonly limit: number; readonly remaining: number; readonly reset: string } {
  const value = (name: string): string => String(answer.headers[`x-ratelimit-${name}-${unit}`]);
  return { limit: Number(value('limit')), remaining: Number(value('remaining')), reset: value('reset') };
}

/** 88ms, 1.5s, 6m0s → milliseconds. */
function resetMs(text: string): number {
  const [, minutes = '0', seconds = '0', ms = '0'] = /^(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:(\d+)ms)?$/.exec(text) ?? [];
  return Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(ms);
}

function expectLimited(answer: Answer, name: string): number {
  expect(answer.status).toBe(429);
  expect(JSON.parse(answer.text)).toMatchObject({
    error: {
      code: 'rate_limit_exceeded',
      type: 'rate_limit_error',
      param: null,
      message: expect.stringContaining(`limit "${name}" (`),
    },
  });
  expect(answer.headers['x-fairlead-limit']).toBe(name);
  expect(answer.headers['x-should-retry']).toBe('true');
  const waitMs = Number(answer.headers['retry-after-ms']);
  expect(waitMs).toBeGreaterThan(0);
  expect(answer.headers['retry-after']).toBe(String(Math.ceil(waitMs / 1000)));
  return waitMs;
}

describe('requests', () => {
  const twoAMinute = '{name: two, per: [APIKey], unit: Requests, limit: 2, window: 1m}';

  it('tell in the head of a stream what is left when it comes, or was a second before', async () => {
    const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
    const { promise: thought, resolve: answerNow } = Promise.withResolvers<void>();
    const { ask, clock } = await start('{name: rpm, per: [], unit: Requests, limit: 10, window: 1m}', (call) => {
      const isStream = call.body.includes('"stream":true');
      if (isStream) isAsked();
      void (isStream ? thought : asked).then(() => hello(call));
    });
    const stream = ask({ stream: true });
    await asked;
    await ask();
    clock.advance(1_001);
    answerNow();
    const { headers } = await stream;
    expect(headers['x-ratelimit-remaining-requests']).toBe('8');
    expect(headers['x-ratelimit-limit-requests']).toBe('10');
  });

  it('are limited a key, and retry-after tells the very millisecond', async () => {
    const { ask, clock, upstream, gateway } = await start(twoAMinute);
    expect(left(await ask(), 'requests')).toMatchObject({ limit: 2, remaining: 1 });
    clock.advance(10_000);
    expect(left(await ask(), 'requests')).toMatchObject({ limit: 2, remaining: 0 });
    const refused = await ask();
    const waitMs = expectLimited(refused, 'two');
    expect(refused.text).toContain('(2 Requests per APIKey)');
    expect(left(refused, 'requests')).toMatchObject({ limit: 2, remaining: 0 });
    expect(resetMs(left(refused, 'requests').reset)).toBeGreaterThanOrEqual(waitMs);
    expect(upstream.calls).toHaveLength(2);
    clock.advance(waitMs - 1);
    expectLimited(await ask(), 'two');
    clock.advance(1);
    expect((await ask()).status).toBe(200);
    expectLimited(await ask(), 'two');
    expect(gateway.requests.map(({ status }) => status)).toEqual([200, 200, 429, 429, 200, 429]);
    const metrics = await request(gateway.adminPort, { path: '/metrics' });
    expect(metrics.text).toMatch(/limit="two"[^\n]*\} 3\n/);
  });

  it.each([
    ['APIKey', [200, 200]],
    ['Tenant', [429, 200]],
    ['Route', [429, 429]],
  ])('are counted per %s', async (scope, [sameTenant, otherTenant]) => {
    const { ask } = await start(`{name: one, per: [${scope}], unit: Requests, limit: 1, window: 1m}`);
    expect((await ask({ key: 'a1' })).status).toBe(200);
    expect((await ask({ key: 'a1' })).status).toBe(429);
    expect((await ask({ key: 'a2' })).status).toBe(sameTenant);
    expect((await ask({ key: 'b' })).status).toBe(otherTenant);
  });

  it('are counted per model, and per several scopes together', async () => {
    const { ask } = await start('{name: one, per: [Tenant, Model], unit: Requests, limit: 1, window: 1m}');
    expect((await ask({ model: 'chat-1' })).status).toBe(200);
    expect((await ask({ model: 'chat-2', key: 'a2' })).status).toBe(200);
    expect((await ask({ model: 'chat-1', key: 'b' })).status).toBe(200);
    expect((await ask({ model: 'chat-1', key: 'a2' })).status).toBe(429);
  });

  it('are counted per value of a header; values beyond the bound share one counter', async () => {
    const { ask } = await start(
      '{name: one, per: [Header], header: {name: X-User, maxValues: 2}, unit: Requests, limit: 1, window: 1m}',
    );
    const by = async (user: string): Promise<number> => (await ask({ headers: { 'x-user': user } })).status;
    expect([await by('ada'), await by('bob'), await by('ada'), await by('bob')]).toEqual([200, 200, 429, 429]);
    expect([await by('eve'), await by('dan'), await by('x'.repeat(5_000))]).toEqual([200, 429, 429]);
  });

  it('are told of on every answer: errors of an upstream and streams that are still silent, too', async () => {
    const { ask, gateway, upstream } = await start('{name: rpm, unit: Requests, limit: 9, window: 1m}', hello, {
      keepAliveAfterMs: 10,
    });
    const leftAfter = async (respond: Respond, more: Asked = {}): Promise<number> => {
      upstream.respond(respond);
      return left(await ask(more), 'requests').remaining;
    };
    expect(await leftAfter(hello)).toBe(8);
    expect(await leftAfter((call) => call.answer(400, '{"error":{"message":"bad","type":"invalid_request_error"}}'))).toBe(8);
    expect(await leftAfter((call) => call.answer(500, '{}'))).toBe(8);
    upstream.respond(() => {});
    const silent = send(gateway.port, { body: bodyOf({ stream: true }), headers: { 'api-key': KEYS.a1 } });
    const { headers } = await silent.head;
    expect(headers['x-ratelimit-remaining-requests']).toBe('7');
    const call = upstream.calls.at(-1);
    if (call === undefined) throw new Error('nobody was asked');
    hello(call);
    expect((await silent.answer).complete).toBe(true);
  });

  it('that fail upstream are given back', async () => {
    const { ask, upstream } = await start(twoAMinute, (call) => call.answer(500, '{}'));
    for (let round = 0; round < 4; round++) {
      const failed = await ask();
      expect(failed.status).toBe(502);
      expect(left(failed, 'requests')).toMatchObject({ limit: 2, remaining: 2, reset: '0ms' });
    }
    upstream.respond((call) => call.answer(400, JSON.stringify(openAIError('No', 'invalid_value'))));
    for (let round = 0; round < 4; round++) expect((await ask()).status).toBe(400);
    upstream.respond(hello);
    expect((await ask()).status).toBe(200);
  });

  it('keep their count when the configuration changes', async () => {
    const { ask, gateway, yaml } = await start(twoAMinute);
    await ask();
    await ask();
    gateway.apply(yaml(twoAMinute.replace('limit: 2', 'limit: 3')));
    expect(left(await ask(), 'requests')).toMatchObject({ limit: 3, remaining: 0 });
    expectLimited(await ask(), 'two');
  });

  it('all limits hold, and a refusal by one takes nothing from the others', async () => {
    const { ask } = await start(
      '{name: key, per: [APIKey], unit: Requests, limit: 1, window: 1m}, {name: route, per: [Route], unit: Requests, limit: 2, window: 1m}',
    );
    expect(left(await ask({ key: 'a1' }), 'requests')).toMatchObject({ limit: 1, remaining: 0 });
    for (let round = 0; round < 5; round++) expectLimited(await ask({ key: 'a1' }), 'key');
    expect((await ask({ key: 'a2' })).status).toBe(200);
    expectLimited(await ask({ key: 'b' }), 'route');
  });
});

describe('tokens', () => {
  const limit = '{name: tokens, per: [Tenant], unit: Tokens, limit: 1000, window: 1m}';

  it('are reserved for the request and settled by what was used', async () => {
    const { ask, upstream } = await start(limit);
    // Settled before the answer's head is written.
    expect(left(await ask({ maxTokens: 900 }), 'tokens')).toMatchObject({ limit: 1000, remaining: 1000 - USAGE.total_tokens });
    let release = (): void => {};
    upstream.respond((call) => (release = () => call.answer(200, chat.whole('Hello'))));
    const first = ask({ maxTokens: 900 });
    await upstream.until(() => upstream.calls.length === 2);
    expectLimited(await ask({ maxTokens: 900 }), 'tokens');
    release();
    expect((await first).status).toBe(200);
    upstream.respond(hello);
    expect(left(await ask({ maxTokens: 900 }), 'tokens').remaining).toBe(1000 - 3 * USAGE.total_tokens);
  });

  it('of a stream are settled by its usage; what was used beyond the reservation is owed', async () => {
    const usage = `data: {"choices":[],"usage":{"prompt_tokens":500,"completion_tokens":700,"total_tokens":1200}}\n\n`;
    const { ask, clock } = await start(limit, (call) =>
      call.stream([...streamOf(chat, 'Hello').slice(0, -1), usage, 'data: [DONE]\n\n']),
    );
    expect((await ask({ stream: true, maxTokens: 10 })).status).toBe(200);
    const refused = await ask({ stream: true, maxTokens: 1 });
    const waitMs = expectLimited(refused, 'tokens');
    expect(left(refused, 'tokens').remaining).toBe(0);
    clock.advance(waitMs);
    expect((await ask({ stream: true, maxTokens: 1 })).status).toBe(200);
  });

  it('of a request that is larger than the whole limit are refused for good', async () => {
    const { ask, upstream } = await start(limit);
    const refused = await ask({ maxTokens: 1001 });
    expect(refused.status).toBe(429);
    expect(JSON.parse(refused.text)).toMatchObject({
      error: { code: 'request_exceeds_limit', message: expect.stringContaining('"tokens" (1000 Tokens per Tenant)') },
    });
    expect(refused.headers['x-should-retry']).toBe('false');
    expect(refused.headers).not.toHaveProperty('retry-after-ms');
    expect(upstream.calls).toHaveLength(0);
  });

  it('are given back where nothing was answered', async () => {
    const { ask, upstream } = await start(limit, (call) => call.answer(500, '{}'));
    for (let round = 0; round < 3; round++) expect(left(await ask({ maxTokens: 900 }), 'tokens').remaining).toBe(1000);
    upstream.respond(hello);
    expect((await ask({ maxTokens: 900 })).status).toBe(200);
  });

  it.each([
    ['a filter has cut', false, chat.whole('Hel').replace('"stop"', '"content_filter"'), 200],
    ['is none, as a stream', true, `data: ${JSON.stringify({ choices: [], usage: USAGE })}\n\n`, 502],
  ])('are charged for what was told as used by an answer that %s', async (_, stream, body, status) => {
    const { ask, gateway } = await start(`${limit}, {name: rpm, unit: Requests, limit: 9, window: 1m}`, (call) =>
      stream ? call.stream([body]) : call.answer(200, body),
    );
    for (let round = 1; round < 4; round++) {
      const answer = await ask({ maxTokens: 100, stream });
      expect(answer.status).toBe(status);
      expect(left(answer, 'tokens').remaining).toBe(1000 - round * USAGE.total_tokens);
      expect(left(answer, 'requests').remaining).toBe(9);
    }
    const { text } = await gateway.gateway.renderMetrics();
    expect(text).toMatch(new RegExp(`^fairlead_tokens_total\\{.*direction="output".*\\} ${3 * USAGE.completion_tokens}$`, 'm'));
  });

  it('are charged for what was told as used by an answer that failed over', async () => {
    const filtered = chat.whole('Hel').replace('"stop"', '"content_filter"');
    const second = await FakeUpstream.start(hello);
    const { gateway, ask, upstream, yaml } = await start(limit, (call) => call.answer(200, filtered));
    const two = `  - {name: b, provider: {type: OpenAICompatible, openAICompatible: {model: b, baseURL: "${second.url}"}}, auth: {type: None}}`;
    const failover = 'failover: {contentFilter: {mode: Failover, targets: [b]}}';
    gateway.apply(yaml(limit).replace('  rules:', `${two}\n  rules:`).replace('failover: {maxAttempts: 1}', failover));
    const answer = await ask({ maxTokens: 100 });
    expect([answer.status, answer.headers['x-fairlead-attempts'], upstream.calls.length]).toEqual([200, '2', 1]);
    expect(left(answer, 'tokens').remaining).toBe(1000 - 2 * USAGE.total_tokens);
    const { text } = await gateway.gateway.renderMetrics();
    expect(text).toMatch(
      new RegExp(`^fairlead_tokens_total\\{.*target="m".*direction="output".*\\} ${USAGE.completion_tokens}$`, 'm'),
    );
  });

  it('of a client that left are settled by what had come', async () => {
    const { gateway, upstream, ask } = await start(limit, (call) => {
      call.open();
      for (const frame of [...chat.preamble, chat.text('x'.repeat(400))]) call.chunk(frame);
    });
    const sent = send(gateway.port, { body: bodyOf({ stream: true, maxTokens: 900 }), headers: { 'api-key': KEYS.a1 } });
    await sent.waitFor('xxxx');
    sent.leave();
    await gateway.until(() => gateway.requests.length === 1);
    const used = gateway.requests[0]?.usage;
    expect(used).toMatchObject({ outputTokens: 100, estimated: true });
    upstream.respond(hello);
    expect(left(await ask({ maxTokens: 1 }), 'tokens').remaining).toBe(
      1000 - 100 - (used?.inputTokens ?? 0) - USAGE.total_tokens,
    );
  });
});

describe('tokens of a stream whose provider tells what its output used at its end', () => {
  it.each([
    ['as it is', '/v1/messages'],
    ['translated', '/v1/chat/completions'],
  ])('are settled by what had come, where its client left (%s)', async (_, path) => {
    const events = [
      { type: 'message_start', message: { type: 'message', role: 'assistant', usage: { input_tokens: 50, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'x'.repeat(400) } },
    ];
    const upstream = await FakeUpstream.start((call) => {
      call.open();
      for (const event of events) call.chunk(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    });
    const route = chatRouteYaml(
      `  - {name: m, provider: {type: Anthropic, anthropic: {model: m, baseURL: "${upstream.url}"}}, auth: {type: None}}`,
      '  - {name: default, targets: [{model: m}]}',
      { namespace: 'platform' },
    );
    const gateway = await startGateway(documents(gatewayYaml(), SECRETS, route));
    const body = bodyOf({ stream: true, maxTokens: 900 });
    const sent = send(gateway.port, { path, body, headers: { 'api-key': KEYS.a1 } });
    await sent.waitFor('xxxx');
    sent.leave();
    await gateway.until(() => gateway.requests.length === 1);
    expect(gateway.requests[0]?.usage).toMatchObject({ inputTokens: 50, outputTokens: 100, estimated: true });
  });
});

describe('concurrency', () => {
  const one = '{name: inflight, per: [Tenant], unit: Concurrency, limit: 1}';

  it('is limited, and free again when a request ends, however it ends', async () => {
    const { gateway, upstream, ask } = await start(one, () => {});
    const begin = (stream: boolean): ReturnType<typeof send> =>
      send(gateway.port, { body: bodyOf({ stream }), headers: { 'api-key': KEYS.a1 } });
    const calls = (count: number): Promise<void> => upstream.until(() => upstream.calls.length === count);

    const whole = begin(false);
    await calls(1);
    expect(expectLimited(await ask(), 'inflight')).toBe(1000);
    const others = send(gateway.port, { body: bodyOf({}), headers: { 'api-key': KEYS.b } });
    await calls(2);
    upstream.calls[1]?.answer(200, chat.whole('Hello'));
    expect((await others.answer).status).toBe(200);
    upstream.calls[0]?.answer(200, chat.whole('Hello'));
    expect((await whole.answer).status).toBe(200);

    const leaving = begin(false);
    await calls(3);
    leaving.leave();
    await gateway.until(() => gateway.requests.some(({ clientGone }) => clientGone));

    const stream = begin(true);
    await calls(4);
    upstream.calls[3]?.open();
    for (const frame of [...chat.preamble, chat.text('Hello')]) upstream.calls[3]?.chunk(frame);
    await stream.waitFor('Hello');
    expectLimited(await ask(), 'inflight');
    stream.leave();
    await gateway.until(() => gateway.requests.filter(({ clientGone }) => clientGone).length === 2);

    const failed = begin(false);
    await calls(5);
    upstream.calls[4]?.cut();
    expect((await failed.answer).status).toBe(502);

    upstream.respond(hello);
    expect((await ask({ stream: true })).status).toBe(200);
    expect((await ask()).status).toBe(200);
  });
});
