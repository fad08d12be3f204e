import { spawnSync } from 'node:child_process';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { parseYamlDocuments } from './yaml.ts';

const kubectlVersion = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
const hasKubectl = kubectlVersion.status === 0;

/** What kubectl makes of a file, without a cluster. */
function kubectlReads(text: string): { readonly spec?: unknown; readonly error?: string } {
  const run = spawnSync('kubectl', ['label', '--local', '-f', '-', '-o', 'json', 'x=y'], {
    input: text,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (run.status !== 0) return { error: run.stderr };
  return { spec: (JSON.parse(run.stdout) as { spec?: unknown }).spec };
}

function weRead(text: string): { readonly spec?: unknown; readonly error?: string } {
  const { documents, issues } = parseYamlDocuments(text, 'a.yaml');
  const [first] = documents;
  if (issues.length > 0 || first === undefined) return { error: issues.map(({ message }) => message).join('\n') };
  return { spec: (first.value as { spec?: unknown }).spec };
}

const HEAD = 'apiVersion: fairlead.dev/v1alpha1\nkind: Probe\nmetadata: {name: probe}\nspec:\n';

const WORDS = ['y', 'yes', 'true', 'on', 'n', 'no', 'false', 'off', 'null', 'nan', 'inf', 'none', 't', 'f', 'nil'];
const SCALARS = [
  ...WORDS.flatMap((word) => [word, word.toUpperCase(), `${word.charAt(0).toUpperCase()}${word.slice(1)}`, `${word}x`]),
  ...['yES', 'oN', 'tRUE', 'nULL', '~', '~x', '.Nan', '.iNF', '-.Infinity', 'Infinity', '-Infinity', 'NaN'],
  ...[
    '0',
    '00',
    '1',
    '-1',
    '+1',
    '-0',
    '+0',
    '007',
    '010',
    '-010',
    '+010',
    '08',
    '09',
    '018',
    '0o17',
    '0O17',
    '0o8',
    '-0o17',
    '0x1F',
    '0X1f',
    '-0x1F',
    '+0x1f',
    '0xG',
    '0x',
    '0b101',
    '0B101',
    '-0b101',
    '+0b101',
    '0b2',
    '0b',
    '0b+101',
    '0b-101',
    '-0b-1',
  ],
  ...['1_000', '1__000', '_1', '1_', '1_000.5', '0x_1F', '0_10', '-1_0', '1_e3', '._5', '.5_0'],
  ...[
    '1.0',
    '1.',
    '.5',
    '-.5',
    '+.5',
    '1.5e3',
    '1e3',
    '1E3',
    '1e+3',
    '1e-3',
    '1e',
    'e3',
    '1.e3',
    '.e3',
    '.5e3',
    '.5E-3',
    '1e400',
    '.1e400',
    '-1e400',
    '1.2.3',
    '.',
    '..',
    '...x',
    '+',
    '-.',
    '+.',
    '--1',
    '1-1',
    '5e-324',
    '1e-400',
    '0.1',
    '100000000000000000000',
    '0e0',
    '-0.0',
    '0.0',
  ],
  ...[
    '9007199254740991',
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775808',
    '-9223372036854775809',
    '18446744073709551615',
    '18446744073709551616',
    '+9223372036854775808',
    '0xFFFFFFFFFFFFFFFF',
    '0x10000000000000000',
    '0777777777777777777777',
    '07777777777777777777777777',
  ],
  ...[
    '1:30',
    '01:30:00',
    '190:20:30',
    '190:20:30.15',
    '2024-10-21',
    '2024-1-1',
    '2001-12-14t21:59:43.10-05:00',
    '2001-12-14 21:59:43.10 -5',
    '2001-12-15T02:59:43Z',
    '12:00',
  ],
  ...[
    '=',
    '1 2',
    'a b',
    'a_b',
    '1a',
    'é',
    '１',
    '0.5.',
    '1,5',
    '$1',
    '10m',
    '500ms',
    '32Mi',
    '100m',
    '1.5Gi',
    '99%',
    '/v1',
    'v1',
    '1d',
    'gpt-4o',
    '1/2',
    'C:x',
    'http://a:80/b?c',
    '"y"',
    "'on'",
    '"010"',
    "'~'",
    '""',
    "''",
    '"\\x41\\u00e9\\n"',
    "'it''s'",
    '1 # comment',
    '"1" # c',
  ],
];

/** Flow collections end a plain scalar at , and ]. */
const fitsFlow = (text: string): boolean => !/[,[\]{}#?]|^\.\.\.|\t/.test(text);

const key = (index: number): string => `s${index}`;

const POSITIONS: readonly { readonly name: string; readonly write: (scalars: readonly string[]) => string }[] = [
  { name: 'values of a block map', write: (all) => valuesOfBlockMap(all) },
  { name: 'a block list', write: (all) => `  list:\n${all.map((text) => `  - ${text}`).join('\n')}` },
  { name: 'a flow list', write: (all) => `  list: [${all.filter(fitsFlow).join(', ')}]` },
  {
    name: 'values of a flow map',
    write: (all) =>
      `  map: {${all
        .filter(fitsFlow)
        .map((text, index) => `${key(index)}: ${text}`)
        .join(', ')}}`,
  },
  {
    name: 'behind an anchor',
    write: (all) => all.map((text, index) => `  ${key(index)}: &a${index} ${text}\n  b${index}: *a${index}`).join('\n'),
  },
  { name: 'tagged !!str', write: (all) => all.map((text, index) => `  ${key(index)}: !!str ${text}`).join('\n') },
  { name: 'literal blocks', write: (all) => all.map((text, index) => `  ${key(index)}: |-\n    ${text}`).join('\n') },
  {
    name: 'keys, one map each',
    write: (all) =>
      `  list:\n${all
        .filter((text) => isKey(text))
        .map((text) => `  - ${text}: 1`)
        .join('\n')}`,
  },
];

/** null and what JSON cannot hold is no key for kubectl, and floats are keys in Go's shortest 32-bit form. */
function isKey(text: string): boolean {
  return !/^(~|null|Null|NULL|\t.*|.*#.*)$/.test(text) && !/[.eE]/.test(text) && !/^[-+]?[0-9_]{10,}|^0[xX]F{10}/.test(text);
}

/** JSON.parse has already rounded what kubectl printed beyond 2^53, as we do. */
function expectSame(text: string): void {
  const theirs = kubectlReads(text);
  expect({ text, ...weRead(text) }).toEqual({ text, ...theirs });
}

/** Wholes, not scalars: structure, tags, merges, and what both must refuse. */
const TEXTS = [
  'a: [1, {b: y, "c": "y"}]\nempty:\nquoted: ""',
  'base: &base {a: 1, b: 2}\nfirst: {<<: *base, b: 3}\nlast: {b: 3, <<: *base}',
  'one: &one {a: 1}\ntwo: &two {a: 2, b: 2}\nboth: {<<: [*one, *two], c: 3}',
  'folded: >\n  a\n  b\n\n  c\nliteral: |\n  a\n   b\nkept: |+\n  a\n\n',
  'text: a\n  continued\n  # comment\nnext: 1',
  'int: !!int "3"\nhex: !!int 0x1F\nfloat: !!float 3\nbool: !!bool "on"\nnothing: !!null ""\nbinary: !!binary aGVsbG8=\nown: !mine 5\nplain: ! 5\nlist: !!seq [1]\nmap: !!map {a: 1}',
  '1: a\n010: b\ntrue: c\noff: d\n"on": e\n0x1F: f',
  '? a\n: b',
  '{"json": {"a": [1, 2.5, "y", null, true]},\n\t"tabs": 1}',
  'crlf: y\r\nother: "n"\r\n',
];
const REFUSED = [
  'a: .inf',
  'a: -.INF',
  'a: .nan',
  'a: -',
  'a: b: c',
  'a: [1',
  'a: "x',
  'a: *none',
  'a: &x [*x]',
  '~: a',
  '? [a]\n: b',
  'a: !!int x',
  'a: !!int 1.5',
  'a: !!bool 5',
  'a: !!null x',
  '<<: 5',
  'a: 1\n b: 2',
  '\ta: 1',
  'a: @x',
  'a: %x',
  'a: `x`',
  'a: !!float x',
];

const indented = (text: string): string => text.replaceAll(/^(?=.)/gm, '  ');

describe('YAML as kubectl reads it', () => {
  if (!hasKubectl) {
    it('is not compared here: kubectl is not installed', () => {
      expect(hasKubectl).toBe(false);
    });
    return;
  }

  it('compares at least 150 scalars', () => {
    expect(new Set(SCALARS).size).toBeGreaterThanOrEqual(150);
  });

  for (const { name, write } of POSITIONS) {
    it(`scalars as ${name}`, () => {
      expectSame(`${HEAD}${write(SCALARS)}\n`);
    });
  }

  it('generated scalars', () => {
    const alphabet = fc.constantFrom(...'0123456789abcdefxobynEe_+-.:TZ~'.split(''));
    const word = fc.string({ unit: alphabet, minLength: 1, maxLength: 7 }).filter((text) => isPlainText(text));
    expectSame(`${HEAD}${valuesOfBlockMap(fc.sample(word, { numRuns: 3000, seed: 7 }))}\n`);
    const number = fc
      .string({ unit: fc.constantFrom(...'0011789_+-.ex'.split('')), minLength: 1, maxLength: 6 })
      .filter((text) => isPlainText(text));
    expectSame(`${HEAD}${valuesOfBlockMap(fc.sample(number, { numRuns: 3000, seed: 11 }))}\n`);
  });

  it.each(TEXTS)('whole: %j', (text) => {
    expectSame(`${HEAD}${indented(text)}\n`);
  });

  it.each(REFUSED)('refused by both: %j', (text) => {
    const file = `${HEAD}${indented(text)}\n`;
    expect(kubectlReads(file).error).toBeTruthy();
    expect(weRead(file).error).toMatch(/^a\.yaml:[0-9]+: /);
  });
});

describe('documents of a file', () => {
  const read = (text: string): { values: unknown[]; lines: number[]; issues: string[] } => {
    const { documents, issues } = parseYamlDocuments(text, 'dir/a.yaml');
    return {
      values: documents.map(({ value }) => value),
      lines: documents.map(({ line }) => line),
      issues: issues.map(({ message }) => message),
    };
  };

  it('reads several, skips those of comments alone, and tells their lines', () => {
    const text = '# head\n---\n# nothing here\n---\nkind: A\n---\n\n# before\nkind: B\n---\n...\n---\n';
    expect(read(text)).toEqual({ values: [{ kind: 'A' }, { kind: 'B' }], lines: [5, 9], issues: [] });
    expect(read('')).toEqual({ values: [], lines: [], issues: [] });
    expect(read('# only this\n')).toEqual({ values: [], lines: [], issues: [] });
    expect(read('null\n---\nkind: A\n---\n~\n')).toEqual({ values: [{ kind: 'A' }], lines: [3], issues: [] });
  });

  it.each(['*', '|', '>', '!a!', '!!int ', '"x"'])(
    'quotes no value that it cannot read: it may be a password, here after %s',
    (before) => {
      for (const text of [`a: ${before}verysecret`, `a: {b: ${before}verysecret}`, `${before}verysecret`]) {
        const { issues } = read(text);
        expect(issues.join()).not.toContain('verysecret');
      }
      expect(read(`a: ${before}verysecret`).issues).toEqual([expect.stringMatching(/^dir\/a\.yaml:1: \w.*\w$/)]);
    },
  );

  it('reads files that begin with a byte order mark, put together', () => {
    const file = '\uFEFFkind: A\r\n';
    expect(read(`${file}---\r\n${file}`)).toEqual({ values: [{ kind: 'A' }, { kind: 'A' }], lines: [1, 3], issues: [] });
  });

  it('flattens lists, nested ones too', () => {
    const text = 'apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: LLMRouteList\n  items:\n  - kind: B\n  - kind: C\n- 5\n';
    expect(read(text)).toEqual({ values: [{ kind: 'A' }, { kind: 'B' }, { kind: 'C' }, 5], lines: [4, 7, 8, 9], issues: [] });
  });

  it('keeps what is right when another document is wrong', () => {
    const { values, issues } = read('kind: A\n---\nkind: [B\n---\nkind: C\nkind: D\n---\nkind: E\n');
    expect(values).toEqual([{ kind: 'A' }, { kind: 'E' }]);
    expect(issues).toHaveLength(2);
    expect(issues[0]).toMatch(/^dir\/a\.yaml:[34]: /);
    expect(issues[1]).toBe('dir/a.yaml:6: key "kind" is given twice in the map that begins on line 5');
  });

  it('takes keys that YAML 1.1 reads alike for the same', () => {
    expect(read('a: {y: 1, "true": 2}').issues).toEqual([
      'dir/a.yaml:1: key "true" is given twice in the map that begins on line 1',
    ]);
  });

  it('bounds what aliases expand to', () => {
    const levels = Array.from(
      { length: 30 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(', ')}]`,
    );
    const { values, issues } = read(`l0: &l0 [x, x]\n${levels.join('\n')}\n`);
    expect(values).toEqual([]);
    expect(issues).toEqual([expect.stringMatching(/^dir\/a\.yaml:[0-9]+: aliases expand to more than 100000 values$/)]);
  });

  it('refuses nesting without end instead of falling over', () => {
    for (const depth of [210, 1000, 200_000]) {
      expect(read(`a: ${'['.repeat(depth)}${']'.repeat(depth)}`)).toEqual({
        values: [],
        lines: [],
        issues: [expect.stringContaining('is nested too deeply')],
      });
    }
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab01: -[]{},&*!|>\'"#%?\n\n  \t<~.'.split('')), maxLength: 60 }),
        (text) => {
          const { documents, issues } = parseYamlDocuments(text, 'a.yaml');
          expect(documents.length + issues.length).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

/** Not a marker (`---`), not structure (`- x`, `a:`), and finite. */
function isPlainText(text: string): boolean {
  return !/^(---|\.\.\.|-$)|:$|^:/.test(text) && !/^[+-]?\.(inf|nan)$/i.test(text);
}

function valuesOfBlockMap(scalars: readonly string[]): string {
  return scalars.map((text, index) => `  ${key(index)}: ${text}`).join('\n');
}
