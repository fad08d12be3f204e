import { describe, expect, it } from '@jest/globals';
import { parseJsonOrThrow } from './json-parse.ts';

/** A text to be read before, the text, and its names. */
const CASES: readonly (readonly [what: string, before: string, text: string, names: readonly string[]])[] = [
  ['a letter', '{"a":1,"\\\\u0061":2}', '{"a":1,"\\u0061bcdef":2}', ['a', 'abcdef']],
  ['one letter', '{"a":1,"\\\\":2}', '{"a":1,"\\u0062":2}', ['a', 'b']],
  ['a sign that need not be escaped', '{"a":1,"b\\\\/":2}', '{"a":1,"b\\/c":2}', ['a', 'b/c']],
  ['what must be escaped', '{"a":1,"\\\\nb":2}', '{"a":1,"\\nbc":2}', ['a', '\nbc']],
  ['a name that has a backslash', '{"a":1,"\\\\\\\\b":2}', '{"a":1,"\\\\bc":2}', ['a', '\\bc']],
  ['space around it', '{"b":1,"\\\\u0061":2}', '{"b":1 , \r\n\t"\\u0061bcdef" :2}', ['b', 'abcdef']],
  ['the first name', '{"\\\\u006d":1,"b":2}', '{"\\u006dodel1":1,"b":2}', ['model1', 'b']],
  ['a second of the same name', '{"abcdef":1,"\\\\u0061":2}', '{"abcdef":1,"\\u0061bcdef":2}', ['abcdef']],
  [
    'long names',
    `{"c":1,"${'x'.repeat(200)}\\\\u0061":2}`,
    `{"c":1,"${'x'.repeat(200)}\\u0061bcdef":2}`,
    ['c', `${'x'.repeat(200)}abcdef`],
  ],
  ['many escapes before it', '{"d":1,"\\\\u0061":2}', `{"d":"${'\\n\\"'.repeat(50)}","\\u0061bcdef":2}`, ['d', 'abcdef']],
  ['two bytes a character', '{"é中":1,"\\\\u0061":2}', '{"é中":1,"\\u0061bcdef":2}', ['é中', 'abcdef']],
];

describe('parseJsonOrThrow', () => {
  it.each(CASES)('reads a name that is written with an escape: %s', (_, before, text, names) => {
    for (const parse of [parseJsonOrThrow, JSON.parse]) {
      parse(before);
      expect(Object.keys(parseJsonOrThrow(text) as object)).toEqual(names);
    }
  });

  it('reads the elements of an array, of which each is as the one before', () => {
    const element = { 'e/': 1, abcdef: 2 };
    const found = parseJsonOrThrow('[{"e\\/":1,"\\\\u0061":2},{"e\\/":1,"\\u0061bcdef":2},{"e\\/":1,"\\u0061bcdef":2}]');
    expect(found).toEqual([{ 'e/': 1, '\\u0061': 2 }, element, element]);
  });

  it('reads what is of any depth', () => {
    const depth = 200_000;
    const open = '[{"\\\\u0061":0,"\\u0061bcdef":'.repeat(depth);
    let found = parseJsonOrThrow(`${open}[]${'}]'.repeat(depth)}`);
    for (let level = 0; level < depth; level++) {
      const [element] = found as readonly Record<string, unknown>[];
      if (element === undefined || element['\\u0061'] !== 0) throw new Error(`no name with a backslash at ${level}`);
      found = element['abcdef'];
    }
    expect(found).toEqual([]);
  });

  it('keeps a member called __proto__, the last of a name, and the place of the first', () => {
    const found = parseJsonOrThrow('{"\\\\":[-0,1e2,"\\u0061",{},[ ],true,null],"a":1,"__proto__":{"b":2},"\\u0061":3}');
    expect(JSON.stringify(found)).toBe('{"\\\\":[0,100,"a",{},[],true,null],"a":3,"__proto__":{"b":2}}');
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
  });

  it.each(['', '{"a\\u0062":1', '{"\\x":1}', '"a', '{"\\\\":1,}'])('refuses %s as JSON.parse does', (text) => {
    expect(() => parseJsonOrThrow(text)).toThrow(SyntaxError);
  });
});
