// Promise: an answer to a request with a JSON schema is held to it: mended where that is allowed, else the next target is asked, or
// the client is told; in each of the three dialects, whole and streamed, passed on and translated.
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import { chatCompletion, chatEvents } from './support/openai-answers.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string', pattern: '^[A-Z]' } },
  required: ['city'],
  additionalProperties: false,
};
const GOOD = '{"city":"Rome"}';
const BAD = '{"town":"Rome"}';
const FENCED = `\`\`\`json\n${GOOD}\n\`\`\``;

const claude = (text: string): object => ({
  type: 'message',
  role: 'assistant',
  content: [{ type: 'text', text }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 1, output_tokens: 1 },
});
const claudeEvents = (pieces: readonly string[]): readonly object[] => [
  { type: 'message_start', message: { usage: { input_tokens: 1, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  ...pieces.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
  { type: 'message_stop' },
];

/** Answers in pieces of a few characters, as Claude or in chat's form. */
function respondWith(text: string) {
  return (call: ReceivedCall): void => {
    const isClaude = call.path.endsWith('/messages');
    const pieces = text.match(/.{1,4}/gs) ?? [];
    if (!JSON.stringify(call.json()).includes('"stream":true')) {
      call.answer(200, JSON.stringify(isClaude ? claude(text) : chatCompletion(text)));
      return;
    }
    const events = isClaude ? claudeEvents(pieces) : chatEvents(pieces);
    const frames = events.map((event) => `data: ${JSON.stringify(event)}\n\n`);
    call.stream(isClaude ? frames : [...frames, 'data: [DONE]\n\n']);
  };
}

/** Says what it will do, and calls a tool. */
function respondWithCall(call: ReceivedCall): void {
  const isClaude = call.path.endsWith('/messages');
  const words = 'Let me look.';
  const stream = JSON.stringify(call.json()).includes('"stream":true');
  const used = { type: 'tool_use', id: 't1', name: 'look', input: {} };
  const called = { id: 't1', type: 'function', function: { name: 'look', arguments: '{}' } };
  if (!stream) {
    const message = { role: 'assistant', content: words, tool_calls: [called] };
    const whole = isClaude
      ? { ...claude(words), content: [{ type: 'text', text: words }, used], stop_reason: 'tool_use' }
      : { ...(chatCompletion(words) as object), choices: [{ index: 0, message, finish_reason: 'tool_calls' }] };
    call.answer(200, JSON.stringify(whole));
    return;
  }
  const chunk = (delta: object, finish_reason: string | null): object => ({
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  });
  const events = isClaude
    ? [
        ...claudeEvents([words]).slice(0, 4),
        { type: 'content_block_start', index: 1, content_block: used },
        { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{}' } },
        { type: 'content_block_stop', index: 1 },
        { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 3 } },
        { type: 'message_stop' },
      ]
    : [chunk({ content: words }, null), chunk({ tool_calls: [{ index: 0, ...called }] }, null), chunk({}, 'tool_calls')];
  const frames = events.map((event) => `data: ${JSON.stringify(event)}\n\n`);
  call.stream(isClaude ? frames : [...frames, 'data: [DONE]\n\n']);
}

type Kind = 'OpenAI' | 'Anthropic';

async function serve(structured: string, first: { kind: Kind; text: string }, second: string | null) {
  const upstreams = [await FakeUpstream.start(respondWith(first.text)), await FakeUpstream.start(respondWith(second ?? ''))];
  const models = upstreams.map(({ url }, index) => {
    const kind = index === 0 ? first.kind : 'OpenAI';
    const member = kind === 'OpenAI' ? 'openAI' : 'anthropic';
    const name = index === 0 ? 'first' : 'second';
    return `  - {name: ${name}, provider: {type: ${kind}, ${member}: {model: claude-sonnet-4-5, baseURL: "${url}"}}, auth: {type: None}}`;
  });
  const targets = second === null ? '{model: first}' : '{model: first, priority: 0}, {model: second, priority: 1}';
  const rule = `  - {name: default, targets: [${targets}], structuredOutput: ${structured}}`;
  const gateway = await startGateway(chatRouteYaml(models.join('\n'), rule));
  return { gateway, upstreams };
}

const ASKED = { model: 'chat', messages: [{ role: 'user', content: 'Where?' }] };
const CHAT = { ...ASKED, response_format: { type: 'json_schema', json_schema: { name: 'c', schema: SCHEMA } } };
const RESPONSES = { model: 'chat', input: 'Where?', text: { format: { type: 'json_schema', name: 'c', schema: SCHEMA } } };
const MESSAGES = { ...ASKED, max_tokens: 9, output_config: { format: { type: 'json_schema', schema: SCHEMA } } };

interface Client {
  readonly path: string;
  readonly body: object;
  text(answer: string): string;
}

/** All texts of the stream's events, joined; `name`: of the member that has them. */
function streamedText(stream: string, member: (event: StreamedEvent) => string | undefined): string {
  const events = stream.split('\n').filter((line) => line.startsWith('data: {'));
  return events.map((line) => member(JSON.parse(line.slice(6)) as StreamedEvent) ?? '').join('');
}

interface StreamedEvent {
  readonly type?: string;
  readonly delta?: string | { readonly text?: string };
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string };
    readonly message?: { readonly content: string };
  }[];
}
const CLIENTS: Readonly<Record<string, Client>> = {
  chat: {
    path: '/v1/chat/completions',
    body: CHAT,
    text: (answer) =>
      answer.startsWith('{')
        ? ((JSON.parse(answer) as StreamedEvent).choices?.[0]?.message?.content ?? '')
        : streamedText(answer, ({ choices }) => choices?.[0]?.delta?.content),
  },
  responses: {
    path: '/v1/responses',
    body: RESPONSES,
    text: (answer) =>
      answer.startsWith('{')
        ? (JSON.parse(answer) as { output: [{ content: [{ text: string }] }] }).output[0].content[0].text
        : streamedText(answer, ({ type, delta }) =>
            type === 'response.output_text.delta' && typeof delta === 'string' ? delta : '',
          ),
  },
  messages: {
    path: '/v1/messages',
    body: MESSAGES,
    text: (answer) =>
      answer.startsWith('{')
        ? (JSON.parse(answer) as { content: [{ text: string }] }).content[0].text
        : streamedText(answer, ({ delta }) => (typeof delta === 'object' ? delta.text : '')),
  },
};

/** Of each client by each kind; OpenAI's own Responses API is another than chat's. */
const ROWS = Object.entries(CLIENTS).flatMap(([name, client]) =>
  (['OpenAI', 'Anthropic'] as const)
    .filter((kind) => !(name === 'responses' && kind === 'OpenAI'))
    .flatMap((kind) =>
      [false, true].map((stream) => [`${name} over ${kind}${stream ? ', streamed' : ''}`, client, kind, stream] as const),
    ),
);

describe('a whole answer, or a stream that is held', () => {
  it.each(ROWS)('%s: one that is as asked for passes', async (_, client, kind, stream) => {
    const { gateway } = await serve('{onInvalid: Failover, holdStream: true}', { kind, text: GOOD }, null);
    const got = await request(gateway.port, { path: client.path, body: { ...client.body, stream } });
    expect([got.status, client.text(got.text), got.headers['x-fairlead-structured-output']]).toEqual([200, GOOD, 'valid']);
  });

  it.each(ROWS)('%s: fences are taken off', async (_, client, kind, stream) => {
    const { gateway } = await serve('{repair: true, onInvalid: Failover, holdStream: true}', { kind, text: FENCED }, null);
    const got = await request(gateway.port, { path: client.path, body: { ...client.body, stream } });
    expect([got.status, client.text(got.text), got.headers['x-fairlead-structured-output']]).toEqual([200, GOOD, 'repaired']);
    // Nor does the text stand anywhere else.
    expect(got.text).not.toContain('```');
  });

  it.each(ROWS.filter(([name]) => !name.startsWith('responses')))(
    '%s: the next target is asked for what is not as asked for',
    async (_, client, kind, stream) => {
      const { gateway } = await serve('{onInvalid: Failover, holdStream: true}', { kind, text: BAD }, GOOD);
      const got = await request(gateway.port, { path: client.path, body: { ...client.body, stream } });
      expect([got.status, client.text(got.text), got.headers['x-fairlead-model']]).toEqual([200, GOOD, 'second']);
      expect(gateway.requests[0]?.attempts.map(({ outcome }) => outcome)).toEqual(['invalid_output', 'ok']);
    },
  );

  it('is refused by name where no target gives what is asked for, and harms no target’s health', async () => {
    const { gateway, upstreams } = await serve('{onInvalid: Failover}', { kind: 'OpenAI', text: BAD }, BAD);
    for (let turn = 0; turn < 8; turn++) {
      const got = await request(gateway.port, { body: CHAT });
      expect(got.status).toBe(502);
      expect(JSON.parse(got.text)).toMatchObject({ error: { code: 'invalid_structured_output' } });
      expect(got.text).toContain('\\"city\\" is missing');
    }
    expect(upstreams.map(({ calls }) => calls.length)).toEqual([8, 8]);
  });

  it('is counted by model and by what it was, so that the share of good ones can be told', async () => {
    const setting = '{repair: true, onInvalid: Failover}';
    const { gateway, upstreams } = await serve(setting, { kind: 'OpenAI', text: GOOD }, GOOD);
    for (const text of [GOOD, GOOD, FENCED, BAD]) {
      upstreams[0]?.respond(respondWith(text));
      expect((await request(gateway.port, { body: CHAT })).status).toBe(200);
    }
    const { text } = await gateway.gateway.renderMetrics();
    const counted = text.split('\n').filter((line) => line.startsWith('fairlead_structured_outputs_total{'));
    const of = (target: string, result: string, count: number): string =>
      `fairlead_structured_outputs_total{route="default/chat",target="${target}",result="${result}"} ${count}`;
    expect(counted.toSorted()).toEqual(
      [of('first', 'valid', 2), of('first', 'repaired', 1), of('first', 'invalid', 1), of('second', 'valid', 1)].toSorted(),
    );
  });

  it('is the client’s as it is where the route says so', async () => {
    const { gateway } = await serve('{}', { kind: 'OpenAI', text: BAD }, null);
    const got = await request(gateway.port, { body: CHAT });
    expect([got.status, CLIENTS['chat']?.text(got.text)]).toEqual([200, BAD]);
    expect(got.headers['x-fairlead-structured-output']).toBe('invalid');
  });

  it('is not looked at where no schema is asked for, or a tool is called', async () => {
    const { gateway } = await serve('{onInvalid: Failover}', { kind: 'OpenAI', text: BAD }, null);
    const got = await request(gateway.port, { body: ASKED });
    expect([got.status, got.headers['x-fairlead-structured-output']]).toEqual([200, undefined]);
  });

  it.each([
    ['chat', 'OpenAI', false],
    ['chat', 'OpenAI', true],
    ['chat', 'Anthropic', false],
    ['chat', 'Anthropic', true],
    ['responses', 'Anthropic', false],
    ['responses', 'Anthropic', true],
    ['messages', 'Anthropic', false],
    ['messages', 'Anthropic', true],
    ['messages', 'OpenAI', false],
    ['messages', 'OpenAI', true],
  ] as const)('is not looked at beside a call: %s over %s, streamed %s', async (name, kind, stream) => {
    const { gateway, upstreams } = await serve('{onInvalid: Failover, holdStream: true}', { kind, text: '' }, BAD);
    upstreams[0]?.respond(respondWithCall);
    const client = CLIENTS[name] as Client;
    const tool = { name: 'look', description: 'x', parameters: { type: 'object' }, input_schema: { type: 'object' } };
    const tools =
      name === 'chat' ? [{ type: 'function', function: tool }] : [name === 'messages' ? tool : { type: 'function', ...tool }];
    const got = await request(gateway.port, { path: client.path, body: { ...client.body, tools, stream } });
    expect([got.status, got.headers['x-fairlead-model'], got.headers['x-fairlead-structured-output']]).toEqual([
      200,
      'first',
      undefined,
    ]);
    expect(got.text).toContain('Let me look');
  });

  it('is mended whole in a held stream, whatever separates its lines', async () => {
    const upstream = '```json\n{"city":"Ro\u2028me"}\n```';
    const { gateway } = await serve('{repair: true, holdStream: true}', { kind: 'OpenAI', text: upstream }, null);
    const got = await request(gateway.port, { body: { ...CHAT, stream: true } });
    expect([CLIENTS['chat']?.text(got.text), got.headers['x-fairlead-structured-output']]).toEqual([
      '{"city":"Ro\u2028me"}',
      'repaired',
    ]);
  });

  it('is not called valid for the first of several that are streamed', async () => {
    const { gateway, upstreams } = await serve('{onInvalid: Failover, holdStream: true}', { kind: 'OpenAI', text: GOOD }, null);
    upstreams[0]?.respond((call) => {
      const frames = [GOOD, BAD].flatMap((content, index) => [
        { object: 'chat.completion.chunk', choices: [{ index, delta: { content }, finish_reason: null }] },
        { object: 'chat.completion.chunk', choices: [{ index, delta: {}, finish_reason: 'stop' }] },
      ]);
      call.stream([...frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`), 'data: [DONE]\n\n']);
    });
    const got = await request(gateway.port, { body: { ...CHAT, n: 2, stream: true } });
    expect([got.status, got.headers['x-fairlead-structured-output']]).toEqual([200, 'unchecked']);
  });

  it('is not held up by a hostile schema', async () => {
    const { gateway } = await serve('{onInvalid: Failover}', { kind: 'OpenAI', text: `"${'a'.repeat(5_000)}!"` }, null);
    const format = (schema: object): object => ({ type: 'json_schema', json_schema: { name: 'c', schema } });
    const redos = await request(gateway.port, { body: { ...CHAT, response_format: format({ pattern: '^(a+)+$' }) } });
    expect(redos.status).toBe(502);
    const looking = await request(gateway.port, { body: { ...CHAT, response_format: format({ pattern: '(?=a)' }) } });
    expect([looking.status, looking.headers['x-fairlead-structured-output']]).toEqual([200, 'unchecked']);
  });
});

describe('a stream that is not held', () => {
  it.each(ROWS.filter(([, , , stream]) => stream))('%s: ends with an error event', async (_, client, kind) => {
    const { gateway } = await serve('{onInvalid: Failover}', { kind, text: BAD }, GOOD);
    const got = await request(gateway.port, { path: client.path, body: { ...client.body, stream: true } });
    expect(client.text(got.text)).toBe(BAD);
    const last = got.text.trimEnd().split('\n\n').at(-1);
    expect(last).toContain('invalid_structured_output');
    expect(gateway.requests[0]?.errorCode).toBe('stream_interrupted');
  });

  it.each(ROWS.filter(([, , , stream]) => stream))(
    '%s: ends well and says so where the route returns it',
    async (_, client, kind) => {
      const { gateway } = await serve('{}', { kind, text: BAD }, null);
      const got = await request(gateway.port, { path: client.path, body: { ...client.body, stream: true } });
      expect(client.text(got.text)).toBe(BAD);
      expect(got.text).toContain(': x-fairlead-structured-output invalid\n\n');
      expect(got.text).not.toContain('invalid_structured_output');
    },
  );
});
