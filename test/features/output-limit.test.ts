// Promise: a request for longer answers than a model gives is asked of it as what it gives, and the answer says so.
import { describe, expect, it } from '@jest/globals';
import { type Answer, request } from './support/client.ts';
import { chat, type Dialect, responses, streamOf } from './support/dialects.ts';
import { startGateway, type TestGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const CLAMPED = 'x-fairlead-max-tokens-clamped';

interface Model {
  readonly url: string;
  readonly provider?: 'Anthropic' | 'Mistral' | 'OpenAICompatible';
  /** YAML, in flow style without braces. */
  readonly more?: string;
}

const MEMBERS = { Anthropic: 'anthropic', Mistral: 'mistral', OpenAICompatible: 'openAICompatible' };

function yaml(models: Readonly<Record<string, Model>>, selection = '', failover = ''): string {
  const entries = Object.entries(models).map(([name, { url, provider = 'OpenAICompatible', more = '' }]) => {
    return `  - {name: ${name}, provider: {type: ${provider}, ${MEMBERS[provider]}: {model: ${name}-up, baseURL: "${url}"}}, auth: {type: None}${more === '' ? '' : `, ${more}`}}`;
  });
  const targets = Object.keys(models).map((name) => `{model: ${name}}`);
  return chatRouteYaml(entries.join('\n'), `  - {name: default, targets: [${targets.join(', ')}]${selection}${failover}}`);
}

const messages: Pick<Dialect, 'path' | 'body' | 'whole'> = {
  path: '/v1/messages',
  body: { model: 'chat', max_tokens: 64, messages: [{ role: 'user', content: 'Say something.' }] },
  whole: (text) =>
    JSON.stringify({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1, output_tokens: 1 },
    }),
};

const small = 'capabilities: {maxOutputTokens: 8192}';
const dialectOf = (call: ReceivedCall): Dialect => (call.path.endsWith('/responses') ? responses : chat);

async function upstream(): Promise<FakeUpstream> {
  return FakeUpstream.start((call) => {
    if (call.body.includes('"stream":true')) call.stream(streamOf(dialectOf(call), 'Hello'));
    else call.answer(200, (call.path.endsWith('/messages') ? messages : dialectOf(call)).whole('Hello'));
  });
}

async function ask({ port }: TestGateway, { path, body }: Pick<Dialect, 'path' | 'body'>, more: object): Promise<Answer> {
  return request(port, { path, body: { ...body, ...more } });
}

const sent = ({ calls }: FakeUpstream): unknown => JSON.parse(String(calls.at(-1)?.body));

describe('a request for longer answers than the model gives', () => {
  it.each([
    ['chat', chat, { max_tokens: 32_000 }, { max_tokens: 8_192 }],
    ['chat', chat, { max_completion_tokens: 32_000, max_tokens: 100 }, { max_completion_tokens: 8_192, max_tokens: 100 }],
    ['responses', responses, { max_output_tokens: 32_000 }, { max_output_tokens: 8_192 }],
  ])('is asked of it as what it gives, and nothing else of it changes (%s)', async (_, dialect, asked, expected) => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ m: { url: one.url, more: small } }));
    for (const stream of [false, true]) {
      const answer = await ask(gateway, dialect, { ...asked, user: 'u', stream });
      expect(answer.status).toBe(200);
      expect(answer.headers[CLAMPED]).toBe('8192');
      expect(sent(one)).toMatchObject({ ...dialect.body, model: 'm-up', user: 'u', ...expected });
    }
  });

  it('keeps its other bytes where the dialects are the same', async () => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ m: { url: one.url, provider: 'Anthropic', more: small } }));
    const body = '{ "model":"chat", "max_tokens" : 32000, "unknown": 1.50, "messages":[{"role":"user","content":"Hé"}]}';
    const answer = await request(gateway.port, { path: '/v1/messages', body, headers: { 'content-type': 'application/json' } });
    expect(answer.headers[CLAMPED]).toBe('8192');
    expect(String(one.calls[0]?.body)).toBe(body.replace('"chat"', '"m-up"').replace('32000', '8192'));
  });

  it('is asked by the name that the model has for it', async () => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ m: { url: one.url, provider: 'Mistral', more: small } }));
    const answer = await ask(gateway, chat, { max_completion_tokens: 32_000 });
    expect(answer.headers[CLAMPED]).toBe('8192');
    expect(sent(one)).toEqual({ ...chat.body, model: 'm-up', max_tokens: 8_192 });
  });

  it('is translated with what it gives', async () => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ m: { url: one.url, more: small } }));
    const answer = await ask(gateway, messages, { max_tokens: 32_000, thinking: { type: 'enabled', budget_tokens: 31_999 } });
    expect(answer.status).toBe(200);
    expect(answer.headers[CLAMPED]).toBe('8192');
    expect(sent(one)).toMatchObject({ max_tokens: 8_192 });
  });

  it('is answered by small models in their turn', async () => {
    const [one, two] = [await upstream(), await upstream()];
    const models = { small: { url: one.url, more: small }, large: { url: two.url } };
    const gateway = await startGateway(yaml(models, ', selection: {strategy: RoundRobin}'));
    const told: Record<string, unknown> = {};
    for (let turn = 0; turn < 4; turn++) {
      const { headers } = await ask(gateway, chat, { max_tokens: 32_000 });
      told[String(headers['x-fairlead-model'])] = headers[CLAMPED] ?? 'as asked';
    }
    expect(told).toEqual({ small: '8192', large: 'as asked' });
    expect([one.calls.length, two.calls.length]).toEqual([2, 2]);
  });

  it('tells the bound of the model that answered', async () => {
    const [one, two] = [await upstream(), await upstream()];
    one.respond((call) => call.answer(500, '{}'));
    const models = { a: { url: one.url, more: small }, b: { url: two.url, more: 'capabilities: {maxOutputTokens: 16000}' } };
    const gateway = await startGateway(yaml(models, ', selection: {strategy: RoundRobin}'));
    for (let turn = 0; turn < 2; turn++)
      expect((await ask(gateway, chat, { max_tokens: 32_000 })).headers[CLAMPED]).toBe('16000');
    expect(sent(one)).toMatchObject({ max_tokens: 8_192 });
    expect(sent(two)).toMatchObject({ max_tokens: 16_000 });
  });

  it('is left as it is where it asks for no more, or the route itself says how much', async () => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ m: { url: one.url, more: small } }));
    expect((await ask(gateway, chat, { max_tokens: 8_192 })).headers).not.toHaveProperty(CLAMPED);
    expect((await ask(gateway, chat, {})).headers).not.toHaveProperty(CLAMPED);
    expect(sent(one)).not.toHaveProperty('max_tokens');
    gateway.apply(yaml({ m: { url: one.url, more: `${small}, override: {max_tokens: 20000}` } }));
    expect((await ask(gateway, chat, { max_tokens: 32_000 })).headers).not.toHaveProperty(CLAMPED);
    expect(sent(one)).toMatchObject({ max_tokens: 20_000 });
  });
});

describe('a request that lets Claude think for more than it gives in all', () => {
  const thinks = { max_tokens: 32_000, thinking: { type: 'enabled', budget_tokens: 31_999 } };

  it('is answered by another model', async () => {
    const [one, two] = [await upstream(), await upstream()];
    const models = {
      small: { url: one.url, provider: 'Anthropic', more: small },
      large: { url: two.url, provider: 'Anthropic' },
    } as const;
    const gateway = await startGateway(yaml(models, ', selection: {strategy: RoundRobin}'));
    for (let turn = 0; turn < 2; turn++) expect((await ask(gateway, messages, thinks)).headers['x-fairlead-model']).toBe('large');
    expect(one.calls).toHaveLength(0);
  });

  it('is refused by name where there is none', async () => {
    const one = await upstream();
    const gateway = await startGateway(yaml({ small: { url: one.url, provider: 'Anthropic', more: small } }));
    const refused = await ask(gateway, messages, thinks);
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('think for 31999 tokens, and this one gives at most 8192 in all');
    expect(one.calls).toHaveLength(0);
  });
});
