// Promise: a client of one dialect is served by a provider of another, whole and streamed, tools included; what the provider has no
// place for is refused by name, or dropped and named, never lost.
import { describe, expect, it } from '@jest/globals';
import { request } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import { FakeUpstream, type ReceivedCall } from './support/upstream.ts';
import { chatRouteYaml } from './support/yaml.ts';

const TOOL = { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } };

const CHAT = {
  model: 'chat',
  max_completion_tokens: 100,
  stop: ['END'],
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } }],
    },
    { role: 'tool', tool_call_id: 'c1', content: '{"sky":"blue"}' },
  ],
  tools: [{ type: 'function', function: TOOL }],
  tool_choice: 'required',
};

const MESSAGES = {
  model: 'chat',
  max_tokens: 100,
  system: 'Be brief.',
  stop_sequences: ['END'],
  messages: [
    { role: 'user', content: 'Weather?' },
    { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'weather', input: { city: 'Rome' } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: 'blue' }] },
  ],
  tools: [{ name: 'weather', input_schema: TOOL.parameters }],
};

const sse = (events: readonly object[], named = false): string =>
  events
    .map((event) => `${named ? `event: ${(event as { type: string }).type}\n` : ''}data: ${JSON.stringify(event)}\n\n`)
    .join('');

const route = (kind: string, member: string, url: string, more = ''): string => `${chatRouteYaml(
  `
  - name: only
    provider: {type: ${kind}, ${member}: {model: upstream-model, baseURL: "${url}"}}
    auth: {type: APIKey, apiKey: {secretKeyRef: {name: key}}}
    ${more}`,
  '  - {name: default, targets: [{model: only}]}',
)}
---
{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: default}, stringData: {api-key: sk-provider}}
`;

async function serve(kind: string, member: string, respond: (call: ReceivedCall) => unknown, more = '') {
  const upstream = await FakeUpstream.start(respond);
  const gateway = await startGateway(route(kind, member, upstream.url, more));
  return { upstream, gateway };
}

describe('chat over Anthropic', () => {
  const answer = {
    id: 'm',
    type: 'message',
    role: 'assistant',
    model: 'claude',
    content: [
      { type: 'text', text: 'Let me see.' },
      { type: 'tool_use', id: 't1', name: 'weather', input: { city: 'Oslo' } },
    ],
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: { input_tokens: 10, cache_read_input_tokens: 5, cache_creation_input_tokens: 2, output_tokens: 7 },
  };

  it('writes the request and reads the answer', async () => {
    const { upstream, gateway } = await serve('Anthropic', 'anthropic', (call) => call.answer(200, JSON.stringify(answer)));
    const got = await request(gateway.port, { body: CHAT });
    expect(got.status).toBe(200);
    expect(JSON.parse(got.text)).toMatchObject({
      object: 'chat.completion',
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            role: 'assistant',
            content: 'Let me see.',
            tool_calls: [{ id: 't1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }],
          },
        },
      ],
      usage: { prompt_tokens: 17, completion_tokens: 7, total_tokens: 24, prompt_tokens_details: { cached_tokens: 5 } },
    });
    const [call] = upstream.calls;
    expect(call?.path).toBe('/v1/messages');
    expect(call?.headers).toMatchObject({ 'x-api-key': 'sk-provider', 'anthropic-version': '2023-06-01' });
    expect(call?.json()).toEqual({
      model: 'upstream-model',
      max_tokens: 100,
      system: [{ type: 'text', text: 'Be brief.' }],
      stop_sequences: ['END'],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
        { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'weather', input: { city: 'Rome' } }] },
        {
          role: 'user',
          content: [{ type: 'tool_result', tool_use_id: 'c1', content: [{ type: 'text', text: '{"sky":"blue"}' }] }],
        },
      ],
      tools: [{ name: 'weather', input_schema: TOOL.parameters }],
      tool_choice: { type: 'any' },
    });
  });

  it('keeps the version that an Anthropic client speaks, and says one for who names none', async () => {
    const { upstream, gateway } = await serve('Anthropic', 'anthropic', (call) => call.answer(200, JSON.stringify(answer)));
    for (const headers of [{ 'anthropic-version': '2026-10-21' }, {}])
      await request(gateway.port, { path: '/v1/messages', body: MESSAGES, headers });
    expect(upstream.calls.map((call) => call.headers['anthropic-version'])).toEqual(['2026-10-21', '2023-06-01']);
  });

  it('translates a stream as it comes', async () => {
    const events = [
      {
        type: 'message_start',
        message: { ...answer, content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 't1', name: 'weather', input: {} } },
      { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"city":' } },
      { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '"Oslo"}' } },
      { type: 'content_block_stop', index: 1 },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 7 } },
      { type: 'message_stop' },
    ];
    const { gateway } = await serve('Anthropic', 'anthropic', (call) => call.stream([sse(events, true)]));
    const got = await request(gateway.port, { body: { ...CHAT, stream: true, stream_options: { include_usage: true } } });
    expect(got.headers['content-type']).toContain('text/event-stream');
    const chunks = got.text.split('\n\n').filter((frame) => frame.startsWith('data: {'));
    const parsed = chunks.map(
      (frame) => JSON.parse(frame.slice(6)) as { choices: { delta: object; finish_reason: string | null }[] },
    );
    expect(parsed.flatMap(({ choices }) => choices.map(({ delta }) => delta))).toEqual([
      { role: 'assistant', content: '' },
      { content: 'Hi' },
      { tool_calls: [{ index: 0, id: 't1', type: 'function', function: { name: 'weather', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] },
      {},
    ]);
    expect(parsed.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 7 } });
    expect(got.text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(gateway.requests[0]?.usage).toMatchObject({ inputTokens: 10, outputTokens: 7, estimated: false });
  });

  it('refuses by name what the provider cannot take, before the call', async () => {
    const { upstream, gateway } = await serve('Anthropic', 'anthropic', () => {});
    const got = await request(gateway.port, { body: { ...CHAT, logit_bias: { 1: 2 }, seed: 3 } });
    expect(got.status).toBe(400);
    expect(JSON.parse(got.text)).toMatchObject({ error: { code: 'unsupported_request', param: 'logit_bias' } });
    expect(got.text).toContain('seed');
    expect(upstream.calls).toHaveLength(0);
  });

  it('drops it and names it where the model says so', async () => {
    const { upstream, gateway } = await serve(
      'Anthropic',
      'anthropic',
      (call) => call.answer(200, JSON.stringify(answer)),
      'unsupported: Drop',
    );
    const got = await request(gateway.port, { body: { ...CHAT, logit_bias: { 1: 2 }, seed: 3, n: 1, frequency_penalty: 0 } });
    expect(got.status).toBe(200);
    expect(got.headers['x-fairlead-dropped']).toBe('logit_bias, seed');
    expect(JSON.stringify(upstream.calls[0]?.json())).not.toContain('logit_bias');
  });

  it('names what of an answer the client’s dialect has no place for: in a header, at a stream’s end, in the log', async () => {
    const searched = { ...answer, content: [{ type: 'server_tool_use', id: 's', name: 'w', input: {} }, answer.content[0]] };
    const events = [
      { type: 'message_start', message: { ...answer, content: [], stop_reason: null } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'Hi' } },
      { type: 'content_block_start', index: 1, content_block: { type: 'server_tool_use', id: 's', name: 'w', input: {} } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 7 } },
      { type: 'message_stop' },
    ];
    const { gateway } = await serve('Anthropic', 'anthropic', (call) =>
      JSON.stringify(call.json()).includes('"stream":true')
        ? call.stream([sse(events, true)])
        : call.answer(200, JSON.stringify(searched)),
    );
    const asked = { ...CHAT, metadata: { a: 'b' } };
    const whole = await request(gateway.port, { body: asked });
    expect(whole.headers['x-fairlead-dropped']).toBe('metadata, answer.server_tools');
    const streamed = await request(gateway.port, { body: { ...asked, stream: true } });
    expect(streamed.headers['x-fairlead-dropped']).toBe('metadata');
    expect(streamed.text).toContain('\n\n: x-fairlead-dropped answer.server_tools\n\ndata: ');
    expect(gateway.requests.map(({ dropped }) => dropped)).toEqual(Array(2).fill(['metadata', 'answer.server_tools']));
  });

  it('says in the client’s dialect what was wrong with the request', async () => {
    const error = { type: 'error', error: { type: 'invalid_request_error', message: 'messages: too odd' } };
    const { gateway } = await serve('Anthropic', 'anthropic', (call) => call.answer(400, JSON.stringify(error)));
    const got = await request(gateway.port, { body: CHAT });
    expect(got.status).toBe(400);
    expect(JSON.parse(got.text)).toEqual({
      error: { message: 'messages: too odd', type: 'invalid_request_error', param: null, code: 'invalid_request_error' },
    });
  });
});

describe('messages over OpenAI', () => {
  const answer = {
    id: 'x',
    object: 'chat.completion',
    model: 'gpt',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Blue.' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 20, completion_tokens: 3, total_tokens: 23, prompt_tokens_details: { cached_tokens: 8 } },
  };

  it('writes the request and reads the answer', async () => {
    const { upstream, gateway } = await serve('OpenAI', 'openAI', (call) => call.answer(200, JSON.stringify(answer)));
    const got = await request(gateway.port, { path: '/v1/messages?beta=true', body: MESSAGES });
    expect(JSON.parse(got.text)).toMatchObject({
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text: 'Blue.' }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 12, cache_read_input_tokens: 8, output_tokens: 3 },
    });
    expect(upstream.calls[0]?.path).toBe('/v1/chat/completions');
    expect(upstream.calls[0]?.json()).toEqual({
      model: 'upstream-model',
      max_completion_tokens: 100,
      stop: ['END'],
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } }],
        },
        { role: 'tool', tool_call_id: 'c1', content: 'blue' },
      ],
      tools: [{ type: 'function', function: TOOL }],
    });
  });

  it('translates a stream as it comes', async () => {
    const chunk = (delta: object, finish: string | null = null): object => ({
      id: 'x',
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: finish }],
    });
    const events = [
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Hm' }),
      chunk({ tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'weather', arguments: '' } }] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }),
      chunk({}, 'tool_calls'),
      { id: 'x', choices: [], usage: answer.usage },
    ];
    const { gateway } = await serve('OpenAI', 'openAI', (call) => call.stream([`${sse(events)}data: [DONE]\n\n`]));
    const got = await request(gateway.port, { path: '/v1/messages', body: { ...MESSAGES, stream: true } });
    const names = [...got.text.matchAll(/^event: (.+)$/gm)].map(([, name]) => name);
    expect(names).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    expect(got.text).toContain('"stop_reason":"tool_use"');
    expect(got.text).toContain('"output_tokens":3');
  });

  it('gives the gateway’s own errors in Anthropic’s shape', async () => {
    const { gateway } = await serve('OpenAI', 'openAI', () => {});
    const got = await request(gateway.port, { path: '/v1/messages', body: { ...MESSAGES, model: 'nobody' } });
    expect(got.status).toBe(404);
    expect(JSON.parse(got.text)).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', code: 'model_not_found' },
    });
  });
});

describe('chat over Gemini', () => {
  const answer = {
    candidates: [
      {
        content: {
          role: 'model',
          parts: [{ functionCall: { name: 'weather', args: { city: 'Oslo' } }, thoughtSignature: 'sig' }],
        },
        finishReason: 'STOP',
      },
    ],
    usageMetadata: { promptTokenCount: 12, candidatesTokenCount: 4, thoughtsTokenCount: 6, totalTokenCount: 22 },
  };

  it('writes the request and reads the answer', async () => {
    const { upstream, gateway } = await serve('Gemini', 'gemini', (call) => call.answer(200, JSON.stringify(answer)));
    const got = await request(gateway.port, { body: CHAT });
    expect(JSON.parse(got.text)).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: { tool_calls: [{ function: { name: 'weather' }, extra_content: { google: { thought_signature: 'sig' } } }] },
        },
      ],
      usage: { prompt_tokens: 12, completion_tokens: 10, completion_tokens_details: { reasoning_tokens: 6 } },
    });
    const [call] = upstream.calls;
    expect(call?.path).toBe('/v1/models/upstream-model:generateContent');
    expect(call?.headers['x-goog-api-key']).toBe('sk-provider');
    expect(call?.json()).toEqual({
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      contents: [
        { role: 'user', parts: [{ text: 'Weather?' }] },
        { role: 'model', parts: [{ functionCall: { name: 'weather', args: { city: 'Rome' } } }] },
        { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { sky: 'blue' } } }] },
      ],
      tools: [{ functionDeclarations: [{ name: 'weather', parametersJsonSchema: TOOL.parameters }] }],
      toolConfig: { functionCallingConfig: { mode: 'ANY' } },
      generationConfig: { maxOutputTokens: 100, stopSequences: ['END'] },
    });
  });

  it('gives a blocked prompt as a filtered answer', async () => {
    const blocked = {
      promptFeedback: { blockReason: 'PROHIBITED_CONTENT' },
      usageMetadata: { promptTokenCount: 3, totalTokenCount: 3 },
    };
    const { gateway } = await serve('Gemini', 'gemini', (call) => {
      if (call.path.includes('streamGenerate')) call.stream([sse([blocked])]);
      else call.answer(200, JSON.stringify(blocked));
    });
    const whole = await request(gateway.port, { body: CHAT });
    expect(JSON.parse(whole.text)).toMatchObject({ choices: [{ finish_reason: 'content_filter' }] });
    const streamed = await request(gateway.port, { body: { ...CHAT, stream: true } });
    expect(streamed.text).toContain('"finish_reason":"content_filter"');
    expect(streamed.text.endsWith('data: [DONE]\n\n')).toBe(true);
    const messages = await request(gateway.port, { path: '/v1/messages', body: MESSAGES });
    expect(JSON.parse(messages.text)).toMatchObject({ stop_reason: 'refusal' });
    expect(gateway.requests.map(({ attempts }) => attempts[0]?.outcome)).toEqual(Array(3).fill('content_filtered'));
  });
});
