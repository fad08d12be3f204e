import { describe, expect, it } from '@jest/globals';
import { answer, exchange, kindOf } from './testing.ts';

describe('content filter annotations', () => {
  const filtered = { filtered: true, severity: 'high' };
  const safe = { filtered: false, severity: 'safe' };
  const choice = (more: object): object => ({
    choices: [{ index: 0, message: { content: 'x' }, finish_reason: 'stop', ...more }],
  });

  it.each([
    ['a finish reason without annotations', choice({ finish_reason: 'content_filter' }), 'content_filtered/completion', []],
    [
      'a category that was filtered',
      choice({ content_filter_results: { hate: safe, 'self-harm': filtered } }),
      'content_filtered/completion',
      ['self_harm'],
    ],
    [
      'a block list',
      choice({ content_filter_results: { custom_blocklists: { filtered: true, details: [{ filtered: true, id: 'b' }] } } }),
      'content_filtered/completion',
      ['custom_blocklists'],
    ],
    [
      'a bare block list',
      choice({ content_filter_results: { custom_blocklists: [{ filtered: false }, { filtered: true }] } }),
      'content_filtered/completion',
      ['custom_blocklists'],
    ],
    [
      'a prompt that was filtered',
      { ...choice({}), prompt_filter_results: [{ prompt_index: 0, content_filter_results: { violence: filtered } }] },
      'content_filtered/prompt',
      ['violence'],
    ],
    ['what was detected only', choice({ content_filter_results: { jailbreak: { detected: true, filtered: false } } }), 'ok', []],
    ['a severity only', choice({ content_filter_results: { hate: { severity: 'high' } } }), 'ok', []],
    ['filtered, but safe', choice({ content_filter_results: { hate: { filtered: true, severity: 'safe' } } }), 'ok', []],
    [
      'a filter that was out of order',
      choice({ content_filter_result: { error: { code: 'content_filter_error', message: 'The contents are not filtered' } } }),
      'ok',
      [],
    ],
  ])('%s', (_, body, expected, categories) => {
    const got = answer('AzureOpenAI', 200, body);
    expect(kindOf(got)).toBe(expected);
    if (got.failure?.kind === 'content_filtered') expect(got.failure.categories).toEqual(categories);
    if (expected !== 'ok') expect(got.finishReason).toBe('content_filter');
  });

  it('of the second choice alone fails the answer too', () => {
    const body = {
      choices: [
        { index: 0, finish_reason: 'stop', message: { content: 'a' } },
        { index: 1, finish_reason: 'content_filter', message: {} },
      ],
    };
    expect(kindOf(answer('OpenAI', 200, body))).toBe('content_filtered/completion');
  });

  it('are read from Responses: which side was blocked', () => {
    const body = {
      object: 'response',
      status: 'incomplete',
      incomplete_details: { reason: 'content_filter' },
      output: [],
      content_filters: [
        { blocked: false, source_type: 'prompt', content_filter_results: { hate: safe } },
        { blocked: true, source_type: 'completion', content_filter_results: { sexual: filtered } },
      ],
    };
    const { failure } = exchange('AzureOpenAI', 'responses').readAnswer(200, {}, Buffer.from(JSON.stringify(body)), true);
    expect(failure).toMatchObject({ kind: 'content_filtered', phase: 'completion', categories: ['sexual'] });
  });
});

describe('a 200 that is no success', () => {
  it.each([
    ['', 'malformed'],
    ['<html>login</html>', 'malformed'],
    ['null', 'malformed'],
    ['"text"', 'malformed'],
    ['{}', 'malformed'],
    ['{"choices":[]}', 'malformed'],
    ['{"choices":{}}', 'malformed'],
    ['{"error_message":"","choices":[]}', 'malformed'],
    ['{"object":"error","message":"no","code":500}', 'server_error'],
    ['[{"error":{"code":429,"message":"no"}}]', 'rate_limited'],
    ['{"error":"the model crashed"}', 'server_error'],
    ['{"error":{},"choices":[{"finish_reason":"stop","message":{}}]}', 'ok'],
    ['{"error":{"code":0,"message":""},"choices":[{"finish_reason":"stop","message":{}}]}', 'ok'],
    ['{"error":null,"choices":[{"finish_reason":"stop","message":{}}]}', 'ok'],
    ['\ufeff {"choices":[{"finish_reason":"stop","message":{}}]}', 'ok'],
    ['{"choices":[{"finish_reason":"error","error":{"code":502,"message":"x"},"message":{}}]}', 'server_error'],
  ])('%s', (body, expected) => {
    expect(kindOf(answer('OpenAI', 200, body))).toBe(expected);
  });

  it('is trusted where its body is incomplete, and where its operation is opaque', () => {
    const cut = Buffer.from('{"choices":[{"mess');
    expect(exchange('OpenAI', 'chat').readAnswer(200, {}, cut, false).failure).toBeNull();
    expect(exchange('OpenAI', 'audio_speech').readAnswer(200, {}, Buffer.from([0xff, 0, 1]), true).failure).toBeNull();
    expect(exchange('OpenAI', 'audio_speech').readAnswer(429, {}, Buffer.from([0xff, 0, 1]), true).failure?.kind).toBe(
      'rate_limited',
    );
  });
});
