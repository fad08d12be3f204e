import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import { errorBody, errorEvent, modelObject, modelsList, spliceUsageCost, spliceUsageCostInFrame } from './answer.ts';

const ERROR = { message: 'a\nb', type: 'server_error', code: 'all_targets_failed', param: null };

describe('errors and models', () => {
  it('have the shape that OpenAI clients read', () => {
    expect(JSON.parse(errorBody(ERROR).toString())).toEqual({ error: ERROR });
    expect(errorEvent('chat', ERROR).toString()).toBe(
      'data: {"error":{"message":"a\\nb","type":"server_error","param":null,"code":"all_targets_failed"}}\n\n',
    );
    expect(errorEvent('responses', ERROR, 9).toString()).toBe(
      'event: error\ndata: {"type":"error","code":"all_targets_failed","message":"a\\nb","param":null,"sequence_number":9}\n\n',
    );
    const gpt = { id: 'gpt', object: 'model', created: 7, owned_by: 'fairlead' };
    expect(JSON.parse(modelsList(['gpt', 'é"'], 7).toString())).toEqual({ object: 'list', data: [gpt, { ...gpt, id: 'é"' }] });
    expect(JSON.parse(modelObject('gpt', 7).toString())).toEqual(gpt);
  });
});

describe('spliceUsageCost', () => {
  const costed = (text: string): string => spliceUsageCost(Buffer.from(text), '0.0012').toString();

  it('sets the cost and leaves every other byte', () => {
    expect(costed('{"choices":[{"usage":{}}], "usage" : { "a":1}\n}')).toBe(
      '{"choices":[{"usage":{}}], "usage" : {"cost":0.0012, "a":1}\n}',
    );
    expect(costed('{"usage":{}}')).toBe('{"usage":{"cost":0.0012}}');
    expect(costed('{"usage":{"x":{"cost":1},"cost" : {"y":2},"z":3}}')).toBe('{"usage":{"x":{"cost":1},"cost" : 0.0012,"z":3}}');
    expect(costed('{"type":"response.completed","response":{"usage":{"a":1}}}')).toBe(
      '{"type":"response.completed","response":{"usage":{"cost":0.0012,"a":1}}}',
    );
  });

  it('gives the same Buffer where there is no usage', () => {
    for (const text of [
      '',
      '[]',
      '{}',
      '{"usage":null}',
      '{"usage":5}',
      '{"usage":{',
      '{"usage":{"cost"',
      '{"response":"x"}',
      '<html>',
      '{"choices":[{"usage":{}}]}',
    ]) {
      const bytes = Buffer.from(text);
      expect(spliceUsageCost(bytes, '1')).toBe(bytes);
    }
  });

  it('finds the data of a frame', () => {
    const framed = (text: string): string => spliceUsageCostInFrame(Buffer.from(text), '1').toString();
    expect(framed('data: {"usage":{"a":"data:"}}\n\n')).toBe('data: {"usage":{"cost":1,"a":"data:"}}\n\n');
    expect(framed('event: x\r\ndata:{"response":{"usage":{}}}\r\n\r\n')).toBe(
      'event: x\r\ndata:{"response":{"usage":{"cost":1}}}\r\n\r\n',
    );
    for (const same of ['data: [DONE]\n\n', ': data\n\n', 'data: {"usage":\ndata: {}}\n\n']) expect(framed(same)).toBe(same);
  });

  it('adds nothing but the cost to any answer', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('usage', 'a', 'response', 'é'), fc.jsonValue()),
        fc.constantFrom(0, 2),
        (answer, indent) => {
          const found = parseJsonOrThrow(costed(JSON.stringify(answer, null, indent))) as typeof answer;
          const inner = Object.hasOwn(answer, 'usage') ? answer : (answer['response'] as typeof answer | null);
          const usage =
            typeof inner === 'object' && inner !== null && !Array.isArray(inner) && Object.hasOwn(inner, 'usage')
              ? inner['usage']
              : null;
          if (typeof usage === 'object' && usage !== null && !Array.isArray(usage)) (usage as typeof answer)['cost'] = 0.0012;
          expect(found).toEqual(parseJsonOrThrow(JSON.stringify(answer)));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
