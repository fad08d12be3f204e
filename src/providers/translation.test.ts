/**
 * What is translated: wherever the network cuts a stream, and whatever is broken in it or in a whole answer, the client gets the same,
 * or an error; nothing throws, and what lacks its end is never taken for whole.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { chunksOf, type Fixture, readFixtures } from '../../test/fixtures/fixture.ts';
import { seededRandom } from '../../test/features/support/gateway.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { readRequestBody } from '../dialects/request-body.ts';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import { providerFor } from './index.ts';
import { StreamEvent, type StreamTranslator, type Translation } from './provider.ts';
import { target } from './testing.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 2_000);
/** Of a recording, which may be long: so many at least. */
const CUTS = Math.ceil(RUNS / 20);
const HEAD = { id: 'id', createdSeconds: 1, model: 'm', includeUsage: true };

const KINDS: Readonly<Record<string, readonly [ProviderKind, Partial<Target>, readonly Operation[]]>> = {
  'anthropic.messages': ['Anthropic', {}, ['chat', 'responses']],
  'gemini.generateContent': ['Gemini', {}, ['chat', 'messages', 'responses']],
  'bedrock.converse': ['Bedrock', { model: 'amazon.nova-pro-v1:0' }, ['chat', 'messages', 'responses']],
  'bedrock.invoke.anthropic': ['Bedrock', { model: 'anthropic.claude-sonnet-4-5' }, ['messages']],
  'cohere.chat': ['Cohere', {}, ['chat', 'messages', 'responses']],
  'ollama-native.chat': ['OpenAICompatible', { baseUrl: 'http://ollama/api' }, ['chat', 'messages', 'responses']],
  'openai.chat': ['OpenAI', {}, ['messages']],
};

interface Case {
  readonly fixture: Fixture;
  readonly operation: Operation;
  readonly bytes: Buffer;
  readonly translation: Translation;
  readonly make: () => StreamTranslator;
}

/** Of a fixture of either kind, one for each operation of clients that is translated. */
function translatedCases(fixture: Fixture): Case[] {
  const kind = KINDS[fixture.dialect];
  if (kind === undefined) return [];
  const [provider, changes, operations] = kind;
  return operations.map((operation) => {
    const exchange = providerFor(provider).exchange(target({ provider, ...changes }), operation);
    const translation = exchange?.translation;
    if (translation == null) throw new Error(`${provider} does not translate ${operation}`);
    const bytes = Buffer.concat([...chunksOf(fixture)]);
    return { fixture, operation, bytes, translation, make: () => translation.stream(HEAD, {}) };
  });
}

function casesOf(fixture: Fixture): Case[] {
  return fixture.stream && fixture.response.status === 200 ? translatedCases(fixture) : [];
}

const FIXTURES = readFixtures(path.join(import.meta.dirname, '../../test/fixtures/providers'));
const CASES = FIXTURES.flatMap(casesOf);
const WHOLE_CASES = FIXTURES.filter(({ stream }) => !stream).flatMap(translatedCases);
/** Recordings that lie beside the project on some machines. */
const RECORDED = path.join(import.meta.dirname, '../../../shared/data/providers');

interface Outcome {
  readonly text: string;
  readonly failure: string | null;
  readonly finished: boolean;
  readonly usage: unknown;
}

/** As the gateway reads it. */
function run(translator: StreamTranslator, chunks: readonly Buffer[]): Outcome {
  let text = '';
  let failed = false;
  const drain = (): void => {
    for (let bits = translator.next(); bits !== -1 && !failed; bits = translator.next()) {
      if ((bits & StreamEvent.Failed) !== 0) failed = true;
      text += translator.take();
    }
  };
  for (const chunk of chunks) {
    if (failed) break;
    translator.push(chunk);
    drain();
  }
  if (!failed) {
    translator.end();
    drain();
  }
  const { failure, finished, usage } = translator;
  if (!failed && finished) text += translator.finish();
  // What comes after a failure is read only where it came with it.
  return { text, failure: failed ? (failure?.kind ?? 'unknown') : null, finished, usage: failed ? null : usage };
}

const rows = CASES.map((each) => [`${each.fixture.id} for ${each.operation}`, each] as const);

describe('a translated stream', () => {
  it.each(rows)('%s is the same wherever it is cut', (_, { bytes, make }) => {
    const whole = run(make(), [bytes]);
    for (let at = 1; at < bytes.length; at++) {
      expect(run(make(), [bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
    }
    expect(
      run(
        make(),
        Array.from(bytes, (byte) => Buffer.from([byte])),
      ),
    ).toEqual(whole);
  });

  it.each(rows.filter(([, { fixture }]) => fixture.expect.outcome === 'ok'))(
    '%s that lacks its end is not whole',
    (_, { bytes, make, fixture }) => {
      const whole = run(make(), [bytes]);
      expect(whole).toMatchObject({ failure: null, finished: true });
      // The tail after what tells the finish reason may be lost: that costs the usage, not the answer.
      const last = lastNeeded(fixture, bytes);
      for (let at = 0; at < last; at++) {
        const { failure, finished } = run(make(), [bytes.subarray(0, at)]);
        expect(failure !== null || !finished).toBe(true);
      }
    },
  );

  it(`takes ${RUNS} mutations without a throw, and ends`, () => {
    const random = seededRandom(7);
    for (let turn = 0; turn < RUNS; turn++) {
      const each = CASES[turn % CASES.length];
      if (each === undefined) throw new Error('there is no case');
      const outcome = run(each.make(), [mutated(each.bytes, random)]);
      if (outcome.text.length > 100_000) throw new Error(`${each.fixture.id} became ${outcome.text.length} characters`);
    }
    expect(CASES.length).toBeGreaterThan(80);
  });
});

describe('a translated answer', () => {
  it('that lacks its end is not whole', () => {
    const good = WHOLE_CASES.filter(({ fixture }) => fixture.expect.outcome === 'ok');
    expect(good.length).toBeGreaterThan(30);
    for (const { fixture, bytes, translation } of good) {
      const last = bytes.toString().trimEnd().length;
      for (let at = 0; at < last; at++) {
        if (translation.answer(HEAD, 200, {}, bytes.subarray(0, at), true).failure === null)
          throw new Error(`${fixture.id} is taken for whole after ${at} bytes`);
      }
      expect(translation.answer(HEAD, 200, {}, bytes, true).failure).toBeNull();
    }
  });

  it(`takes ${RUNS} mutations without a throw, and is JSON to the client`, () => {
    const random = seededRandom(11);
    for (let turn = 0; turn < RUNS; turn++) {
      const each = WHOLE_CASES[turn % WHOLE_CASES.length];
      if (each === undefined) throw new Error('there is no case');
      const { status, headers = {} } = each.fixture.response;
      const { failure, client } = each.translation.answer(HEAD, status, headers, mutated(each.bytes, random), true);
      if (client !== undefined) JSON.parse(client.body.toString());
      else if (failure === null && each.fixture.dialect !== 'bedrock.invoke.anthropic')
        throw new Error(`${each.fixture.id} is neither an answer nor a failure`);
    }
    expect(WHOLE_CASES.length).toBeGreaterThan(100);
  });
});

/** One to four bytes of it are others. */
function mutated(original: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(original);
  for (let edit = Math.ceil(random() * 4); edit > 0; edit--) {
    const at = Math.floor(random() * bytes.length);
    bytes[at] = random() < 0.5 ? Math.floor(random() * 256) : (bytes[Math.floor(random() * bytes.length)] ?? 0);
  }
  return bytes;
}

describe('a recorded stream', () => {
  if (!existsSync(RECORDED)) {
    it('absent: ../shared/data/providers, whose streams are cut here, too', () => undefined);
    return;
  }
  const recorded = readFixtures(RECORDED).flatMap(casesOf);

  it('is the same wherever it is cut', () => {
    expect(recorded.length).toBeGreaterThan(100);
    for (const { fixture, operation, bytes, make } of recorded) {
      const read = (chunks: readonly Buffer[]): object => ({ id: fixture.id, operation, ...run(make(), chunks) });
      const whole = read([bytes]);
      const step = Math.ceil(bytes.length / CUTS);
      for (let at = 1; at < bytes.length; at += step) expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(whole);
      // Every place at once.
      expect(read(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole);
    }
  });
});

/** Where the event begins that tells why the model stopped. */
function lastNeeded({ dialect }: Fixture, bytes: Buffer): number {
  const marks: Readonly<Record<string, string>> = {
    'anthropic.messages': 'message_delta',
    'gemini.generateContent': 'finishReason',
    'bedrock.converse': 'stopReason',
    'cohere.chat': 'finish_reason',
    'ollama-native.chat': '"done": true',
    'openai.chat': '"finish_reason": "',
  };
  const mark = marks[dialect];
  return mark === undefined ? 0 : bytes.lastIndexOf(mark);
}

describe('calls in a chat completion, told to a client of messages', () => {
  const translation = translatedBy('OpenAI');
  const chunk = (delta: object, finish_reason: string | null = null): Buffer =>
    Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
  /** By the number of a block: the name of its call and the arguments. */
  const calls = (text: string): unknown => {
    const told = new Map<unknown, [string, string]>();
    for (const [, data] of text.matchAll(/^data: (.*)$/gm)) {
      const event = JSON.parse(data ?? '') as {
        index?: number;
        content_block?: { name?: string };
        delta?: { partial_json?: string };
      };
      const { index, content_block: block, delta } = event;
      if (block?.name !== undefined) told.set(index, [block.name, '']);
      const call = told.get(index);
      if (call !== undefined) call[1] += delta?.partial_json ?? '';
    }
    return [...told.values()];
  };

  it('are two where neither has an id', () => {
    const call = (name: string, given: object): object => ({
      id: '',
      type: 'function',
      function: { name, arguments: JSON.stringify(given) },
    });
    const message = { role: 'assistant', content: null, tool_calls: [call('a', { x: 1 }), call('a', { x: 2 })] };
    const body = Buffer.from(JSON.stringify({ choices: [{ index: 0, finish_reason: 'tool_calls', message }] }));
    expect(JSON.parse(translation.answer(HEAD, 200, {}, body, true).client?.body.toString() ?? '')).toMatchObject({
      content: [
        { type: 'tool_use', name: 'a', input: { x: 1 } },
        { type: 'tool_use', name: 'a', input: { x: 2 } },
      ],
    });
  });

  it.each<[string, readonly object[]]>([
    [
      'without a number, in pieces of which only the first has the id',
      [
        { tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{"x"' } }] },
        { tool_calls: [{ function: { arguments: ':1}' } }] },
      ],
    ],
    [
      'with text between their pieces',
      [
        { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"x"' } }] },
        { content: '\n' },
        { tool_calls: [{ index: 0, function: { arguments: ':1}' } }] },
      ],
    ],
  ])('are whole %s', (_, deltas) => {
    const { text, failure } = run(translation.stream(HEAD, {}), [...deltas.map((each) => chunk(each)), chunk({}, 'tool_calls')]);
    expect(failure).toBeNull();
    expect(calls(text)).toEqual([['f', '{"x":1}']]);
  });
});

describe('a request of 200,000 parts', () => {
  const many = (part: object): object[] => Array.from({ length: 200_000 }, () => part);
  const text = { type: 'text', text: 'a' };

  it.each<[ProviderKind, Operation, object]>([
    [
      'OpenAI',
      'messages',
      { messages: [{ role: 'user', content: many({ type: 'tool_result', tool_use_id: 'a', content: 'b' }) }] },
    ],
    [
      'Cohere',
      'messages',
      { messages: [{ role: 'user', content: many({ type: 'tool_result', tool_use_id: 'a', content: 'b' }) }] },
    ],
    ['Gemini', 'messages', { messages: [{ role: 'system', content: many(text) }] }],
    ['Bedrock', 'chat', { messages: [{ role: 'assistant', content: many(text) }] }],
  ])('is written for %s (%s)', (provider, operation, members) => {
    const translation = translatedBy(provider, operation);
    expect(translation.write(read(members, operation), () => undefined, null).length).toBeGreaterThan(200_000);
  });

  it('is answered with as many likelihoods', () => {
    const choice = { index: 0, message: { content: 'a' }, logprobs: { content: many({ token: 'a' }) }, finish_reason: 'stop' };
    const told = translatedBy('OpenAI').answer(HEAD, 200, {}, Buffer.from(JSON.stringify({ choices: [choice] })), true);
    expect(told).toMatchObject({ failure: null, lost: ['logprobs'] });
  });
});

describe('results of one tool come in the order of its calls, where they bear no id', () => {
  const call = (id: string): object => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } });
  const result = (id: string): object => ({ role: 'tool', tool_call_id: id, content: `of ${id}` });
  const asked = { messages: [{ role: 'assistant', tool_calls: [call('a'), call('b')] }, result('c'), result('b'), result('a')] };

  it.each<[ProviderKind, string]>([
    ['Gemini', 'http://gemini'],
    ['OpenAICompatible', 'http://ollama/api'],
  ])('%s', (provider, baseUrl) => {
    const translation = translatedBy(provider, 'chat', baseUrl);
    const written = translation.write(read(asked, 'chat'), () => undefined, null).toString();
    expect(written.match(/of [abc]/g)).toEqual(['of a', 'of b', 'of c']);
  });
});

describe('a request is not served with less than it says', () => {
  const pdf = Buffer.from('%PDF').toString('base64');
  const source = { type: 'base64', media_type: 'application/pdf', data: pdf };
  const image = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
  const result = (content: readonly object[]): object => ({ type: 'tool_result', tool_use_id: 'a', content });

  it.each<[string, ProviderKind, Operation, object, object]>([
    [
      'a file in a tool’s result',
      'Gemini',
      'messages',
      { messages: [{ role: 'user', content: [result([{ type: 'document', source }])] }] },
      { refused: ['messages.0.content.0.content'] },
    ],
    [
      'sound in a tool’s result',
      'Gemini',
      'chat',
      {
        messages: [
          { role: 'tool', tool_call_id: 'a', content: [{ type: 'input_audio', input_audio: { data: pdf, format: 'wav' } }] },
        ],
      },
      { refused: ['messages[0].content'] },
    ],
    [
      'an image among the instructions',
      'Gemini',
      'responses',
      { input: [{ role: 'developer', content: [image] }] },
      { refused: ['input[0].content'] },
    ],
    [
      'an image among the instructions',
      'Gemini',
      'messages',
      { system: [{ type: 'image', source: { ...source, media_type: 'image/png' } }], messages: [{ role: 'user', content: 'x' }] },
      { invalid: [{ param: 'system' }] },
    ],
    [
      'a text where a part should be',
      'Gemini',
      'responses',
      { input: [{ role: 'user', content: ['x', { type: 'input_text', text: 'y' }] }] },
      { invalid: [{ param: 'input[0].content[0]' }] },
    ],
  ])('%s (%s, %s)', (_, provider, operation, members, lacking) => {
    expect(translatedBy(provider, operation).lacks(read(members, operation))).toMatchObject(lacking);
  });

  it('a cache marker in a tool’s result is one behind it on Bedrock', () => {
    const content = [result([{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }])];
    const written = translatedBy('Bedrock').write(
      read({ messages: [{ role: 'user', content }] }, 'messages'),
      () => undefined,
      null,
    );
    expect(JSON.parse(written.toString())).toEqual({
      messages: [
        {
          role: 'user',
          content: [{ toolResult: { toolUseId: 'a', content: [{ text: 'x' }] } }, { cachePoint: { type: 'default' } }],
        },
      ],
    });
  });
});

function read(members: object, operation: Operation): ParsedBody {
  const body = readRequestBody(Buffer.from(JSON.stringify({ model: 'm', ...members })), operation);
  if (!body.ok) throw new Error(body.error.message);
  return body.value;
}

function translatedBy(provider: ProviderKind, operation: Operation = 'messages', baseUrl = 'http://upstream'): Translation {
  const translation = providerFor(provider).exchange(target({ provider, model: 'm', baseUrl }), operation)?.translation;
  if (translation == null) throw new Error(`${provider} does not translate`);
  return translation;
}
