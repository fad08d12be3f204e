// Promise: unmodified clients of OpenAI's and Anthropic's libraries get the same answer from every kind of provider: whole, streamed,
// with tools.
import path from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { type Fixture, readFixtures } from '../fixtures/fixture.ts';
import { GatewayProcess } from '../fixtures/gateway.ts';
import { type Replay, startReplay } from '../fixtures/replay.ts';
import { type Client, routesYaml, type Setting, settingOf } from '../fixtures/setting.ts';

const FIXTURES = readFixtures(path.join(import.meta.dirname, '../fixtures/providers')).filter(
  ({ expect: { outcome }, dialect }) => outcome === 'ok' && dialect !== 'aws.eventstream-codec',
);
const SCHEMA = { type: 'object' as const, properties: { q: { type: 'string' } } };

let replay: Replay;
let gateway: GatewayProcess;
let settings: readonly Setting[];

beforeAll(async () => {
  replay = await startReplay((name) => FIXTURES[Number(name.slice('fx-'.length))]);
  settings = FIXTURES.map((fixture, index) => settingOf(fixture, index, replay.origin));
  gateway = await GatewayProcess.start(routesYaml(settings));
});
afterAll(async () => {
  await gateway.stop();
  await replay.close();
});

interface Got {
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly arguments: unknown }[];
  readonly inputTokens: number;
}

function expectAsRecorded(fixture: Fixture, got: Got): void {
  const { text = '', tool_calls: calls = [], usage } = fixture.expect;
  expect(got.text).toBe(text);
  expect(got.calls).toEqual(calls.map(({ name, arguments: given }) => ({ name, arguments: given })));
  if (usage !== undefined && usage !== null) expect(got.inputTokens).toBe(usage.input);
}

/** Where bytes pass, what a provider says in a way of its own is the client's to read. */
const OWN_WAY: ReadonlySet<string> = new Set([
  'chat mistral/chat-stream-thinking',
  'messages anthropic/messages-stream-usage-zero-at-end',
  // Without a finish reason, which the library wants to have seen.
  'chat snowflake/chat-stream-no-finish',
  'chat snowflake/chat-stream-no-finish-call',
]);

/** Those that this client can ask for. Index, to find the setting by; the name is for whoever reads. */
function rows(client: Client): (readonly [string, number])[] {
  return FIXTURES.map((fixture, index) => [fixture.id, index] as const).filter(
    ([id, index]) =>
      !OWN_WAY.has(`${client} ${id}`) &&
      settingOf(FIXTURES[index] as Fixture, index, 'http://replay.test').clients.includes(client),
  );
}

function settingAt(index: number): Setting {
  const setting = settings[index];
  if (setting === undefined) throw new Error(`no setting ${index}`);
  return setting;
}

describe('openai', () => {
  const client = (): OpenAI => new OpenAI({ apiKey: 'sk-client', baseURL: `http://127.0.0.1:${gateway.port}/v1`, maxRetries: 0 });

  it.each(rows('chat'))('chat: %s', async (_id, index) => {
    const { fixture, name: model } = settingAt(index);
    const body = {
      model,
      messages: [{ role: 'user' as const, content: 'Hello' }],
      tools: [{ type: 'function' as const, function: { name: 'lookup', parameters: SCHEMA } }],
    };
    const answer = fixture.stream
      ? await client()
          .chat.completions.stream({ ...body, stream_options: { include_usage: true } })
          .finalChatCompletion()
      : await client().chat.completions.create(body);
    const message = answer.choices[0]?.message;
    expectAsRecorded(fixture, {
      text: message?.content ?? '',
      calls: (message?.tool_calls ?? []).map((call) =>
        call.type === 'function'
          ? { name: call.function.name, arguments: JSON.parse(call.function.arguments) as unknown }
          : { name: call.type, arguments: null },
      ),
      inputTokens: answer.usage?.prompt_tokens ?? -1,
    });
  });

  it.each(rows('responses'))('responses: %s', async (_id, index) => {
    const { fixture, name: model } = settingAt(index);
    const body = {
      model,
      input: 'Hello',
      tools: [{ type: 'function' as const, name: 'lookup', parameters: SCHEMA, strict: false }],
    };
    const answer = fixture.stream ? await client().responses.stream(body).finalResponse() : await client().responses.create(body);
    expectAsRecorded(fixture, {
      text: answer.output_text,
      calls: answer.output.flatMap((item) =>
        item.type === 'function_call' ? [{ name: item.name, arguments: JSON.parse(item.arguments) as unknown }] : [],
      ),
      inputTokens: answer.usage?.input_tokens ?? -1,
    });
  });
});

describe('@anthropic-ai/sdk', () => {
  it.each(rows('messages'))('messages: %s', async (_id, index) => {
    const { fixture, name: model } = settingAt(index);
    const client = new Anthropic({ apiKey: 'sk-client', baseURL: `http://127.0.0.1:${gateway.port}`, maxRetries: 0 });
    const body = {
      model,
      max_tokens: 100,
      messages: [{ role: 'user' as const, content: 'Hello' }],
      tools: [{ name: 'lookup', input_schema: SCHEMA }],
    };
    const answer = fixture.stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
    const { usage } = answer;
    expectAsRecorded(fixture, {
      text: answer.content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
      calls: answer.content.flatMap((block) => (block.type === 'tool_use' ? [{ name: block.name, arguments: block.input }] : [])),
      inputTokens: usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0),
    });
  });
});
