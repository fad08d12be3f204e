import { describe, expect, it } from '@jest/globals';
import { matchRule } from '../shared/classify.ts';
import { httpErrorFacts } from '../shared/http-error.ts';
import { target } from '../testing.ts';
import { VERTEX_ANTHROPIC_RULES } from './failure.ts';
import { vertexAI } from './provider.ts';

const baseUrl = 'https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5';

describe('VertexAI', () => {
  it.each([
    ['claude-opus-4-6', 'publishers/anthropic/models/claude-opus-4-6:streamRawPredict'],
    ['publishers/anthropic/models/claude-opus-4-6', 'publishers/anthropic/models/claude-opus-4-6:streamRawPredict'],
    ['gemini-2.5-pro', 'publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse'],
    ['publishers/google/models/gemini-2.5-pro', 'publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse'],
    ['endpoints/123', 'endpoints/123:streamGenerateContent?alt=sse'],
  ])('calls %s by its publisher', (model, path) => {
    for (const operation of ['chat', 'messages'] as const)
      expect(vertexAI.exchange(target({ provider: 'VertexAI', baseUrl, model }), operation)?.path('chat', true)).toBe(
        `/v1/projects/p/locations/us-east5/${path}`,
      );
  });

  it.each([
    [413, { type: 'error', error: { type: 'invalid_request_error', message: 'Prompt is too long' } }, 'context_exceeded'],
    [
      400,
      { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 2 tokens > 1' } },
      'context_exceeded',
    ],
    [413, { error: { code: 413, message: 'Request exceeds the maximum allowed number of bytes.' } }, 'payload_too_large'],
    [429, { error: { code: 429, message: 'Quota exceeded for aiplatform', status: 'RESOURCE_EXHAUSTED' } }, 'rate_limited'],
    [404, { error: { code: 404, message: 'Publisher Model `x` was not found', status: 'NOT_FOUND' } }, 'not_found'],
  ])('reads Claude’s HTTP %i %j as %s', (status, body, verdict) => {
    const facts = httpErrorFacts({}, Buffer.from(JSON.stringify(body)));
    expect(matchRule(VERTEX_ANTHROPIC_RULES, facts, status)?.verdict).toBe(verdict);
  });
});
