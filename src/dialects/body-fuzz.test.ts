/**
 * Bodies made from a seed, with everything that misleads a scanner. The judge is `parseJsonOrThrow` and not JSON.parse, which now and then
 * reads an escaped name wrong (https://github.com/nodejs/node/issues/63785): about one body in a million looked badly edited.
 */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import { readFacts } from './openai/facts.ts';
import { type BodyErrorCode, readRequestBody } from './request-body.ts';
import { type BodyEdit, bodyEdit, spliceBody } from './splice-body.ts';

const STRINGS = [
  'model',
  'stream',
  'stream_options',
  'include_usage',
  '"model"',
  'x"model',
  '"model":"x"',
  '{"model":',
  'mo"del',
  'a\\',
  '\\"',
  '\\\\"model"',
  '',
  'é',
  '中文',
  '😀',
  '\u2028',
  '/',
  'plain text',
  '__proto__',
  'toString',
  '\\u006d',
  '"stream"',
  'x"stream',
];
const MODELS = ['gpt-4o', 'team/llama', 'модель', '😀', 'model', '"model"', 'a"b\\', 'stream'];
const SPACES = ['', '', '', ' ', '\n', '\t ', '\r\n'];

class Maker {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** mulberry32: 0 ≤ n < limit. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  oneOf<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  space(): string {
    return this.oneOf(SPACES);
  }

  /** `text` as a JSON string, some of its characters escaped without need. */
  string(text: string): string {
    if (this.below(4) > 0) return JSON.stringify(text);
    let out = '"';
    for (let i = 0; i < text.length; i++) {
      const hex = text.charCodeAt(i).toString(16).padStart(4, '0');
      out +=
        this.below(3) === 0
          ? `\\u${this.below(2) === 0 ? hex : hex.toUpperCase()}`
          : JSON.stringify(text[i]).slice(1, -1).replace('/', '\\/');
    }
    // JSON.stringify escapes the halves of a surrogate pair, which still decode to it.
    return `${out}"`;
  }

  value(depth: number): string {
    switch (this.below(depth > 0 ? 7 : 4)) {
      case 0:
        return this.oneOf(['0', '-1.5e10', '1E+2', '12345678901234567890']);
      case 1:
        return this.oneOf(['true', 'false', 'null']);
      case 2:
      case 3:
        return this.string(this.oneOf(STRINGS));
      case 4:
        return this.list('[', ']', depth, () => this.value(depth - 1));
      default:
        return this.list('{', '}', depth, () => this.member(this.oneOf(STRINGS), this.value(depth - 1)));
    }
  }

  member(name: string, value: string): string {
    return `${this.string(name)}${this.space()}:${this.space()}${value}`;
  }

  list(open: string, close: string, most: number, item: () => string): string {
    const items = Array.from({ length: this.below(most + 1) }, () => `${this.space()}${item()}${this.space()}`);
    return `${open}${items.length === 0 ? this.space() : items.join(',')}${close}`;
  }
}

interface Made {
  readonly text: string;
  /** The text before and after the value of the top-level model, where there is exactly one. */
  readonly around: readonly [string, string] | null;
  readonly names: readonly string[];
}

function makeBody(make: Maker): Made {
  const members: [string, string][] = [];
  const often = (percent: number): boolean => make.below(100) < percent;
  if (often(95))
    members.push([
      'model',
      often(92)
        ? make.string(make.oneOf(MODELS))
        : make.oneOf(['""', 'null', '7', '["m"]', `"${'x'.repeat(300)}"`, '"\\u0000"', '"\\ud800"']),
    ]);
  if (often(60)) members.push(['stream', often(95) ? make.oneOf(['true', 'true', 'false', 'null']) : '"true"']);
  if (often(40))
    members.push([
      'stream_options',
      make.oneOf([
        'null',
        '{}',
        '{ "include_usage" : false }',
        '{"include_usage":true}',
        '{"x":{"include_usage":1}}',
        '5',
        '[]',
        '{"include\\u005fusage":0}',
      ]),
    ]);
  if (often(50)) members.push(['temperature', make.value(0)]);
  if (often(50)) members.push(['messages', make.value(4)]);
  for (let i = make.below(3); i > 0; i--)
    members.push([
      often(90) ? make.oneOf(['user', 'metadata', 'é', '__proto__', 'tools', 'n']) : make.oneOf(STRINGS),
      make.value(3),
    ]);
  if (often(3)) members.push([make.oneOf(['model', 'stream', 'stream_options', 'Model']), make.value(1)]);
  for (let i = members.length - 1; i > 0; i--) {
    const j = make.below(i + 1);
    [members[i], members[j]] = [members[j] as [string, string], members[i] as [string, string]];
  }
  let text = `${make.space()}{`;
  let around: Made['around'] = null;
  let before = '';
  let after = -1;
  members.forEach(([name, value], i) => {
    text += `${i === 0 ? '' : ','}${make.space()}${make.string(name)}${make.space()}:${make.space()}`;
    if (name === 'model') before = text;
    text += value;
    if (name === 'model') after = text.length;
    text += make.space();
  });
  text += `}${make.space()}`;
  const names = members.map(([name]) => name);
  if (names.filter((name) => name === 'model').length === 1) around = [before, text.slice(after)];
  return { text, around, names };
}

/** Every reason for which a body may be refused; none: it must be accepted. */
function reasons(made: Made): Set<BodyErrorCode> {
  const found = new Set<BodyErrorCode>();
  const json = parseJsonOrThrow(made.text) as Record<string, unknown>;
  const count = (name: string): number => made.names.filter((other) => other === name).length;
  if (count('Model') > 0 || count('model') > 1 || count('stream') > 1 || count('stream_options') > 1)
    found.add('duplicate_parameter');
  const model = json['model'];
  if (count('model') === 0 || model === '') found.add('missing_model');
  else if (typeof model !== 'string') found.add('invalid_type');
  else if (model.length > 256 || model === '\0' || model === '\ud800') found.add('invalid_model');
  if (count('stream') > 0 && json['stream'] !== null && typeof json['stream'] !== 'boolean') found.add('invalid_type');
  return found;
}

const EDITS: readonly BodyEdit[] = [
  bodyEdit({ model: 'other"model', includeUsage: true, defaults: [], override: [] }),
  bodyEdit({ model: null, includeUsage: true, defaults: [['temperature', 0.5]], override: [['é', { a: [1] }]] }),
  bodyEdit({
    model: 'ü',
    includeUsage: false,
    defaults: [
      ['n', 1],
      ['top_p', null],
    ],
    override: [
      ['metadata', 'x'],
      ['temperature', 1],
    ],
  }),
];
const RENAME = bodyEdit({ model: 'новая', includeUsage: false, defaults: [], override: [] });

function expected(text: string, edit: BodyEdit): unknown {
  const json = parseJsonOrThrow(text) as Record<string, unknown>;
  const options = json['stream_options'];
  if (edit.includeUsage && json['stream'] === true) {
    if (options === undefined || options === null) json['stream_options'] = { include_usage: true };
    else if (typeof options === 'object' && !Array.isArray(options)) (options as Record<string, unknown>)['include_usage'] = true;
  }
  for (const [name, value] of edit.defaults) if (!Object.hasOwn(json, name)) json[name] = value;
  for (const [name, value] of edit.override) json[name] = value;
  if (edit.model !== null) json['model'] = edit.model;
  return json;
}

describe('bodies from seeds', () => {
  it('100,000: refused for the right reason, or spliced to what was wanted and nothing else', () => {
    let accepted = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const made = makeBody(new Maker(seed));
        const bytes = Buffer.from(made.text);
        const wrong = reasons(made);
        const read = readRequestBody(bytes, 'chat');
        if (!read.ok) {
          refused++;
          if (!wrong.has(read.error.code)) throw new Error(`refused for ${read.error.code}: ${made.text}`);
          return;
        }
        accepted++;
        if (wrong.size > 0) throw new Error(`accepted, though ${[...wrong].join(', ')}: ${made.text}`);
        const edit = EDITS[seed & 1 ? 0 : (seed >>> 1) % EDITS.length] as BodyEdit;
        const [before, after] = made.around ?? ['', ''];
        const renamed = spliceBody(read.value, RENAME);
        if (!renamed.equals(Buffer.from(`${before}"новая"${after}`)))
          throw new Error(`renamed to ${renamed.toString()}: ${made.text}`);
        const edited = spliceBody(read.value, edit).toString();
        if (!isDeepStrictEqual(parseJsonOrThrow(edited), expected(made.text, edit)))
          throw new Error(`edited to ${edited}: ${made.text}`);
      }),
      { numRuns: 100_000 },
    );
    // Both sides were really met.
    expect(accepted).toBeGreaterThan(50_000);
    expect(refused).toBeGreaterThan(5_000);
  }, 300_000);

  it('broken ones are read or refused, never thrown at', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (seed, changes, cut) => {
          const bytes = Buffer.from(makeBody(new Maker(seed)).text);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const broken = cut ? bytes.subarray(0, (changes[0]?.[0] ?? 0) % bytes.length) : bytes;
          const read = readRequestBody(broken, 'chat');
          if (!read.ok) return read.error.message !== '';
          readFacts('chat', '/v1/chat/completions', read.value);
          return isDeepStrictEqual(
            parseJsonOrThrow(spliceBody(read.value, EDITS[0] as BodyEdit).toString()),
            expected(broken.toString(), EDITS[0] as BodyEdit),
          );
        },
      ),
      { numRuns: 20_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => !readRequestBody(Buffer.from(raw), 'responses').ok),
      { numRuns: 5000 },
    );
  }, 60_000);
});
