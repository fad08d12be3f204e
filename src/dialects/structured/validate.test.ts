import { Validator } from '@cfworker/json-schema';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject } from '../../lib/json.ts';
import { validate } from './validate.ts';

function parsed(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return value;
}

function renamed([name, value]: [string, unknown]): [string, unknown][] {
  return value === undefined ? [] : [[name === 'yes' ? 'then' : name, value]];
}

const RUNS = Math.min(Number(process.env['FUZZ_RUNS'] ?? 2_000), 20_000);

describe('validate', () => {
  it.each<[string, unknown, unknown, string | null]>([
    ['a missing member', { required: ['a'] }, {}, ''],
    ['a member that is too many', { properties: { a: {} }, additionalProperties: false }, { a: 1, b: 2 }, '/b'],
    ['a name with a slash', { additionalProperties: { type: 'null' } }, { 'a/b': 1 }, '/a~1b'],
    [
      'one deep down',
      { $ref: '#/$defs/n', $defs: { n: { items: { $ref: '#/$defs/n' }, type: ['array', 'null'] } } },
      [[null, [1]]],
      '/0/1/0',
    ],
    ['an integer written as a fraction', { type: 'integer' }, 1, null],
    ['a third of a tenth', { multipleOf: 0.1 }, 0.3, null],
    ['characters, not units', { maxLength: 1 }, '😀', null],
    ['neither of two', { anyOf: [{ type: 'string' }, { type: 'null' }] }, 1, ''],
    ['both of two', { oneOf: [{ type: 'number' }, { minimum: 0 }] }, 1, ''],
    ['the other branch', parsed('{"if":{"type":"string"},"then":{"minLength":2},"else":{"minimum":5}}'), 4, ''],
    ['a member of every object', { properties: { toString: { type: 'string' } } }, {}, null],
    [
      'equal items',
      { uniqueItems: true },
      [
        { a: [1], b: 2 },
        { b: 2, a: [1] },
      ],
      '',
    ],
    ['a pattern', { pattern: '^\\d{3}-\\d{4}$' }, '555-1234', null],
    ['a pattern of names', { patternProperties: { '^x-': { type: 'number' } }, additionalProperties: false }, { 'x-a': 1 }, null],
  ])('%s', (_, schema, value, at) => {
    const verdict = validate(schema, value);
    expect(verdict.kind === 'invalid' ? verdict.at : verdict.kind === 'valid' ? null : verdict).toBe(at);
  });

  it.each<[string, unknown, unknown]>([
    ['a reference elsewhere', { $ref: 'https://example.com/s.json' }, 1],
    ['a reference at nothing', { $ref: '#/$defs/none' }, 1],
    ['a reference at itself', { $ref: '#' }, 1],
    ['what looks around', { pattern: '(?=a)b' }, 'b'],
    ['what depends on what was looked at', { unevaluatedProperties: false }, {}],
    ['a schema that is none', { properties: { a: 7 } }, { a: 1 }],
  ])('does not guess at %s', (_, schema, value) => {
    expect(validate(schema, value)).toMatchObject({ kind: 'unchecked' });
  });

  it('gives up on a schema that multiplies', () => {
    const defs: Record<string, unknown> = { d30: { type: 'string' } };
    for (let i = 0; i < 30; i++) defs[`d${i}`] = { allOf: Array.from({ length: 10 }, () => ({ $ref: `#/$defs/d${i + 1}` })) };
    expect(validate({ $ref: '#/$defs/d0', $defs: defs }, 'x')).toMatchObject({ kind: 'unchecked' });
    expect(
      validate(
        { uniqueItems: true },
        Array.from({ length: 100_000 }, (_, i) => i),
      ),
    ).toMatchObject({ kind: 'unchecked' });
  });

  it.each<[string, unknown]>([
    ['a long list of required names', { required: Array.from({ length: 1_000 }, () => 'a') }],
    ['a long list of types', { type: [...Array.from({ length: 1_000 }, () => 'null'), 'object'] }],
    ['a long list of names that depend on one', { dependentRequired: { a: Array.from({ length: 1_000 }, () => 'a') } }],
    ['a long reference', { $ref: `#/$defs/${'x'.repeat(10_000)}` }],
  ])('counts what %s costs each time that it is come to', (_what, often) => {
    const schema = {
      allOf: Array.from({ length: 2_000 }, () => ({ $ref: '#/$defs/often' })),
      $defs: { often, ['x'.repeat(10_000)]: true },
    };
    expect(validate({ ...schema, allOf: schema.allOf.slice(0, 10) }, { a: 1 })).toEqual({ kind: 'valid' });
    expect(validate(schema, { a: 1 })).toMatchObject({ kind: 'unchecked' });
  });

  it('reads patterns as ECMAScript does, not as RE2', () => {
    const patterns = [
      '^\\d+\\s(?:EUR|USD)$',
      '^\\S+$',
      '^[^\\s]+$',
      '^[\\S]+$',
      '^[\\s\\S]+$',
      '^.+$',
      '^[.]$',
      '^[^]$',
      '^\\.$',
      '^[\\]\\s]$',
    ];
    const texts = ['10\u00a0EUR', '10 EUR', 'a\u3000b', '\ufeff', '\v', 'a\rb', '\u2028', '\n', '', 'a', '.', ']', '中文', '😀'];
    for (const pattern of patterns)
      for (const text of texts) {
        const { kind } = validate({ pattern }, text);
        expect([pattern, text, kind]).toEqual([pattern, text, new RegExp(pattern, 'u').test(text) ? 'valid' : 'invalid']);
      }
    for (const pattern of ['\\Aa', 'a\\z', '[[:alpha:]]', '\\Qa.b\\E'])
      expect(validate({ pattern }, 'a')).toMatchObject({ kind: 'unchecked' });
  });

  it('matches in linear time what backtracking would take years for', () => {
    expect(validate({ pattern: '^(a+)+$' }, `${'a'.repeat(1_000)}!`)).toMatchObject({ kind: 'invalid' });
    expect(validate({ pattern: '(x+x+)+y' }, 'x'.repeat(1_000))).toMatchObject({ kind: 'invalid' });
    expect(validate({ pattern: '(\\w{900})(\\w{900})' }, 'x')).toMatchObject({ kind: 'unchecked' });
  });

  it('agrees with another validator', () => {
    const leaf = fc.oneof(fc.constantFrom('a', 'b', 'abc', ''), fc.integer({ min: -3, max: 3 }), fc.boolean(), fc.constant(null));
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value')),
      ),
    }));
    const types = fc.constantFrom('string', 'number', 'integer', 'boolean', 'null', 'array', 'object');
    const { schema } = fc.letrec<{ schema: JsonObject | boolean }>((tie) => ({
      schema: fc.oneof(
        { maxDepth: 3 },
        fc.boolean(),
        fc
          .record(
            {
              type: fc.oneof(types, fc.array(types, { minLength: 1, maxLength: 2 })),
              enum: fc.array(leaf, { minLength: 1, maxLength: 3 }),
              const: leaf,
              minimum: fc.integer({ min: -2, max: 2 }),
              exclusiveMaximum: fc.integer({ min: -2, max: 3 }),
              multipleOf: fc.constantFrom(1, 2, 0.5),
              minLength: fc.nat(2),
              maxLength: fc.nat(3),
              pattern: fc.constantFrom('^a', 'b$', 'a|c'),
              minItems: fc.nat(2),
              maxItems: fc.nat(3),
              uniqueItems: fc.boolean(),
              items: tie('schema'),
              prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
              contains: tie('schema'),
              required: fc.array(fc.constantFrom('a', 'b'), { maxLength: 2 }),
              properties: fc.dictionary(fc.constantFrom('a', 'b'), tie('schema')),
              patternProperties: fc.dictionary(fc.constantFrom('^a', 'c'), tie('schema')),
              additionalProperties: tie('schema'),
              propertyNames: tie('schema'),
              maxProperties: fc.nat(3),
              dependentRequired: fc.constant({ a: ['b'] }),
              anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
              oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
              allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
              not: tie('schema'),
              if: tie('schema'),
              yes: tie('schema'),
              else: tie('schema'),
            },
            { requiredKeys: [] },
          )
          // `then` in the code would make of the schema what is awaited.
          .map(({ yes, ...rest }) => Object.fromEntries(Object.entries({ ...rest, yes }).flatMap(renamed))),
      ),
    }));
    fc.assert(
      fc.property(schema, value, (asked, given) => {
        const { kind } = validate(asked, given);
        expect(kind).toBe(new Validator(asked, '2020-12').validate(given).valid ? 'valid' : 'invalid');
      }),
      { numRuns: RUNS },
    );
  });
});
