/** Where bytes pass, what only another provider understands is taken out, and nothing else. */
import { describe, expect, it } from '@jest/globals';
import type { JsonObject } from '../lib/json.ts';
import { exchange } from './testing.ts';

const OWN = { type: 'thinking', thinking: 'a', signature: 'EqoB' };
const TEXT = { type: 'text', text: 'Hi' };
const cited = (encrypted_index: string): object => ({ type: 'web_search_result_location', url: 'u', encrypted_index });
const asked = (...content: readonly object[]): JsonObject => ({ model: 'm', messages: [{ role: 'assistant', content }] });

describe('a conversation that passes to Anthropic', () => {
  const adapt = (json: JsonObject): unknown => exchange('Anthropic', 'messages').adapt?.({ json, outline: json }) ?? null;

  it.each<[string, JsonObject]>([
    ['its own thoughts', asked(OWN, { type: 'redacted_thinking', data: 'x' }, TEXT)],
    ['its own sources', asked({ ...TEXT, citations: [cited('e')] })],
    ['no assistant', { messages: [{ role: 'user', content: [TEXT] }] }],
    ['a shape of its own', { messages: [{ role: 'assistant', content: 'x' }, 3, null] }],
  ])('keeps its bytes with %s', (_, json) => {
    expect(adapt(json)).toBeNull();
  });

  it('loses the thoughts of others, those without a proof, and sources without an index', () => {
    const json = asked(
      { type: 'thinking', thinking: 'b', signature: 'gemini~x' },
      { type: 'thinking', thinking: 'c', signature: '' },
      { type: 'redacted_thinking', data: 'bedrock~x' },
      { type: 'thinking', thinking: 'd', signature: 'anthropic~EqoB' },
      { ...TEXT, citations: [cited('e'), cited('')] },
    );
    expect(adapt(json)).toEqual({
      json: asked({ type: 'thinking', thinking: 'd', signature: 'EqoB' }, { ...TEXT, citations: [cited('e')] }),
      dropped: ['messages.0.content.0', 'messages.0.content.1', 'messages.0.content.2', 'messages.0.content.4'],
    });
  });

  it('leaves no message without content', () => {
    expect(adapt(asked({ type: 'thinking', thinking: 'b', signature: 'gemini~x' }))).toMatchObject({ json: { messages: [] } });
  });
});

it('Responses that pass to OpenAI lose the reasoning of others', () => {
  const adapt = (json: JsonObject): unknown => exchange('OpenAI', 'responses').adapt?.({ json, outline: json }) ?? null;
  const own = { type: 'reasoning', encrypted_content: 'gAAAA' };
  expect(adapt({ input: 'x' })).toBeNull();
  expect(adapt({ input: [own] })).toBeNull();
  const foreign = ['anthropic~x', 'redacted:anthropic~x'].map((proof) => ({ type: 'reasoning', encrypted_content: proof }));
  expect(adapt({ input: [own, ...foreign] })).toEqual({ json: { input: [own] }, dropped: ['input[1]', 'input[2]'] });
});
