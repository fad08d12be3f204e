/** Against values that are built beside their text: JSON.parse would be a wrong judge of itself. */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonOrThrow } from './json-parse.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);

/** As it lies in JSON, and what it says. */
interface Made {
  readonly text: string;
  readonly value: unknown;
  /** Parsed before, these have V8 take a part of a name's text for the name. */
  readonly poisons: readonly string[];
}

const PIECES: readonly (readonly [text: string, says: string])[] = [
  ['a', 'a'],
  ['b', 'b'],
  ['u0061', 'u0061'],
  ['_tokens', '_tokens'],
  [': ,{}[]', ': ,{}[]'],
  ['é', 'é'],
  ['中', '中'],
  ['😀', '😀'],
  ['\\u0061', 'a'],
  ['\\u005F', '_'],
  ['\\u005c', '\\'],
  ['\\u4e2d', '中'],
  ['\\ud83d\\ude00', '😀'],
  ['\\udc00', '\udc00'],
  ['\\n', '\n'],
  ['\\"', '"'],
  ['\\\\', '\\'],
  ['\\/', '/'],
];
const NAMES: readonly (readonly [text: string, says: string])[] = [
  ['a', 'a'],
  ['model', 'model'],
  ['7', '7'],
  ['\\u0031', '1'],
  ['01\\u0030', '010'],
  ['__proto__', '__proto__'],
  ['__pr\\u006fto__', '__proto__'],
];
const SCALARS: readonly (readonly [text: string, value: unknown])[] = [
  ['0', 0],
  ['-0', -0],
  ['-1.5E+2', -150],
  ['1e400', Infinity],
  ['12345678901234567000', 12345678901234567000],
  ['true', true],
  ['false', false],
  ['null', null],
];

const spaces = fc.constantFrom('', '', '', ' ', '\n\t', '\r\n');
const string = fc
  .array(fc.constantFrom(...PIECES), { maxLength: 5 })
  .map((pieces): readonly [string, string] => [pieces.map(([text]) => text).join(''), pieces.map(([, says]) => says).join('')]);
const name = fc.oneof({ weight: 3, arbitrary: string }, { weight: 1, arbitrary: fc.constantFrom(...NAMES) });

function object(members: readonly (readonly [readonly [string, string], Made])[], space: string): Made {
  const value = {};
  for (const [[, says], { value: of }] of members)
    Object.defineProperty(value, says, { value: of, writable: true, enumerable: true, configurable: true });
  const written = (names: readonly string[]): string =>
    `{${space}${members.map(([, { text }], i) => `"${names[i]}"${space}:${space}${text}${space}`).join(`,${space}`)}}`;
  const names = members.map(([[text]]) => text);
  const poisons = members.flatMap(([[text, says]], at) =>
    text.includes('\\') && says !== '' ? [written(names.with(at, JSON.stringify(text.slice(0, says.length)).slice(1, -1)))] : [],
  );
  return { text: written(names), value, poisons: [...members.flatMap(([, made]) => made.poisons), ...poisons] };
}

function array(items: readonly Made[], space: string): Made {
  return {
    text: `[${space}${items.map(({ text }) => text + space).join(`,${space}`)}]`,
    value: items.map(({ value }) => value),
    poisons: items.flatMap(({ poisons }) => poisons),
  };
}

const made = fc.letrec<{ any: Made; object: Made }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 2, arbitrary: fc.constantFrom(...SCALARS).map(([text, value]): Made => ({ text, value, poisons: [] })) },
    { weight: 2, arbitrary: string.map(([text, says]): Made => ({ text: `"${text}"`, value: says, poisons: [] })) },
    { weight: 3, arbitrary: tie('object') },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.array(tie('any'), { maxLength: 4 }), spaces).map(([items, space]) => array(items, space)),
    },
    // V8 expects of an element what it found in the one before.
    { weight: 1, arbitrary: fc.tuple(tie('object'), spaces).map(([of, space]) => array([of, of, of], space)) },
  ),
  object: fc
    .tuple(fc.array(fc.tuple(name, tie('any')), { maxLength: 5 }), spaces)
    .map(([members, space]) => object(members, space)),
}));

/** The same, and its names in the same order. */
function isSame(found: unknown, wanted: unknown): boolean {
  return isDeepStrictEqual(found, wanted) && JSON.stringify(found) === JSON.stringify(wanted);
}

describe('parseJsonOrThrow', () => {
  it(`reads ${RUNS} texts as they were meant, whatever was read before`, () => {
    let written = 0;
    fc.assert(
      fc.property(fc.oneof(made.any, made.object), ({ text, value, poisons }) => {
        for (const poison of poisons) JSON.parse(poison);
        if (poisons.length > 0) written++;
        return isSame(parseJsonOrThrow(text), value) && isSame(parseJsonOrThrow(` ${text}\n`), value);
      }),
      { numRuns: RUNS },
    );
    expect(written).toBeGreaterThan(RUNS / 5);
  }, 120_000);

  it(`refuses of ${RUNS} texts what JSON.parse refuses, and nothing else`, () => {
    const outcome = (parse: (text: string) => unknown, text: string): string => {
      try {
        return typeof parse(text);
      } catch (thrown) {
        return String(thrown);
      }
    };
    fc.assert(
      fc.property(made.object, fc.nat(), fc.string({ maxLength: 1 }), ({ text }, place, unit) => {
        const at = place % text.length;
        const broken = text.slice(0, at) + unit + text.slice(at + 1);
        return outcome(parseJsonOrThrow, broken) === outcome((of) => JSON.parse(of), broken);
      }),
      { numRuns: RUNS },
    );
  }, 120_000);
});
