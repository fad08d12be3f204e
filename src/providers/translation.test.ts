/**
 * Streams that are translated: wherever the network cuts them, and whatever is broken in them, the client gets the same, or an
 * error; nothing throws, and a stream that lacks its end is never taken for whole.
 */
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { chunksOf, type Fixture, readFixtures } from '../../test/fixtures/fixture.ts';
import { seededRandom } from '../../test/features/support/gateway.ts';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import { providerFor } from './index.ts';
import { StreamEvent, type StreamTranslator } from './provider.ts';
import { target } from './testing.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 2_000);
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
  readonly make: () => StreamTranslator;
}

function casesOf(fixture: Fixture): Case[] {
  const kind = KINDS[fixture.dialect];
  if (kind === undefined || !fixture.stream || fixture.response.status !== 200) return [];
  const [provider, changes, operations] = kind;
  return operations.map((operation) => {
    const exchange = providerFor(provider).exchange(target({ provider, ...changes }), operation);
    const translation = exchange?.translation;
    if (translation == null) throw new Error(`${provider} does not translate ${operation}`);
    return { fixture, operation, bytes: Buffer.concat([...chunksOf(fixture)]), make: () => translation.stream(HEAD, {}) };
  });
}

const CASES = readFixtures(path.join(import.meta.dirname, '../../test/fixtures/providers')).flatMap(casesOf);

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
  return { text, failure: failed ? (failure?.kind ?? 'unknown') : null, finished, usage };
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
      const bytes = Buffer.from(each.bytes);
      for (let edit = Math.ceil(random() * 4); edit > 0; edit--) {
        const at = Math.floor(random() * bytes.length);
        bytes[at] = random() < 0.5 ? Math.floor(random() * 256) : (bytes[Math.floor(random() * bytes.length)] ?? 0);
      }
      const outcome = run(each.make(), [bytes]);
      expect(outcome.text.length).toBeLessThan(100_000);
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
