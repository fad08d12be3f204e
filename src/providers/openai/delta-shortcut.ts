/**
 * Reads the run of near-identical events that most of a stream is without parsing each of them.
 *
 * Consecutive text deltas differ only in their text (and in OpenAI's random `obfuscation` and running `sequence_number`, or in
 * Gemini's running counts of tokens). From one event that was parsed in full, the bytes around these values are kept; a later event
 * that has the same bytes, and a valid JSON string or number in each gap, is by JSON's grammar the same object with only these values
 * changed. It is therefore exactly what the first one was, valid included, and all that is left to learn is the text's length. Any
 * other event is parsed.
 *
 * Streams of one upstream differ in their ids and times beside that, so what one has learned serves the next ones from their first
 * event on (`KnownForms`): a first token, which comes when all that parses has left the processor's caches, need not wait for it.
 */
import { isObject, parseJson, type JsonObject } from '../../lib/json.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

/** Streams whose every event differs elsewhere (time stamps, log probabilities) are not worth learning again and again. */
const MAX_FRUITLESS = 4;

interface Probe {
  readonly text: string;
  readonly pad: string;
  readonly number: number;
}

/** Two that differ in all: of a member that is there twice, the second one may have the value that the first is given. */
const PROBES: readonly Probe[] = [
  { text: 'probe-text', pad: 'probe-pad', number: 7 },
  { text: 'other-text', pad: 'other-pad', number: 8 },
];

/** What a stream has of its own, at the top of each of its events. */
const OWN_TEXT = 'id';
const OWN_NUMBER = 'created';

type GapKind = 'text' | 'pad' | 'number' | 'ownText' | 'ownNumber';

interface Gap {
  readonly kind: GapKind;
  /** Of a number: its member's. */
  readonly name: string;
  /** Of the value itself: inside the quotes of a string. */
  readonly start: number;
  readonly end: number;
}

/** What events of one form have in common; `note`: what their reader knows of them all. */
interface Form<Note> {
  /** `parts[i]` precedes gap i; one more follows the last. */
  readonly parts: readonly string[];
  readonly gaps: readonly Gap[];
  readonly note: Note;
}

/** Finds the text in a parsed event, where the reader itself looks for it; undefined: not an event this was learned from. */
export type FindText = (event: JsonObject) => unknown;

interface Lesson<Note> {
  readonly data: string;
  readonly key: string;
  readonly findText: FindText;
  readonly note: Note;
}

/** Members with numbers that differ from event to event, and where they are. */
export interface Counters {
  readonly names: readonly string[];
  find(event: JsonObject, name: string): unknown;
}

const SEQUENCE: Counters = { names: ['sequence_number'], find: (event, name) => event[name] };

/** Each is tried where none of a stream's own fits. */
const MAX_KNOWN_FORMS = 4;
/** What is kept for streams to come is kept as long as their upstream is known. */
const MAX_KNOWN_CHARS = 4_096;

/** Forms that streams of one upstream have had, newest first, for those to come. */
export class KnownForms<Note> {
  #forms: readonly Form<Note>[] = [];

  get forms(): readonly Form<Note>[] {
    return this.#forms;
  }

  /** `form` has gaps for what a stream has of its own. */
  add(form: Form<Note>): void {
    const others = this.#forms.filter(({ parts }) => parts.join() !== form.parts.join());
    this.#forms = [form, ...others].slice(0, MAX_KNOWN_FORMS);
  }
}

/** By the index of a gap: where the value in it begins and ends, of the event that was matched last, whoever's. Open streams are many. */
const STARTS: number[] = [];
const ENDS: number[] = [];

export class DeltaShortcut<Note = undefined> {
  /** null: nothing learned yet. */
  #form: Form<Note> | null = null;
  readonly #known: KnownForms<Note> | null;
  readonly #counters: Counters;
  #fruitless = 0;
  /** To be learned from when the next event comes: the first output of a stream waits for nothing. */
  #lesson: Lesson<Note> | null = null;
  /** Matched a form of another stream, which the next event is to make this one's own: the same with the values of this stream in it. */
  #adopted: { readonly form: Form<Note>; readonly data: string } | null = null;
  /** Of the event that was matched last: where its text is, and whether it is as it reads. */
  #textStart = 0;
  #textEnd = 0;
  #plain = true;

  /** `known`: of streams of the same upstream whose notes mean the same; null: this one learns by itself. */
  constructor(known: KnownForms<Note> | null = null, counters: Counters = SEQUENCE) {
    this.#known = known;
    this.#counters = counters;
  }

  /** What was learned with the form that an event had last; null: none had one. */
  get note(): Note | null {
    return this.#form === null ? null : this.#form.note;
  }

  /** Characters of text in an event of the learned form, in UTF-16 units as JSON.parse would give them; -1: parse it. */
  match(data: string): number {
    if (this.#lesson !== null) this.#learn(this.#lesson);
    if (this.#adopted !== null) this.#own(this.#adopted.form, this.#adopted.data);
    const own = this.#form === null ? -1 : this.#matches(this.#form, data);
    if (own >= 0) {
      this.#fruitless = 0;
      return own;
    }
    return this.#known === null || this.#fruitless >= MAX_FRUITLESS ? -1 : this.#adopt(this.#known.forms, data);
  }

  #adopt(forms: readonly Form<Note>[], data: string): number {
    for (let i = 0; i < forms.length; i++) {
      const form = forms[i];
      const chars = form === undefined ? -1 : this.#matches(form, data);
      if (form === undefined || chars < 0) continue;
      this.#fruitless++;
      this.#form = form;
      this.#adopted = { form, data };
      return chars;
    }
    return -1;
  }

  #own(form: Form<Note>, data: string): void {
    this.#adopted = null;
    this.#matches(form, data);
    const parts: string[] = [];
    const gaps: Gap[] = [];
    let part = '';
    for (const [i, gap] of form.gaps.entries()) {
      part += form.parts[i] ?? '';
      if (gap.kind === 'ownText' || gap.kind === 'ownNumber') {
        part += data.slice(STARTS[i], ENDS[i]);
      } else {
        parts.push(part);
        gaps.push(gap);
        part = '';
      }
    }
    parts.push(part + (form.parts[form.gaps.length] ?? ''));
    this.#form = { parts, gaps, note: form.note };
  }

  #matches({ parts, gaps }: Form<Note>, data: string): number {
    let chars = -1;
    let at = 0;
    for (let i = 0; i < gaps.length; i++) {
      const part = parts[i] ?? '';
      // Comparing a slice is several times quicker in V8 than startsWith.
      if (data.slice(at, at + part.length) !== part) return -1;
      at += part.length;
      const start = at;
      const kind = gaps[i]?.kind;
      at = kind === 'number' || kind === 'ownNumber' ? endOfNumber(data, start) : endOfString(data, start);
      if (at < 0) return -1;
      STARTS[i] = start;
      ENDS[i] = at;
      if (kind === 'text') {
        chars = decodedLength(data, start, at);
        this.#textStart = start;
        this.#textEnd = at;
        this.#plain = chars === at - start;
      }
    }
    const last = parts[gaps.length] ?? '';
    return chars < 0 || data.slice(at) !== last ? -1 : chars;
  }

  /** The text in an event that was matched just now. */
  textOf(data: string): string {
    if (this.#plain) return data.slice(this.#textStart, this.#textEnd);
    const text: unknown = parseJson(data.slice(this.#textStart - 1, this.#textEnd + 1));
    return typeof text === 'string' ? text : '';
  }

  /** A counter in the event that was matched just now; null: it has none. */
  numberOf(name: string, data: string): number | null {
    const gap = this.#form?.gaps.findIndex((each) => each.kind === 'number' && each.name === name) ?? -1;
    return gap === -1 ? null : Number(data.slice(STARTS[gap], ENDS[gap]));
  }

  /**
   * Has `data`, just parsed and found to be a delta with text under `key` and no other news, be the form to expect of what follows.
   * Where it cannot be told by its form, the one before stays, and its `note` with it.
   */
  learn(data: string, key: string, findText: FindText, note: Note): void {
    if (this.#fruitless >= MAX_FRUITLESS) return;
    this.#fruitless++;
    this.#lesson = { data, key, findText, note };
  }

  #learn(lesson: Lesson<Note>): void {
    this.#lesson = null;
    this.#adopted = null;
    const { data, key } = lesson;
    const gaps = [
      gapAfter(data, key, 'text'),
      gapAfter(data, 'obfuscation', 'pad'),
      ...this.#counters.names.map((name) => gapAfter(data, name, 'number')),
    ];
    const form = this.#formOf(lesson, gaps);
    if (form === null) return;
    this.#form = form;
    if (this.#known === null || data.length > MAX_KNOWN_CHARS) return;
    const shared = this.#formOf(lesson, [...gaps, gapAfter(data, OWN_TEXT, 'ownText'), gapAfter(data, OWN_NUMBER, 'ownNumber')]);
    if (shared !== null) this.#known.add(shared);
  }

  /** The form is put to the test: with values of ours in the gaps it must parse to an event with exactly these values in these places. */
  #formOf({ data, findText, note }: Lesson<Note>, found: readonly (Gap | null)[]): Form<Note> | null {
    const gaps = found.filter((gap) => gap !== null).sort((a, b) => a.start - b.start);
    const parts: string[] = [];
    let at = 0;
    for (const gap of gaps) {
      if (gap.start < at) return null;
      parts.push(data.slice(at, gap.start));
      at = gap.end;
    }
    parts.push(data.slice(at));
    if (!PROBES.every((probe) => this.#proves(probe, parts, gaps, findText))) return null;
    return { parts, gaps, note };
  }

  #proves(probe: Probe, parts: readonly string[], gaps: readonly Gap[], findText: FindText): boolean {
    const event = parseJson(parts.map((part, i) => part + probeValue(probe, gaps[i]?.kind)).join(''));
    if (!isObject(event) || findText(event) !== probe.text) return false;
    for (const { kind, name } of gaps) {
      if (kind === 'pad' && event['obfuscation'] !== probe.pad) return false;
      if (kind === 'number' && this.#counters.find(event, name) !== probe.number) return false;
      if (kind === 'ownText' && event[OWN_TEXT] !== probe.pad) return false;
      if (kind === 'ownNumber' && event[OWN_NUMBER] !== probe.number) return false;
    }
    return true;
  }
}

function probeValue(probe: Probe, kind: GapKind | undefined): string {
  switch (kind) {
    case 'text':
      return probe.text;
    case 'pad':
    case 'ownText':
      return probe.pad;
    case 'number':
    case 'ownNumber':
      return String(probe.number);
    case undefined:
      return '';
  }
}

/** `name`: the member's, after whose colon one space may stand. */
function gapAfter(data: string, name: string, kind: GapKind): Gap | null {
  const member = `"${name}":`;
  const found = data.indexOf(member);
  if (found < 0) return null;
  const isNumber = kind === 'number' || kind === 'ownNumber';
  const value = found + member.length + (data[found + member.length] === ' ' ? 1 : 0);
  if (!isNumber && data.charCodeAt(value) !== QUOTE) return null;
  const start = isNumber ? value : value + 1;
  const end = isNumber ? endOfNumber(data, start) : endOfString(data, start);
  return end < 0 ? null : { kind, name: isNumber ? name : '', start, end };
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
