/** Leaving texts out of a body must change nothing that is read in it, whatever its bytes. */
import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isObject, type JsonObject } from '../lib/json.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import { type LeftOut, outlineOf } from './json-outline.ts';
import { readFacts } from './openai/facts.ts';
import { type BodyReading, ParsedBody } from './parsed-body.ts';
import { readRequestBody } from './request-body.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 3_000);
/** Each takes about a millisecond. */
const LARGE_RUNS = Math.ceil(RUNS / 3);
/** Short ones are left out as well, so that many are. */
const MIN_TEXT_BYTES = 20;

/** What strings are made of: valid escapes, what is none, and what looks like a stand-in. */
const VALID = [
  'a',
  'word ',
  '\\n',
  '\\"',
  '\\\\',
  '\\/',
  '\\u00e9',
  '\\uD83D\\uDE00',
  '\\ud800',
  'é',
  '中文',
  '😀',
  '{',
  ':',
  '\u007f',
];
const INVALID = ['\n', '\t', '\0', '\u001f', '\\x', '\\u12g4', '\\u12', '\\', '"', '\\U0041'];
const MARKS = ['\\u0001 text 0000000', ' text 0000000', '\\u0001', '\\\\u0001'];
const SPACES = ['', '', ' ', '\n', '\r\n\t', '\f', '\u00a0'];

const text = (invalid: number): fc.Arbitrary<string> =>
  fc
    .array(
      fc.oneof(
        { weight: 40, arbitrary: fc.constantFrom(...VALID) },
        { weight: invalid, arbitrary: fc.constantFrom(...INVALID) },
        { weight: 1, arbitrary: fc.constantFrom(...MARKS) },
      ),
      { maxLength: 24 },
    )
    .map((parts) => `"${parts.join('')}"`);

/** Messages, and what is nearly one: between brackets or not. */
const messages = (invalid: number): fc.Arbitrary<string> =>
  fc
    .record({
      items: fc.array(
        fc.tuple(
          fc.constantFrom(...SPACES),
          fc.constantFrom('"role"', '"role"', '"role"', '"rol\\u0065"', '"name"'),
          fc.constantFrom(`"${ROLE}"`, `"${ROLE}"`, `"${ROLE}"`, `"${ROLE}s"`, '"tool"'),
          fc.constantFrom('"content"', '"content"', '"content"', '"contents"'),
          text(invalid),
          fc.constantFrom('}', '}', '}', '}', ' }', ',"a":1}', '} ', '}:1'),
        ),
        { minLength: 1, maxLength: 5 },
      ),
      comma: fc.constantFrom(',', ',', ', ', ' ,\n', ' ', ',,'),
      around: fc.constantFrom(
        ['[', ']'],
        ['[', ']'],
        ['[ ', ' ]'],
        ['[1,', ',"b"]'],
        ['[', ',]'],
        ['{"a":', '}'],
        ['{"a":1,', '}'],
      ),
    })
    .map(({ items, comma, around: [open = '', close = ''] }) => {
      const all = items.map(
        ([space, role, name, content, of, end]) => `{${role}:${space}${name},${space}${content}:${space}${of}${end}`,
      );
      return `${open}${all.join(comma)}${close}`;
    });

const value = (invalid: number): fc.Arbitrary<string> =>
  fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { weight: 3, arbitrary: messages(invalid) },
      { weight: 6, arbitrary: text(invalid) },
      { weight: 1, arbitrary: fc.constantFrom('0', '-1.5e3', 'true', 'null', '01', '+1', 'NaN') },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.array(tie('value'), { maxLength: 4 }), fc.constantFrom(...SPACES))
          .map(([items, space]) => `[${items.join(`,${space}`)}]`),
      },
      {
        weight: 3,
        arbitrary: fc
          .array(fc.tuple(text(invalid), fc.constantFrom(...SPACES), tie('value')), { maxLength: 4 })
          .map((members) => `{${members.map(([name, space, of]) => `${name}${space}:${space}${of}`).join(',')}}`),
      },
    ),
  })).value;

function parsed(bytes: Buffer): unknown {
  try {
    return parseJsonOrThrow(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The outline's value with everything back in its place. */
function restored(of: unknown, left: LeftOut): unknown {
  if (typeof of === 'string') {
    const json = left.text(of);
    return json === null ? of : textOf(json);
  }
  if (Array.isArray(of)) return of.flatMap((item: unknown) => messagesOf(item, left) ?? [restored(item, left)]);
  if (!isObject(of)) return of;
  // As a parser does: a member, where an assignment of `__proto__` would be none.
  return Object.fromEntries(Object.entries(of).map(([name, item]) => [name, restored(item, left)]));
}

/** null: the item stands for no messages. */
function messagesOf(item: unknown, left: LeftOut): readonly unknown[] | null {
  const messages: unknown[] = [];
  if (typeof item === 'string')
    left.forEachMessage(item, (bytes, start, end) => messages.push({ role: ROLE, content: textOf(bytes.subarray(start, end)) }));
  return messages.length === 0 ? null : messages;
}

function textOf(json: Buffer): unknown {
  return JSON.parse(`"${json.toString('utf8')}"`);
}

const QUOTE = 0x22;
/** Of every message that is made here, because it is not kept where one is left out. */
const ROLE = 'assistant';

describe('outlineOf', () => {
  it.each([
    ['mostly JSON', 0],
    ['mostly none', 1],
  ])(
    `is JSON where the body is, and the same: ${RUNS} bodies, %s`,
    (_, invalid) => {
      const met = { json: 0, none: 0, whole: 0, messages: 0 };
      fc.assert(
        fc.property(
          value(invalid),
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
          fc.nat(9),
          (json, changes, shift) => {
            // At any offset of its memory.
            const bytes = Buffer.from(`${'.'.repeat(shift)}${json}`).subarray(shift);
            if (invalid > 0) for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
            if (!isUtf8(bytes)) return true;
            const outline = outlineOf(bytes, MIN_TEXT_BYTES);
            const whole = parsed(bytes);
            if (outline === null) {
              met.whole++;
              return true;
            }
            if (outline.bytes.includes('\\u0001 msgs')) met.messages++;
            const rest = parsed(outline.bytes);
            if (whole === undefined || rest === undefined) {
              met.none++;
              return whole === rest;
            }
            met.json++;
            const at = outline.bytes.length - 1;
            return (
              isDeepStrictEqual(restored(rest, outline.left), whole) &&
              outline.bytes.length <= bytes.length &&
              // Of what is in no stand-in.
              (outline.bytes[at] === QUOTE ||
                (outline.left.bodyOffset(at) === bytes.length - 1 && outline.left.bodyOffset(0) === 0))
            );
          },
        ),
        { numRuns: RUNS },
      );
      expect(met.json).toBeGreaterThan(RUNS / 50);
      expect(met.messages).toBeGreaterThan(RUNS / 100);
      if (invalid > 0) expect(met.none).toBeGreaterThan(RUNS / 100);
      expect(met.whole).toBeGreaterThan(RUNS / 50);
    },
    120_000,
  );

  it.each([
    ['no long text', '{"a":"b"}'],
    ['a long name', `{"${'n'.repeat(600)}" : 1}`],
    ['what looks like a stand-in', `{"a":"${'x'.repeat(600)}","b":"\\u0001 text 0000000"}`],
    ['a text without an end', `{"a":"${'x'.repeat(600)}`],
    ['a line end within a text', `{"a":"${'x'.repeat(600)}\n"}`],
    ['many short texts', JSON.stringify({ a: [...new Array(50).fill('x'.repeat(200)), 'x'.repeat(600)] })],
    ['what would be a name of a member', `{"a":1,{"role":"user","content":"x"}:5}`],
    ['a message that is no element', `{"a":{"role":"user","content":"x"}}`],
  ])('leaves nothing out of a body with %s', (_, body) => {
    expect(outlineOf(Buffer.from(body))).toBeNull();
  });

  it('keeps little of a large one', () => {
    const messages = Array.from({ length: 3_000 }, () => ({ role: 'user', name: 'n', content: 'é'.repeat(500) }));
    const outline = outlineOf(Buffer.from(JSON.stringify({ messages })));
    expect(outline?.bytes.length).toBeLessThan(200_000);
  });
});

/** Where a text may lie, and how it may be written. */
const WRITTEN: readonly ((value: string) => string)[] = [
  (of) => JSON.stringify(of),
  // As Python's json writes it.
  (of) => JSON.stringify(of).replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
];
const TEXTS = [
  'The quick brown fox jumps over the lazy dog, 12 times.\n'.repeat(40),
  '  if (a["x"] === 1) {\n\treturn `${b}\\n`;\n  }\n'.repeat(30),
  '天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。'.repeat(40),
  'Zażółć gęślą jaźń, příliš žluťoučký kůň. 😀 '.repeat(30),
];
/** A message with a text, of which the first two are a role and a text alone. */
const FORMS: readonly ((text: string) => string)[] = [
  (of) => `{"role":"user","content":${of}}`,
  (of) => `{"role": "system", "content": ${of}}`,
  (of) => `{"role":"user","name":"n","content":${of}}`,
  (of) => `{"role":"user","content":[{"type":"text","text":${of}}]}`,
];
const LONG = `x${'model"stream"'.repeat(60)}`;
/** Any of them may stand together. */
const MEMBERS: readonly string[] = [
  `"stream":true`,
  `"stream_options":{"include_usage":true}`,
  `"user":${JSON.stringify(LONG)}`,
  `"__proto__":${JSON.stringify(LONG)}`,
  `"n":3`,
  `"metadata":[{"role":"user","content":"x"}]`,
  `"deep":${'['.repeat(511)}{"role":"user","content":"x"}${']'.repeat(511)}`,
  `"max_tokens":9`,
  `"deep":${'['.repeat(511)}${']'.repeat(511)}`,
  `"tools":[{"type":"function","function":{"name":"f","parameters":{"examples":[{"role":"user","content":${JSON.stringify(TEXTS[0]?.repeat(20))}}]}}}]`,
];
const MODELS: readonly string[] = [`"model":"m"`, `"model" : "mo\\u0064el"`, `"mo\\u0064el":"m"`];
/** One of them, mostly, is a reason to refuse. */
const ODD: readonly string[] = [
  `"model":"m"`,
  `"mo\\u0064el":"m"`,
  `"model":${JSON.stringify(LONG)}`,
  `"Model":"m"`,
  `"stream":${JSON.stringify(LONG)}`,
  `"stre\\u0061m":false`,
  `"deep":${'['.repeat(600)}${']'.repeat(600)}`,
];
/** As numbers, so that one that fails can be read. */
const body = fc.record({
  texts: fc.array(fc.tuple(fc.nat(TEXTS.length - 1), fc.nat(WRITTEN.length - 1), fc.nat(FORMS.length - 1)), {
    minLength: 3,
    maxLength: 8,
  }),
  members: fc.uniqueArray(fc.nat(MEMBERS.length - 1), { maxLength: 4 }),
  model: fc.nat(MODELS.length - 1),
  odd: fc.option(fc.nat(ODD.length - 1), { freq: 1 }),
  places: fc.tuple(fc.nat(5), fc.nat(5), fc.nat(5)),
  end: fc.constantFrom('', '', '', '', '', '', ' ', ',', '\ufeff'),
});
type Body = typeof body extends fc.Arbitrary<infer Made> ? Made : never;

function bytesOf({ texts, members, model, odd, places: [first, second, third], end }: Body): Buffer {
  const messages = texts.map(([of, how, form]) => FORMS[form]?.(WRITTEN[how]?.(TEXTS[of] ?? '') ?? '') ?? '');
  const all = members.map((at) => MEMBERS[at] ?? '');
  all.splice(first, 0, `"messages":[${messages.join(', ')}]`);
  all.splice(second, 0, MODELS[model] ?? '');
  if (odd !== null) all.splice(third, 0, ODD[odd] ?? '');
  return Buffer.from(`{${all.join(' ,')}}${end}`);
}

function saidOf({
  model,
  bodyModel,
  modelStart,
  modelEnd,
  stream,
  includeUsage,
}: ParsedBody): Omit<BodyReading, 'outline' | 'namesFiles'> {
  return { model, bodyModel, modelStart, modelEnd, stream, includeUsage };
}

describe('readRequestBody', () => {
  it(`says of ${LARGE_RUNS} large bodies what it says of them read whole`, () => {
    let outlined = 0;
    let refused = 0;
    fc.assert(
      fc.property(body, (made) => {
        const bytes = bytesOf(made);
        const read = readRequestBody(bytes, 'chat');
        // Read whole always.
        const whole = readRequestBody(bytes, 'messages');
        if (!read.ok || !whole.ok) {
          refused++;
          return isDeepStrictEqual(read, whole);
        }
        if (read.value.left !== null) outlined++;
        return (
          isDeepStrictEqual(saidOf(read.value), saidOf(whole.value)) &&
          isDeepStrictEqual(read.value.json, parseJsonOrThrow(bytes.toString('utf8')))
        );
      }),
      { numRuns: LARGE_RUNS },
    );
    expect(outlined).toBeGreaterThan(LARGE_RUNS / 20);
    expect(refused).toBeGreaterThan(LARGE_RUNS / 20);
  }, 120_000);

  it(`${LARGE_RUNS} large bodies have the facts that they have read whole, and all but the same estimate`, () => {
    let outlined = 0;
    fc.assert(
      fc.property(body, (made) => {
        const bytes = bytesOf(made);
        const read = readRequestBody(bytes, 'chat');
        if (!read.ok || read.value.left === null) return true;
        outlined++;
        const whole = new ParsedBody('chat', bytes, { ...saidOf(read.value), outline: read.value.json, namesFiles: true }, null);
        const { promptTokens, promptSize, longest, ...facts } = readFacts('chat', '/v1/x', read.value);
        const {
          promptTokens: tokens,
          promptSize: size,
          longest: longestWhole,
          ...factsWhole
        } = readFacts('chat', '/v1/x', whole);
        return (
          isDeepStrictEqual(facts, factsWhole) &&
          // Of one prompt.
          isDeepStrictEqual(longest, longestWhole === null ? null : { ...longestWhole, promptTokens }) &&
          promptSize.fixed === size.fixed &&
          Math.abs(promptTokens / tokens - 1) < 0.2
        );
      }),
      { numRuns: LARGE_RUNS },
    );
    expect(outlined).toBeGreaterThan(LARGE_RUNS / 20);
  }, 120_000);

  it('knows an image, a file and a tool by what it was not given', () => {
    const png = Buffer.alloc(60_000, 7);
    Buffer.from('89504e470d0a1a0a0000000d49484452000004000000030008060000', 'hex').copy(png);
    const parts = [
      { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}` } },
      { type: 'input_audio', input_audio: { data: 'A'.repeat(20_000) } },
      { type: 'text', text: TEXTS[0] },
    ];
    const members: JsonObject = {
      model: 'm',
      messages: [{ role: 'user', content: parts }],
      tools: [{ type: 'function', function: { name: 'f', description: TEXTS[0] } }],
    };
    // Some write every slash with a backslash.
    for (const json of [JSON.stringify(members), JSON.stringify(members).replaceAll('/', '\\/')]) {
      const read = readRequestBody(Buffer.from(json), 'chat');
      if (!read.ok || read.value.left === null) throw new Error('not outlined');
      const sizes: unknown[] = [];
      const counter = {
        scales: { words: 1, signs: 1, blanks: 0, cjk: 0, other: 0 },
        imageTokens: (size: object) => sizes.push(size),
      };
      const facts = readFacts('chat', '/v1/x', read.value, counter);
      expect(sizes).toEqual([{ width: 1024, height: 768, low: false }]);
      expect(facts).toMatchObject({ images: true, tools: true, promptSize: { fixed: 4 + 1 + 10 } });
      // No bytes of the image count, but all others do.
      expect(facts.maxPromptTokens).toBeGreaterThan(20_000 + 50_000);
      expect(facts.maxPromptTokens).toBeLessThan(20_000 + 50_000 + 2 * 2_500 + 2_000);
    }
  });
});
