/** JSON of models that have no form for it: a tool call stands for the answer, and no client ever sees it as one. */
import { describe, expect, it } from '@jest/globals';
import { eventFrame } from '../../test/fixtures/replay.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import { isObject, parseJson } from '../lib/json.ts';
import type { ProviderKind } from '../routetable/types.ts';
import { providerFor } from './index.ts';
import type { StreamTranslator, Translation } from './provider.ts';
import { target } from './testing.ts';

type Client = 'chat' | 'responses';

const NOVA = 'amazon.nova-pro-v1:0';
const LLAMA = 'meta.llama3-3-70b-instruct-v1:0';
const OLD_CLAUDE = 'anthropic.claude-3-5-sonnet-20241022-v2:0';
const NEW_CLAUDE = 'anthropic.claude-sonnet-4-5-20250929-v1:0';
const HEAD = { id: 'id', createdSeconds: 1, model: 'm', includeUsage: false };
const TOOL = 'fairlead_json_answer';
const ANSWER = { city: 'Zürich', degrees: 21 };
const SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const WEATHER = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };
const JSON_MODE = { response_format: { type: 'json_object' } };

function translationOf(kind: ProviderKind, model: string, client: Client): Translation {
  const translation = providerFor(kind).exchange(target({ provider: kind, model }), client)?.translation;
  if (translation == null) throw new Error(`${kind} does not translate ${client}`);
  return translation;
}

function written(kind: ProviderKind, model: string, more: object, client: Client = 'chat'): Readonly<Record<string, unknown>> {
  const asks = client === 'chat' ? { messages: [{ role: 'user', content: 'Hi' }] } : { input: 'Hi' };
  const body = readRequestBody(Buffer.from(JSON.stringify({ model: 'm', ...asks, ...more })), client, null);
  if (!body.ok) throw new Error(body.error.message);
  const translation = translationOf(kind, model, client);
  expect(translation.lacks(body.value)).toMatchObject({ invalid: [], refused: [] });
  const json = parseJson(translation.write(body.value, () => undefined, null).toString());
  if (!isObject(json)) throw new Error('no object is sent');
  return json;
}

function told(stream: StreamTranslator, chunks: readonly Buffer[]): string {
  let text = '';
  const drain = (): void => {
    while (stream.next() !== -1) text += stream.take();
  };
  for (const chunk of chunks) {
    stream.push(chunk);
    drain();
  }
  stream.end();
  drain();
  expect(stream.failure).toBeNull();
  return text + stream.finish();
}

describe('Bedrock is asked for JSON by a tool', () => {
  it.each([
    [NOVA, { tool: { name: TOOL } }],
    [OLD_CLAUDE, { tool: { name: TOOL } }],
    [NEW_CLAUDE, { tool: { name: TOOL } }],
    // It takes no other choice than its own.
    [LLAMA, { auto: {} }],
  ])('by %s', (model, toolChoice) => {
    expect(written('Bedrock', model, JSON_MODE)['toolConfig']).toMatchObject({
      tools: [{ toolSpec: { name: TOOL, inputSchema: { json: { type: 'object', additionalProperties: true } } } }],
      toolChoice,
    });
    expect(written('Bedrock', model, { text: { format: { type: 'json_object' } } }, 'responses')['toolConfig']).toMatchObject({
      toolChoice,
    });
  });

  it.each([NOVA, OLD_CLAUDE])('with the schema, where %s has no form for one', (model) => {
    const body = written('Bedrock', model, {
      response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA } },
    });
    expect(body['toolConfig']).toMatchObject({ tools: [{ toolSpec: { name: TOOL, inputSchema: { json: SCHEMA } } }] });
    expect(body['outputConfig']).toBeUndefined();
  });

  it('with the schema in its own form where there is one', () => {
    const body = written('Bedrock', NEW_CLAUDE, {
      response_format: { type: 'json_schema', json_schema: { name: 's', schema: SCHEMA } },
    });
    expect(body['outputConfig']).toMatchObject({ textFormat: { type: 'json_schema' } });
    expect(body['toolConfig']).toBeUndefined();
  });

  it('beside the client’s own tools, of which it may call any', () => {
    expect(written('Bedrock', NOVA, { ...JSON_MODE, tools: [WEATHER] })['toolConfig']).toMatchObject({
      tools: [{ toolSpec: { name: 'weather' } }, { toolSpec: { name: TOOL } }],
      toolChoice: { any: {} },
    });
  });

  it.each(['required', { type: 'function', function: { name: 'weather' } }])(
    'but not where a tool of the client’s must be called (%j)',
    (choice) => {
      const body = written('Bedrock', NOVA, { ...JSON_MODE, tools: [WEATHER], tool_choice: choice });
      expect(JSON.stringify(body)).not.toContain(TOOL);
    },
  );

  it.each(['Bedrock', 'Anthropic'] as const)('of its own will where it thinks first (%s)', (kind) => {
    const body = written(kind, kind === 'Bedrock' ? NEW_CLAUDE : 'claude-sonnet-4-5', { ...JSON_MODE, reasoning_effort: 'high' });
    const choice = kind === 'Bedrock' ? body['toolConfig'] : { toolChoice: body['tool_choice'] };
    expect(choice).toMatchObject({ toolChoice: kind === 'Bedrock' ? { auto: {} } : { type: 'auto' } });
  });
});

describe('what Bedrock answers by the tool', () => {
  const whole = (content: readonly object[]): Buffer =>
    Buffer.from(
      JSON.stringify({
        output: { message: { role: 'assistant', content } },
        stopReason: 'tool_use',
        usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
      }),
    );
  const call = { toolUse: { toolUseId: 't1', name: TOOL, input: ANSWER } };
  const frames = (own: boolean): readonly Buffer[] => [
    eventFrame('messageStart', { role: 'assistant' }),
    eventFrame('contentBlockStart', { contentBlockIndex: 0, start: { toolUse: { toolUseId: 't1', name: TOOL } } }),
    ...['{"city":"Zür', 'ich","deg', 'rees":21}'].map((input) =>
      eventFrame('contentBlockDelta', { contentBlockIndex: 0, delta: { toolUse: { input } } }),
    ),
    eventFrame('contentBlockStop', { contentBlockIndex: 0 }),
    ...(own
      ? [
          eventFrame('contentBlockStart', { contentBlockIndex: 1, start: { toolUse: { toolUseId: 't2', name: 'weather' } } }),
          eventFrame('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{}' } } }),
          eventFrame('contentBlockStop', { contentBlockIndex: 1 }),
        ]
      : []),
    eventFrame('messageStop', { stopReason: 'tool_use' }),
    eventFrame('metadata', { usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 } }),
  ];

  it.each(['chat', 'responses'] as const)('is the text of a whole answer (%s)', (client) => {
    const answer = translationOf('Bedrock', NOVA, client).answer(HEAD, 200, {}, whole([call]), true);
    expect(answer.failure).toBeNull();
    expect(answer.finishReason).toBe('stop');
    const text = answer.client?.body.toString() ?? '';
    expect(text).toContain(JSON.stringify(JSON.stringify(ANSWER)));
    expect(text).not.toMatch(/fairlead_json_answer|"tool_calls"|function_call/);
  });

  it.each(['chat', 'responses'] as const)('is the text of a stream, wherever it is cut (%s)', (client) => {
    const translation = translationOf('Bedrock', NOVA, client);
    const bytes = Buffer.concat(frames(false));
    const once = told(translation.stream(HEAD, {}), [bytes]);
    const said = (text: string): string =>
      [...text.matchAll(/"(?:content|delta)":("(?:[^"\\]|\\.)+")/g)].map(([, piece]) => String(parseJson(piece ?? ''))).join('');
    expect(said(once)).toBe(JSON.stringify(ANSWER));
    expect(once).not.toMatch(/fairlead_json_answer|"tool_calls"|function_call/);
    if (client === 'chat') expect(once).toContain('"finish_reason":"stop"');
    for (let at = 1; at < bytes.length; at++)
      expect(said(told(translation.stream(HEAD, {}), [bytes.subarray(0, at), bytes.subarray(at)]))).toBe(JSON.stringify(ANSWER));
  });

  it('stands beside a call of the client’s own tool, which is one', () => {
    const own = { toolUse: { toolUseId: 't2', name: 'weather', input: {} } };
    const answer = translationOf('Bedrock', NOVA, 'chat').answer(HEAD, 200, {}, whole([call, own]), true);
    expect(answer.finishReason).toBe('tool_calls');
    expect(answer.client?.body.toString()).toContain('"name":"weather"');
    const stream = told(translationOf('Bedrock', NOVA, 'chat').stream(HEAD, {}), frames(true));
    expect(stream).toContain('"finish_reason":"tool_calls"');
    expect(stream).toMatch(/"index":0,"id":"t2"/);
    expect(stream).not.toContain(TOOL);
  });

  it('is an object without members too, of which a stream tells nothing', () => {
    const stream = told(translationOf('Bedrock', NOVA, 'chat').stream(HEAD, {}), [
      eventFrame('contentBlockStart', { contentBlockIndex: 0, start: { toolUse: { toolUseId: 't1', name: TOOL } } }),
      eventFrame('contentBlockDelta', { contentBlockIndex: 0, delta: { toolUse: { input: '' } } }),
      eventFrame('contentBlockStop', { contentBlockIndex: 0 }),
      eventFrame('messageStop', { stopReason: 'tool_use' }),
    ]);
    expect(stream).toContain('"content":"{}"');
  });

  it.each([{}, ANSWER])('is what Claude’s stream has at once: %j', (input) => {
    const events = [
      { type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't1', name: TOOL, input } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
      { type: 'message_stop' },
    ].map((event) => Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
    const stream = told(translationOf('Anthropic', 'claude-sonnet-4-0', 'chat').stream(HEAD, {}), events);
    expect(stream).toContain(`"content":${JSON.stringify(JSON.stringify(input))}`);
  });
});
