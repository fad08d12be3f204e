/**
 * Reads the run of near-identical events that most of a stream is without parsing each of them.
 *
 * Consecutive text deltas differ only in their text (and in OpenAI's random `obfuscation` and running `sequence_number`, or in
 * Gemini's running counts of tokens). From one event that was parsed in full, the bytes around these values are kept; a later event
 * that has the same bytes, and a valid JSON string or number in each gap, is by JSON's grammar the same object with only these values
 * changed. It is therefore exactly what the first one was, valid included, and all that is left to learn is the text's length. Any
 * other event is parsed.
 */
import { isObject, parseJson, type JsonObject } from '../../lib/json.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

/** Streams whose every event differs elsewhere (time stamps, log probabilities) are not worth learning again and again. */
const MAX_FRUITLESS = 4;

const PROBE_TEXT = 'probe-text';
const PROBE_PAD = 'probe-pad';
const PROBE_NUMBER = 7;

type GapKind = 'text' | 'pad' | 'number';

interface Gap {
  readonly kind: GapKind;
  /** Of a number: its member's. */
  readonly name: string;
  /** Of the value itself: inside the quotes of a string. */
  readonly start: number;
  readonly end: number;
}

/** Finds the text in a parsed event, where the reader itself looks for it; undefined: not an event this was learned from. */
export type FindText = (event: JsonObject) => unknown;

interface Lesson {
  readonly data: string;
  readonly key: string;
  readonly findText: FindText;
  readonly onLearned: (() => void) | undefined;
}

/** Members with numbers that differ from event to event, and where they are. */
export interface Counters {
  readonly names: readonly string[];
  find(event: JsonObject, name: string): unknown;
}

const SEQUENCE: Counters = { names: ['sequence_number'], find: (event, name) => event[name] };

export class DeltaShortcut {
  /** `#parts[i]` precedes gap i; one more follows the last. Empty: nothing learned yet. */
  #parts: readonly string[] = [];
  #gaps: readonly Gap[] = [];
  readonly #counters: Counters;
  /** Of the event that was matched last, by the index of a gap: where its number begins. */
  readonly #numbersAt: number[] = [];
  #fruitless = 0;
  /** To be learned from when the next event comes: the first output of a stream waits for nothing. */
  #lesson: Lesson | null = null;
  /** Of the event that was matched last: where its text is, and whether it is as it reads. */
  #textStart = 0;
  #textEnd = 0;
  #plain = true;

  constructor(counters: Counters = SEQUENCE) {
    this.#counters = counters;
  }

  /** Characters of text in an event of the learned form, in UTF-16 units as JSON.parse would give them; -1: parse it. */
  match(data: string): number {
    if (this.#lesson !== null) this.#learn(this.#lesson);
    const parts = this.#parts;
    const gaps = this.#gaps;
    let chars = -1;
    let at = 0;
    for (let i = 0; i < gaps.length; i++) {
      const part = parts[i] ?? '';
      // Comparing a slice is several times quicker in V8 than startsWith.
      if (data.slice(at, at + part.length) !== part) return -1;
      at += part.length;
      const kind = gaps[i]?.kind;
      if (kind === 'number') {
        this.#numbersAt[i] = at;
        at = endOfNumber(data, at);
      } else {
        const start = at;
        at = endOfString(data, start);
        if (kind === 'text' && at >= 0) {
          chars = decodedLength(data, start, at);
          this.#textStart = start;
          this.#textEnd = at;
          this.#plain = chars === at - start;
        }
      }
      if (at < 0) return -1;
    }
    const last = parts[gaps.length] ?? '';
    if (chars < 0 || data.slice(at) !== last) return -1;
    this.#fruitless = 0;
    return chars;
  }

  /** The text in an event that was matched just now. */
  textOf(data: string): string {
    if (this.#plain) return data.slice(this.#textStart, this.#textEnd);
    const text: unknown = parseJson(data.slice(this.#textStart - 1, this.#textEnd + 1));
    return typeof text === 'string' ? text : '';
  }

  /** A counter in the event that was matched just now; null: it has none. */
  numberOf(name: string, data: string): number | null {
    const start = this.#numbersAt[this.#gaps.findIndex((gap) => gap.name === name)];
    return start === undefined ? null : Number(data.slice(start, endOfNumber(data, start)));
  }

  /**
   * Has `data`, just parsed and found to be a delta with text under `key` and no other news, be the form to expect of what follows.
   * Where it cannot be told by its form, the one before stays, and `onLearned` is not called.
   */
  learn(data: string, key: string, findText: FindText, onLearned?: () => void): void {
    if (this.#fruitless >= MAX_FRUITLESS) return;
    this.#fruitless++;
    this.#lesson = { data, key, findText, onLearned };
  }

  /** The form is put to the test: with known values in the gaps it must parse to an event with exactly these values in these places. */
  #learn({ data, key, findText, onLearned }: Lesson): void {
    this.#lesson = null;
    const gaps = [
      gapAfter(data, key, 'text'),
      gapAfter(data, 'obfuscation', 'pad'),
      ...this.#counters.names.map((name) => gapAfter(data, name, 'number')),
    ].filter((gap) => gap !== null);
    gaps.sort((a, b) => a.start - b.start);
    const parts: string[] = [];
    let at = 0;
    for (const gap of gaps) {
      if (gap.start < at) return;
      parts.push(data.slice(at, gap.start));
      at = gap.end;
    }
    parts.push(data.slice(at));
    const probe = parseJson(parts.map((part, i) => part + probeValue(gaps[i]?.kind)).join(''));
    if (!isObject(probe) || findText(probe) !== PROBE_TEXT) return;
    for (const { kind, name } of gaps) {
      if (kind === 'pad' && probe['obfuscation'] !== PROBE_PAD) return;
      if (kind === 'number' && this.#counters.find(probe, name) !== PROBE_NUMBER) return;
    }
    this.#parts = parts;
    this.#gaps = gaps;
    onLearned?.();
  }
}

function probeValue(kind: GapKind | undefined): string {
  switch (kind) {
    case 'text':
      return PROBE_TEXT;
    case 'pad':
      return PROBE_PAD;
    case 'number':
      return String(PROBE_NUMBER);
    case undefined:
      return '';
  }
}

/** `name`: the member's, after whose colon one space may stand. */
function gapAfter(data: string, name: string, kind: GapKind): Gap | null {
  const member = `"${name}":`;
  const found = data.indexOf(member);
  if (found < 0) return null;
  const value = found + member.length + (data[found + member.length] === ' ' ? 1 : 0);
  if (kind !== 'number' && data.charCodeAt(value) !== QUOTE) return null;
  const start = kind === 'number' ? value : value + 1;
  const end = kind === 'number' ? endOfNumber(data, start) : endOfString(data, start);
  return end < 0 ? null : { kind, name: kind === 'number' ? name : '', start, end };
}

/** Index of the closing quote of a JSON string whose first character is at `at`; -1: not a valid string. */
function endOfString(data: string, at: number): number {
  let i = at;
  while (i < data.length) {
    const code = data.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code < 0x20) return -1;
    const step = code === BACKSLASH ? escapeLength(data, i) : 1;
    if (step === 0) return -1;
    i += step;
  }
  return -1;
}

/** UTF-16 units that a valid JSON string between the two indexes stands for. */
function decodedLength(data: string, start: number, end: number): number {
  let chars = end - start;
  for (let i = data.indexOf('\\', start); i >= 0 && i < end;) {
    const step = escapeLength(data, i);
    chars -= step - 1;
    i = data.indexOf('\\', i + step);
  }
  return chars;
}

/** Length of the escape sequence at `at`; 0: none that JSON knows. */
function escapeLength(data: string, at: number): number {
  const code = data.charCodeAt(at + 1);
  if (code !== LOWER_U) {
    // " / \ b f n r t
    return code === 0x22 ||
      code === 0x2f ||
      code === 0x5c ||
      code === 0x62 ||
      code === 0x66 ||
      code === 0x6e ||
      code === 0x72 ||
      code === 0x74
      ? 2
      : 0;
  }
  for (let i = at + 2; i < at + 6; i++) if (!isHexDigit(data.charCodeAt(i))) return 0;
  return 6;
}

function isHexDigit(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);
}

/** Index after a non-negative JSON integer that begins at `at`; -1: none. */
function endOfNumber(data: string, at: number): number {
  let i = at;
  while (data.charCodeAt(i) >= 0x30 && data.charCodeAt(i) <= 0x39) i++;
  const leadingZero = data.charCodeAt(at) === 0x30 && i > at + 1;
  return i === at || leadingZero ? -1 : i;
}
