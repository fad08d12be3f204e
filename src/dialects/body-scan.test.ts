import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { scanBody, UNIQUE_MEMBERS } from './body-scan.ts';
import { MAX_JSON_DEPTH, scanObject } from './json-span.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);

function scanned(text: string, maxDepth = MAX_JSON_DEPTH): ReturnType<typeof scanBody> {
  return scanBody(Buffer.from(text), maxDepth);
}

describe('scanBody', () => {
  it('finds the model, and its end where every byte of it is a character', () => {
    for (const [model, plain] of [
      ['"m"', true],
      ['"gpt-4o/x:1 {["', true],
      ['""', true],
      ['"é"', false],
      ['"\\u0061"', false],
      ['"\u007f"', false],
      ['7', false],
      ['["m"]', false],
      ['{"model":"m"}', false],
    ] as const) {
      const before = '{"a":{"model":1},"b":"model","c":["model"],"d":"\\"model\\":", "model" :\n';
      const { modelStart, plainModelEnd } = scanned(`${before}${model} }`);
      expect([model, modelStart, plainModelEnd]).toEqual([model, before.length, plain ? before.length + model.length : -1]);
    }
    expect(scanned('{"a":{"model":"m"},"b":["stream","stream_options"]}')).toEqual({
      tooDeep: false,
      escapedName: false,
      foldableName: false,
      namesFiles: false,
      twice: null,
      modelStart: -1,
      plainModelEnd: -1,
      hasStream: false,
      hasStreamOptions: false,
    });
  });

  it.each([
    ['{"a":1,"b":{"A":1,"é":2}}', false],
    ['{"a":"A"}', false],
    ['{"a_1-$":0}', false],
    ['{"Model":1}', true],
    ['{"a":{},"ſtream":1}', true],
  ])('says of %s whether case matters: %s', (text, foldable) => {
    expect(scanned(text).foldableName).toBe(foldable);
  });

  it.each([
    ['{"x":"file_id","y":"\\"file_id\\":1","file_ide":1,"my_file_id":2,"file_i":3}', false],
    ['{"x":[{"y":{"file_id" : 1}}]}', true],
    ['{"x":[{"file_ids":[]}]}', true],
    ['{"x":[{"file\\u005fid":1}]}', true],
  ])('says of %s whether it names files: %s', (text, names) => {
    expect(scanned(text).namesFiles).toBe(names);
  });

  it('counts levels up to the bound', () => {
    const nested = (levels: number): string => `{"a":${'[{"a":'.repeat(levels / 2)}"[{"${'}]'.repeat(levels / 2)}}`;
    expect(scanned(nested(10), 11).tooDeep).toBe(false);
    expect(scanned(nested(10), 10).tooDeep).toBe(true);
  });

  it('finds what comes after texts of any length and with any escapes', () => {
    const piece = fc.constantFrom(
      'a',
      'b'.repeat(97),
      '\\"',
      '\\\\',
      '\\\\\\"',
      '\\u0022',
      '\\":1,',
      '{[',
      '\\n',
      'é',
      '中'.repeat(40),
    );
    const text = fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join(''));
    const member = fc.tuple(
      fc.constantFrom('stream', 'x', 'metadata', 'conversation', 'Stream', 'file_id', 'str\\u0065am', 'y'.repeat(300)),
      text,
    );
    const numbers = fc.constantFrom('1', '-1.5E+10', '[]', '{}', 'null', '[[1],[2,[3]]]', '{"stream":1}', '"m"');
    const filler = fc.array(numbers, { maxLength: 40 }).map((each) => `[${each.join(' , ')}]`);
    const at = fc.record({ offset: fc.nat(3), large: fc.boolean() });
    fc.assert(
      fc.property(fc.array(member, { maxLength: 4 }), fc.boolean(), filler, at, (members, escaped, list, { offset, large }) => {
        const all = members.map(([name, value]) => `"${name}": "${value}" `);
        all.push(`"list":${list}`, `"padding":${large ? list.padEnd(2_048) : 0}`);
        const text = `{${[...all, `"${escaped ? 'mod\\u0065l' : 'model'}":"m"`].join(',')}}`;
        const bytes = Buffer.from(' '.repeat(offset) + text).subarray(offset);
        const found = scanBody(bytes, MAX_JSON_DEPTH);
        const names = members.map(([name]) => name.replace('\\u0065', 'e'));
        const twice = names.find((name, i) => UNIQUE_MEMBERS.includes(name) && names.indexOf(name) < i);
        const spans = scanObject(bytes, ['model']);
        const isEscaped = escaped || members.some(([name]) => name.includes('\\'));
        return (
          spans.ok &&
          found.modelStart === spans.value.members[0]?.start &&
          found.plainModelEnd === (isEscaped ? -1 : bytes.length - 1) &&
          found.escapedName === isEscaped &&
          found.hasStream === names.includes('stream') &&
          found.namesFiles === (isEscaped || names.includes('file_id')) &&
          found.foldableName === (isEscaped || names.includes('Stream')) &&
          found.twice === (twice ?? null)
        );
      }),
      { numRuns: RUNS },
    );
  }, 60_000);

  it('stays linear in keys, backslashes and quotes', () => {
    // A quadratic step would take minutes here, a linear one less than a second.
    const startedMs = performance.now();
    const keys = Array.from({ length: 200_000 }, (_, i) => `"k${i}":0`).join(',');
    const texts = `"x":"${'\\\\'.repeat(1_000_000)}","y":"${'\\"'.repeat(1_000_000)}","${'k'.repeat(1_000_000)}":2`;
    expect(scanned(`{${keys},${texts},"model":"m"}`).plainModelEnd).toBeGreaterThan(0);
    expect(performance.now() - startedMs).toBeLessThan(60_000);
  });
});
