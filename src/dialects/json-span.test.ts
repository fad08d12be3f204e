import { describe, expect, it } from '@jest/globals';
import { duplicateMember, scanObject } from './json-span.ts';

function values(text: string, names: readonly string[], from = 0): string[] | string {
  const bytes = Buffer.from(text);
  const spans = scanObject(bytes, names, from);
  return spans.ok
    ? spans.value.members.map(({ name, start, end }) => `${name}=${bytes.toString('utf8', start, end)}`)
    : spans.error;
}

describe('scanObject', () => {
  it('finds values of every kind, by decoded key, at the top only', () => {
    const text = ' { "a" : [1,{"b":2}] ,"b":{"a":"}"},"c":"\\"]", "\\u00e9\\u0022":-1.5E+3 , "d":null}';
    expect(values(text, ['a', 'b', 'c', 'd', 'é"'])).toEqual([
      'a=[1,{"b":2}]',
      'b={"a":"}"}',
      'c="\\"]"',
      'é"=-1.5E+3',
      'd=null',
    ]);
    expect(values('{}', ['a'])).toEqual([]);
    expect(values('{"a":{"b":1},"b":2}', ['b'], 5)).toEqual(['b=1']);
  });

  it('reports each occurrence of a key', () => {
    const spans = scanObject(Buffer.from('{"a":1,"b":2,"\\u0061":3}'), ['a', 'b']);
    expect(spans.ok && duplicateMember(spans.value)).toBe('a');
    expect(values('{"a":1,"b":2,"\\u0061":3}', ['a'])).toEqual(['a=1', 'a=3']);
  });

  it('reports what is not a whole object', () => {
    for (const text of [
      '',
      '[]',
      '{',
      '{"a"',
      '{"a":',
      '{"a":}',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
      '{"a":"x',
      '{"a":[',
      '{"a" 1}',
      '{a:1}',
      '{"a\\":1}',
      '"a"',
      '{"a":1 2}',
    ]) {
      expect([text, values(text, ['a'])]).toEqual([text, 'malformed']);
    }
    expect(values(`{"a":${'['.repeat(600)}${']'.repeat(600)}}`, ['a'])).toBe('too_deep');
  });

  it('stays linear in keys, backslashes and quotes', () => {
    // A quadratic step would take minutes here, a linear one less than a second.
    const startedMs = performance.now();
    const keys = Array.from({ length: 200_000 }, (_, i) => `"k${i}":0`).join(',');
    expect(values(`{${keys},"a":1}`, ['a'])).toEqual(['a=1']);
    expect(
      values(`{"x":"${'\\\\'.repeat(1_000_000)}","y":"${'\\"'.repeat(1_000_000)}","${'k\\\\'.repeat(300_000)}":2,"a":1}`, ['a']),
    ).toEqual(['a=1']);
    expect(performance.now() - startedMs).toBeLessThan(60_000);
  });
});
