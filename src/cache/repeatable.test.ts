import { describe, expect, it } from '@jest/globals';
import type { JsonObject } from '../lib/json.ts';
import { OPERATIONS, type Operation } from '../lib/operation.ts';
import { isRepeatable } from './repeatable.ts';

const FUNCTION = { type: 'function', function: { name: 'f' } };

describe('requests that one answer can serve again', () => {
  it.each<[string, Operation, JsonObject]>([
    ['a chat', 'chat', { messages: [] }],
    ['a chat with functions of the client', 'chat', { messages: [], tools: [FUNCTION], store: false, n: 1 }],
    ['completions', 'completions', { prompt: 'a' }],
    ['completions of token ids', 'completions', { prompt: [1, 2, 3] }],
    ['embeddings', 'embeddings', { input: ['a', 'b'] }],
    ['a response that is not stored', 'responses', { input: 'a', store: false, tools: [{ type: 'function', name: 'f' }] }],
    ['messages with tools of the client', 'messages', { messages: [], tools: [{ name: 'f' }, { type: 'custom', name: 'g' }] }],
  ])('%s', (_, operation, json) => {
    expect(isRepeatable({ operation, json })).toBe(true);
  });

  it.each<[string, Operation, JsonObject]>([
    ['a chat that is stored', 'chat', { store: true }],
    ['a chat that searches', 'chat', { web_search_options: {} }],
    ['a chat that speaks, because later ones name its voice', 'chat', { audio: { voice: 'a' } }],
    ['several answers in one', 'chat', { n: 2 }],
    ['several prompts in one', 'completions', { prompt: ['a', 'b'] }],
    ['the best of several', 'completions', { prompt: 'a', best_of: 2 }],
    ['a response that is stored, as all are by default', 'responses', { input: 'a' }],
    ['a response that goes on from another', 'responses', { store: false, previous_response_id: 'r' }],
    ['a response of a conversation', 'responses', { store: false, conversation: 'c' }],
    ['a response in the background', 'responses', { store: false, background: true }],
    ['a response by a stored prompt', 'responses', { store: false, prompt: { id: 'p' } }],
    ['tools that run at the provider', 'responses', { store: false, tools: [{ type: 'web_search' }] }],
    ['the same of Anthropic', 'messages', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
    ['a container that keeps its state', 'messages', { container: 'c' }],
    ['servers of tools', 'messages', { mcp_servers: [{}] }],
    ['tools that are none', 'chat', { tools: 'all' }],
  ])('not %s', (_, operation, json) => {
    expect(isRepeatable({ operation, json })).toBe(false);
  });

  it('nothing that passes without being read', () => {
    const read: readonly Operation[] = ['chat', 'completions', 'embeddings', 'responses', 'messages'];
    for (const operation of OPERATIONS.filter((name) => !read.includes(name))) {
      expect(isRepeatable({ operation, json: {} })).toBe(false);
    }
  });
});
