import type { PromptSize } from '../lib/prompt-size.ts';

/** Bytes that are read one by one in a request; of what comes after, samples stand for the rest. */
const READ_WHOLE = 512;
/** A sample, and what it stands for, of which there are so many in a text at most. */
const SAMPLE = 64;
const STRIDE = 256;
const MAX_SAMPLES = 32;
const READ_WELL = 8_192;
/** Beyond it one sample stands for so many bytes, of one text or of several. */
const SPARSE_STRIDE = 1_024;

// Kinds of characters.
const LOWER = 1;
const DIGIT = 2;
const SPACE = 3;
const LINE = 4;
const UPPER = 5;
const SIGN = 6;
const CJK = 7;
const OTHER = 8;
/** A Latin letter beyond ASCII, which breaks words into more pieces. */
const ACCENT = 9;
/** Another byte of a character that has been counted. */
const MORE = 10;
const KINDS = 11;

/** By byte of UTF-8: what begins a character tells enough of it. */
const KIND = Uint8Array.from({ length: 256 }, (_, byte) => kindOf(byte));

function kindOf(byte: number): number {
  if (byte === 10 || byte === 13) return LINE;
  if (byte === 32 || byte === 9) return SPACE;
  if (byte >= 48 && byte <= 57) return DIGIT;
  if (byte >= 65 && byte <= 90) return UPPER;
  if (byte >= 97 && byte <= 122) return LOWER;
  if (byte < 0x80) return SIGN;
  if (byte < 0xc0) return MORE;
  if (byte < 0xca) return ACCENT;
  return (byte >= 0xe3 && byte <= 0xed) || byte === 0xef ? CJK : OTHER;
}

/**
 * Hundredths of a token that a character adds after another of a kind: what a least-squares fit to o200k gave over English, code, JSON,
 * YAML and six languages. A word costs at its start and a little a letter, a number at its start and a little a digit.
 */
const WEIGHT = new Uint8Array(KINDS * 16);
for (let before = 0; before < KINDS; before++)
  for (let kind = 0; kind < KINDS; kind++) WEIGHT[(before << 4) | kind] = weightOf(before, kind);

function weightOf(before: number, kind: number): number {
  switch (kind) {
    case LOWER:
      return 9 + (isLetter(before) ? 0 : 62);
    case ACCENT:
      return 40 + (isLetter(before) ? 0 : 62);
    case UPPER:
      return 18 + (before === UPPER ? 0 : 62);
    case DIGIT:
      return 20 + (before === DIGIT ? 0 : 186);
    case SIGN:
      return 6 + (before === SIGN ? 0 : 68);
    case LINE:
      return before === LINE ? 0 : 99;
    case SPACE:
      return before === SPACE || before === LINE ? 100 : 0;
    default:
      return 0;
  }
}

function isLetter(kind: number): boolean {
  return kind === LOWER || kind === UPPER || kind === ACCENT;
}

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** What follows a backslash in JSON, where it is not what is meant. */
const ESCAPES: Readonly<Record<number, number>> = { 0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9 };

/** Bytes are read from an array: to ask a string for each of its characters takes several times as long. */
const MAX_ENCODED = 2_048;
const ENCODER = new TextEncoder();
const BYTES = new Uint8Array(3 * MAX_ENCODED);

/**
 * Measures the texts of one request after another as `PromptSize` says, in a time that is bounded by samples and not by their
 * length. Pairs of kinds are counted first and weighed once, because a branch a character costs twice as much; the counts are
 * kept for the next request, because to make them anew costs as much as to read a short one.
 */
export class TextMeasure {
  /** How many there are, by the samples. */
  readonly #pairs = new Float64Array(WEIGHT.length);
  /** Something may have been counted. */
  #begun = false;
  #readBytes = 0;
  /** Of texts that no sample has stood for yet. */
  #owedBytes = 0;

  /** Forgets the request before. */
  begin(): void {
    if (this.#begun) this.#pairs.fill(0);
    this.#begun = true;
    this.#readBytes = 0;
    this.#owedBytes = 0;
  }

  add(text: string): void {
    if (text.length > MAX_ENCODED) return this.#addLong(text);
    const { written } = ENCODER.encodeInto(text, BYTES);
    const { count, size, each } = this.#samplesOf(written);
    for (let i = 0; i < count; i++) {
      const start = sampleStart(i, count, size, written);
      countPairs(this.#pairs, start, start + size, each);
    }
    this.#readBytes += count * size;
  }

  /** Encoded are the samples alone. */
  #addLong(text: string): void {
    const { length } = text;
    const { count, size, each } = this.#samplesOf(length);
    for (let i = 0; i < count; i++) {
      const start = sampleStart(i, count, size, length);
      const { written } = ENCODER.encodeInto(text.slice(start, start + size), BYTES);
      countPairs(this.#pairs, 0, written, each);
      this.#readBytes += written;
    }
  }

  /** A text as it lies in JSON, without its quotes: no string has to be made of it. */
  addJson(json: Buffer, from: number, to: number): void {
    const { count, size, each } = this.#samplesOf(to - from);
    for (let i = 0; i < count; i++) {
      const start = afterEscape(json, from, from + sampleStart(i, count, size, to - from));
      countJsonPairs(this.#pairs, json, start, Math.min(start + size, to), each);
    }
    this.#readBytes += count * size;
  }

  #samplesOf(length: number): Samples {
    if (this.#readBytes + length <= READ_WHOLE) return { count: 1, size: length, each: 1 };
    if (this.#readBytes < READ_WELL) {
      const count = Math.max(1, Math.min(MAX_SAMPLES, Math.ceil(length / STRIDE)));
      const size = Math.min(SAMPLE, Math.ceil(length / count));
      return { count, size, each: length / (count * size) };
    }
    this.#owedBytes += length;
    if (this.#owedBytes < SPARSE_STRIDE || length === 0) return NO_SAMPLES;
    const size = Math.min(SAMPLE, length);
    const each = this.#owedBytes / size;
    this.#owedBytes = 0;
    return { count: 1, size, each };
  }

  /** Of all texts since `begin`, which are forgotten: each count is at hand now, and a call that clears all takes 20 lines of cache. */
  take(): TextSize {
    let [words, signs, blanks, cjk, other] = [0, 0, 0, 0, 0];
    for (let row = 0; row < WEIGHT.length; row += 16) {
      words += this.#weight(row + LOWER) + this.#weight(row + UPPER) + this.#weight(row + ACCENT);
      signs += this.#weight(row + DIGIT) + this.#weight(row + SIGN) + this.#weight(row + LINE);
      blanks += this.#weight(row + SPACE);
      cjk += this.#count(row + CJK);
      other += this.#count(row + OTHER);
    }
    this.#begun = false;
    return { words: words / 100, signs: signs / 100, blanks: blanks / 100, cjk, other };
  }

  #weight(pair: number): number {
    return this.#count(pair) * (WEIGHT[pair] ?? 0);
  }

  #count(pair: number): number {
    const count = this.#pairs[pair] ?? 0;
    this.#pairs[pair] = 0;
    return count;
  }
}

/** What is read of a text: one that is read whole is one sample. */
interface Samples {
  readonly count: number;
  /** Bytes of each. */
  readonly size: number;
  /** How many bytes one that is read stands for. */
  readonly each: number;
}

const NO_SAMPLES: Samples = { count: 0, size: 0, each: 0 };

type TextSize = Omit<PromptSize, 'fixed'>;

/** Spread evenly over a text. An integer to V8 as well, which runs through bytes from there at half the speed otherwise. */
function sampleStart(index: number, count: number, size: number, length: number): number {
  return (((length - size) * (index + 0.5)) / count) | 0;
}

/** Of `BYTES`, each of which stands for so many. What stands before the first is not known: as after a space. */
function countPairs(pairs: Float64Array, start: number, end: number, each: number): void {
  let before = start === 0 ? 0 : SPACE;
  for (let i = start; i < end; i++) {
    const kind = KIND[BYTES[i] ?? 0] ?? OTHER;
    const pair = (before << 4) | kind;
    pairs[pair] = (pairs[pair] ?? 0) + each;
    before = kind === MORE ? before : kind;
  }
}

/** As `countPairs`, of what stands in JSON; the last escape is read to its end. */
function countJsonPairs(pairs: Float64Array, json: Buffer, start: number, end: number, each: number): void {
  let before = SPACE;
  let at = start;
  while (at < end) {
    let byte = json[at] ?? 0;
    if (byte === BACKSLASH) {
      const letter = json[at + 1] ?? 0;
      byte = letter === LETTER_U ? firstByte(hexUnit(json, at + 2)) : (ESCAPES[letter] ?? letter);
      at += letter === LETTER_U ? 6 : 2;
    } else {
      at++;
    }
    const kind = KIND[byte] ?? OTHER;
    const pair = (before << 4) | kind;
    pairs[pair] = (pairs[pair] ?? 0) + each;
    before = kind === MORE ? before : kind;
  }
}

/** `at`, or where the escape ends that it is within. */
function afterEscape(json: Buffer, from: number, at: number): number {
  for (let back = 1; back <= Math.min(5, at - from); back++) {
    if (json[at - back] !== BACKSLASH) continue;
    return json[at - back + 1] === LETTER_U ? at - back + 6 : Math.max(at, at - back + 2);
  }
  return at;
}

/** Of a character in UTF-8, by its unit of UTF-16. */
function firstByte(unit: number): number {
  if (unit < 0x80) return unit;
  if (unit < 0x800) return 0xc0 | (unit >> 6);
  if (unit < 0xd800 || unit > 0xdfff) return 0xe0 | (unit >> 12);
  return unit < 0xdc00 ? 0xf0 : 0x80;
}

function hexUnit(json: Buffer, at: number): number {
  let unit = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = json[i] ?? 0;
    unit = unit * 16 + (digit & 15) + (digit >> 6) * 9;
  }
  return unit;
}
