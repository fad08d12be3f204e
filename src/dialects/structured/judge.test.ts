import { describe, expect, it } from '@jest/globals';
import { judge } from './judge.ts';

const SCHEMA = {
  type: 'object',
  properties: { a: { type: 'integer' }, b: { type: 'array', items: { type: 'string' } } },
  required: ['a'],
  additionalProperties: false,
};

describe('judge', () => {
  it.each<[string, string, unknown]>([
    ['fences', '```json\n{"a":1}\n```', { a: 1 }],
    ['words around it', 'Here you are:\n```json\n{"a":1,"b":["}"]}\n```\nAnything else?', { a: 1, b: ['}'] }],
    ['text behind it', '{"a":1} I hope this helps', { a: 1 }],
    ['a cut end in fences', '```json\n{"a":1,"b":["x"\n```\n', { a: 1, b: ['x'] }],
    ['a cut end', '{"a":1,"b":["x","y', { a: 1, b: ['x', 'y'] }],
    ['a comma too many', '{"a":1,}', { a: 1 }],
    ['single quotes', "{'a':1}", { a: 1 }],
    ['a comment', '{"a":1 /* one */}', { a: 1 }],
  ])('mends %s', (_, text, value) => {
    const found = judge(SCHEMA, text, true);
    expect(found.state).toBe('repaired');
    expect(found.state === 'repaired' && JSON.parse(found.text)).toEqual(value);
    expect(judge(SCHEMA, text, false)).toMatchObject({ state: 'invalid', why: 'the answer is not JSON' });
  });

  it.each<[string, string, string]>([
    ['words', 'I cannot do that.', 'the answer is not JSON'],
    ['another type', '{"a":"1"}', '/a: expected integer, found string'],
    ['nothing', '', 'the answer is not JSON'],
    ['brackets without end', '['.repeat(100_000), 'the answer is not JSON'],
  ])('does not mend %s', (_, text, why) => {
    expect(judge(SCHEMA, text, true)).toEqual({ state: 'invalid', why });
  });

  it('mends in linear time what a model ends with blanks for as long as it may', () => {
    // A quadratic step would take a minute here, a linear one some milliseconds.
    const startedMs = performance.now();
    expect(judge(SCHEMA, `{"a":1${'\n'.repeat(250_000)}`, true)).toMatchObject({ state: 'repaired' });
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });

  it('leaves alone what it cannot check', () => {
    expect(judge({ pattern: '(?<!a)b' }, '"b"', true)).toMatchObject({ state: 'unchecked' });
    expect(judge(SCHEMA, ' '.repeat(1024 * 1024 + 1), true)).toMatchObject({ state: 'unchecked' });
  });
});
