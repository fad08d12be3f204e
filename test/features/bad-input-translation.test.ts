// Promise: what is wrong with a request, or beyond a model, is refused by its name before any call, or asked of a model that can; it
// is never sent to a provider that cannot read it, and never lost on the way.
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import { chatCompletion } from './support/openai-answers.ts';
import { FakeUpstream } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const CLAUDE = {
  type: 'message',
  role: 'assistant',
  content: [{ type: 'text', text: 'Hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 1, output_tokens: 1 },
};

/** `claude` and `text` cannot do all that `openai` can. */
async function serve(targets: readonly string[], status = 200, answer?: unknown) {
  const claude = await FakeUpstream.start((call) => call.answer(status, JSON.stringify(answer ?? CLAUDE)));
  const openai = await FakeUpstream.start((call) => call.answer(200, JSON.stringify(chatCompletion('Hi'))));
  const models = `
  - {name: claude, provider: {type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${claude.url}"}}, auth: {type: None}}
  - name: text
    provider: {type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${claude.url}"}}
    auth: {type: None}
    capabilities: {vision: false}
  - {name: newest, provider: {type: Anthropic, anthropic: {model: claude-opus-4-7, baseURL: "${claude.url}"}}, auth: {type: None}}
  - {name: openai, provider: {type: OpenAI, openAI: {model: gpt-4o, baseURL: "${openai.url}"}}, auth: {type: None}}`;
  const order = targets.map((model, priority) => `{model: ${model}, priority: ${priority}}`);
  const gateway = await startGateway(chatRouteYaml(models, `  - {name: default, targets: [${order.join(', ')}]}`));
  return { claude, openai, gateway };
}

const HI = { role: 'user', content: 'Hi' };
const IMAGE = (data: string): object => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } });
const ask = (members: object): object => ({ model: 'chat', messages: [HI], ...members });

const BAD: readonly (readonly [string, object, string])[] = [
  ['a role that nobody has', ask({ messages: [{ role: 'wizard', content: 'Hi' }] }), 'messages[0].role'],
  [
    'base64 that is none',
    ask({ messages: [{ role: 'user', content: [IMAGE('not base64!')] }] }),
    'messages[0].content[0].image_url.url',
  ],
  ['no messages', ask({ messages: [] }), 'messages'],
  ['a number that is none', ask({ temperature: 'hot' }), 'temperature'],
  ['a tool without a name', ask({ tools: [{ type: 'function', function: {} }] }), 'tools[0].function.name'],
  [
    'a tool’s schema that is none',
    ask({ tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] }),
    'tools[0].function.parameters',
  ],
];

const BEYOND: readonly (readonly [string, object, string])[] = [
  ['a member that nobody knows', ask({ frobnicate: true }), 'frobnicate'],
  ['several answers', ask({ n: 2 }), 'n'],
  ['a seed', ask({ seed: 7 }), 'seed'],
  ['likelihoods of tokens', ask({ logprobs: true }), 'logprobs'],
  [
    'sound',
    ask({ messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }] }] }),
    'messages[0].content[0].input_audio',
  ],
];

describe('a request that is wrong whoever answers', () => {
  it.each(BAD)('%s', async (_, body, param) => {
    const { claude, gateway } = await serve(['claude']);
    const got = await request(gateway.port, { body });
    expect(got.status).toBe(400);
    expect(JSON.parse(got.text)).toMatchObject({ error: { type: 'invalid_request_error', param } });
    expect(claude.calls).toHaveLength(0);
  });
});

describe('a request that is beyond a model', () => {
  it.each(BEYOND)('%s is refused by name where no other can', async (_, body, param) => {
    const { claude, gateway } = await serve(['claude']);
    const got = await request(gateway.port, { body });
    expect(got.status).toBe(400);
    expect(JSON.parse(got.text)).toMatchObject({ error: { code: 'unsupported_request', param } });
    expect(claude.calls).toHaveLength(0);
  });

  it.each(BEYOND)('%s is asked of a model that may', async (_, body) => {
    const { claude, openai, gateway } = await serve(['claude', 'openai']);
    const got = await request(gateway.port, { body });
    expect([got.status, got.headers['x-fairlead-model']]).toEqual([200, 'openai']);
    expect([claude.calls.length, openai.calls.length]).toEqual([0, 1]);
  });

  it.each(['temperature', 'top_p'])('%s for a Claude that answers 400 to it', async (param) => {
    const body = ask({ [param]: 0.5 });
    const { claude, gateway } = await serve(['newest']);
    const refused = await request(gateway.port, { body });
    expect([refused.status, claude.calls.length]).toEqual([400, 0]);
    expect(JSON.parse(refused.text)).toMatchObject({ error: { code: 'unsupported_request', param } });
    const older = await serve(['newest', 'claude']);
    expect((await request(older.gateway.port, { body })).headers['x-fairlead-model']).toBe('claude');
  });

  it('an image for a model without eyes', async () => {
    const body = ask({ messages: [{ role: 'user', content: [IMAGE('iVBORw0KGgo=')] }] });
    const alone = await serve(['text']);
    const refused = await request(alone.gateway.port, { body });
    expect([refused.status, alone.claude.calls.length]).toEqual([400, 0]);
    expect(refused.text).toContain('text: ');
    const { gateway } = await serve(['text', 'openai']);
    expect((await request(gateway.port, { body })).headers['x-fairlead-model']).toBe('openai');
  });
});

it('a tool’s schema that the provider refuses is told as the provider tells it', async () => {
  const message = 'tools.0.custom.input_schema: JSON schema is invalid';
  const { gateway } = await serve(['claude'], 400, { type: 'error', error: { type: 'invalid_request_error', message } });
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'elephant' } } }];
  const got = await request(gateway.port, { body: ask({ tools }) });
  expect(got.status).toBe(400);
  expect(JSON.parse(got.text)).toMatchObject({ error: { type: 'invalid_request_error', message } });
});

it('300 messages arrive, each where it stands, neighbours of one role as one', async () => {
  const { claude, gateway } = await serve(['claude']);
  const messages = Array.from({ length: 300 }, (_, index) => ({
    role: index % 3 === 2 ? 'assistant' : 'user',
    content: `message ${index}`,
  }));
  expect((await request(gateway.port, { body: ask({ messages }) })).status).toBe(200);
  const sent = claude.calls[0]?.json() as { messages: { role: string; content: { text: string }[] }[] };
  expect(sent.messages).toHaveLength(200);
  expect(sent.messages.flatMap(({ content }) => content.map(({ text }) => text))).toEqual(messages.map(({ content }) => content));
});
