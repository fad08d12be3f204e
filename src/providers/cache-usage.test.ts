/** What was written into a provider's prompt cache, and for how long: the same tokens whoever answers and whoever asks. */
import { describe, expect, it } from '@jest/globals';
import { eventFrame } from '../../test/fixtures/replay.ts';
import { isObject, parseJson } from '../lib/json.ts';
import { exchange } from './testing.ts';

const HEAD = { id: 'id', createdSeconds: 1, model: 'm', includeUsage: true };
const CONVERSE = {
  inputTokens: 10,
  outputTokens: 2,
  cacheReadInputTokens: 5,
  cacheWriteInputTokens: 30,
  cacheDetails: [
    { ttl: '1h', inputTokens: 20 },
    { ttl: '5m', inputTokens: 10 },
  ],
};
const TOLD = { inputTokens: 45, cachedInputTokens: 5, cacheWriteTokens: 30, cacheWriteHourTokens: 20 };

function bedrock(): NonNullable<ReturnType<typeof exchange>['translation']> {
  const { translation } = exchange('Bedrock', 'messages');
  if (translation === null) throw new Error('Bedrock does not translate messages');
  return translation;
}

describe('what Converse writes into its cache', () => {
  it('is counted in a whole answer, and told as Anthropic tells it', () => {
    const body = { output: { message: { content: [{ text: 'Hi' }] } }, stopReason: 'end_turn', usage: CONVERSE };
    const { usage, client } = bedrock().answer(HEAD, 200, {}, Buffer.from(JSON.stringify(body)), true);
    expect(usage).toMatchObject(TOLD);
    const told = parseJson(client?.body.toString() ?? '');
    expect(isObject(told) ? told['usage'] : null).toEqual({
      input_tokens: 10,
      cache_creation_input_tokens: 30,
      cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
      cache_read_input_tokens: 5,
      output_tokens: 2,
    });
  });

  it('is counted in a stream', () => {
    const stream = bedrock().stream(HEAD, {});
    for (const frame of [
      eventFrame('messageStart', { role: 'assistant' }),
      eventFrame('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'Hi' } }),
      eventFrame('messageStop', { stopReason: 'end_turn' }),
      eventFrame('metadata', { usage: CONVERSE }),
    ])
      stream.push(frame);
    while (stream.next() !== -1) stream.take();
    expect(stream.usage).toMatchObject(TOLD);
    expect(stream.finish()).toContain('"ephemeral_1h_input_tokens":20');
  });
});
