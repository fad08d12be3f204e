import { describe, expect, it } from '@jest/globals';
import { ANTHROPIC_SCHEMA, GEMINI_SCHEMA, subsetOf } from './schema-subset.ts';

const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  properties: {
    age: { type: 'integer', minimum: 0, maximum: 150 },
    code: { type: 'string', description: 'Of the country.', pattern: '^[A-Z]{2}$' },
    kind: { const: 'person' },
    pattern: { type: 'string' },
    any: { oneOf: [{ type: 'string', minLength: 2 }, { type: 'null' }] },
  },
  required: ['age'],
};

describe('a schema in a provider’s part of the language', () => {
  it('closes objects for Anthropic, and says in words what it does not take', () => {
    expect(subsetOf(SCHEMA, ANTHROPIC_SCHEMA)).toEqual({
      type: 'object',
      properties: {
        age: { type: 'integer', description: '{minimum: 0, maximum: 150}' },
        code: { type: 'string', description: 'Of the country.\n{pattern: "^[A-Z]{2}$"}' },
        kind: { const: 'person' },
        pattern: { type: 'string' },
        any: { anyOf: [{ type: 'string', description: '{minLength: 2}' }, { type: 'null' }] },
      },
      required: ['age'],
      additionalProperties: false,
    });
  });

  it('keeps bounds for Gemini, and has a constant as its only choice', () => {
    expect(subsetOf(SCHEMA, GEMINI_SCHEMA)).toEqual({
      type: 'object',
      properties: {
        age: { type: 'integer', minimum: 0, maximum: 150 },
        code: { type: 'string', description: 'Of the country.\n{pattern: "^[A-Z]{2}$"}' },
        kind: { enum: ['person'] },
        pattern: { type: 'string' },
        any: { oneOf: [{ type: 'string', description: '{minLength: 2}' }, { type: 'null' }] },
      },
      required: ['age'],
    });
  });
});
