/**
 * A large body is mostly texts, of which the gateway reads samples. They are left out before the rest is parsed, and so are messages
 * that are a role and a text: one pass over their bytes, where parsing them costs two to four times as much, and collecting them from
 * the heap afterwards as much again.
 */
import { skipSpace } from './json-span.ts';
import { SCANS, TextScanner } from './json-text.ts';

/** A shorter text that is no message costs less to parse than to leave out. */
const MIN_TEXT_BYTES = 256;
/** What is left of a body must be less than this part of it, or little is gained; its first bytes are not judged. */
const MAX_OUTLINE_SHARE = 1 / 4;
const JUDGED_FROM_BYTES = 4_096;

/** How stand-ins begin. Where a string of the client's has this escape, nothing is left out, so that none of its own looks like one. */
const TEXT_MARK = '\u0001 text ';
const MESSAGES_MARK = '\u0001 msgs ';
const TEXT_STAND_IN = Buffer.from(JSON.stringify(`${TEXT_MARK}0000000`));
const MESSAGES_STAND_IN = Buffer.from(JSON.stringify(`${MESSAGES_MARK}0000000`));
const STAND_IN_BYTES = TEXT_STAND_IN.length;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const ZERO = 0x30;
const OPEN_ARRAY = 0x5b;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Between strings there are a few bytes, which a call takes longer to search or to copy. */
const FEW_BYTES = 32;

const ROLE = Buffer.from('"role"');
const CONTENT = Buffer.from('"content"');
/** By their first letter. */
const ROLES = new Map(['user', 'assistant', 'system', 'developer'].map((role) => [role.charCodeAt(0), Buffer.from(`"${role}"`)]));

/** Outlines are written here one after another; those of larger bodies into memory of their own. */
const SCRATCH = Buffer.allocUnsafeSlow(256 * 1024);

/** What is left of a body. */
export interface JsonOutline {
  /**
   * JSON with stand-ins: `"\u0001 text N"` for a text, `"\u0001 msgs N"` for the elements of an array that are messages of a role and a
   * text and follow each other; N is an index of `left`. Good until the next call.
   */
  readonly bytes: Buffer;
  readonly left: LeftOut;
}

/**
 * Leaves texts and messages out of `body`, which is UTF-8. null: there are none, or leaving them out gains nothing, or what should be a
 * text is none. The outline is JSON (what JSON.parse takes) exactly where the body is, and has the same values in the same places but
 * for what is left out: only whole values, of which every byte and escape was looked at, and no names of members. Linear.
 */
export function outlineOf(body: Buffer, minTextBytes = MIN_TEXT_BYTES): JsonOutline | null {
  if (!SCANS) return null;
  const texts = new TextScanner(body);
  const outline = new Writer(body);
  for (let open = nextQuote(body, 0); open !== -1; open = nextQuote(body, open)) {
    const first = open;
    const content = contentOfMessage(body, first);
    const start = content === -1 ? open + 1 : content;
    const end = texts.end(start);
    if (end === -1) return null;
    open = end + 1;
    // Where a colon follows it is none, but its stand-in would be a name.
    if (content !== -1 && body[open] === CLOSE_OBJECT && !isName(body, open + 1)) outline.leaveOutMessage(first - 1, start, end);
    else if (end - start >= minTextBytes && !isName(body, open)) outline.leaveOutText(start, end);
    else if (open > JUDGED_FROM_BYTES && outline.bytesAt(open) > open * MAX_OUTLINE_SHARE) return null;
  }
  return texts.marked ? null : outline.end();
}

/** What an outline has stand-ins for. */
export class LeftOut {
  readonly #body: Buffer;
  /** Two for each text: the offsets in the body where it begins and ends, without its quotes. */
  readonly #texts: readonly number[];
  /** Three for each stand-in: the offsets in the body of what it stands for, and the place of its first text in `#texts`. */
  readonly #cuts: readonly number[];

  constructor(body: Buffer, texts: readonly number[], cuts: readonly number[]) {
    this.#body = body;
    this.#texts = texts;
    this.#cuts = cuts;
  }

  /** The text that `value` stands for, as it lies in JSON; null: it stands for none. */
  text(value: string): Buffer | null {
    if (!value.startsWith(TEXT_MARK)) return null;
    const at = this.#cuts[cutOf(value) + 2] ?? 0;
    return this.#body.subarray(this.#texts[at], this.#texts[at + 1]);
  }

  /** Calls back with where in the body each text is, as it lies in JSON, of the messages that `value` stands for. */
  forEachMessage(value: string, take: (body: Buffer, start: number, end: number) => void): void {
    if (!value.startsWith(MESSAGES_MARK)) return;
    const texts = this.#texts;
    const cut = cutOf(value);
    const end = this.#cuts[cut + 5] ?? texts.length;
    for (let at = this.#cuts[cut + 2] ?? end; at < end; at += 2) take(this.#body, texts[at] ?? 0, texts[at + 1] ?? 0);
  }

  /** Where in the body is what is at `offset` of the outline, and in no stand-in. */
  bodyOffset(offset: number): number {
    let shorter = 0;
    for (let at = 0; at < this.#cuts.length; at += 3) {
      const start = this.#cuts[at] ?? 0;
      if (start - shorter > offset) break;
      shorter += (this.#cuts[at + 1] ?? 0) - start - STAND_IN_BYTES;
    }
    return offset + shorter;
  }
}

/** The place in `#cuts`. */
function cutOf(standIn: string): number {
  return 3 * Number(standIn.slice(TEXT_MARK.length));
}

class Writer {
  readonly #body: Buffer;
  readonly #out: Buffer;
  readonly #texts: number[] = [];
  readonly #cuts: number[] = [];
  /** The last stand-in is for messages. */
  #messages = false;
  /** What has been written, and of the body up to where. */
  #written = 0;
  #kept = 0;

  constructor(body: Buffer) {
    this.#body = body;
    this.#out = body.length <= SCRATCH.length ? SCRATCH : Buffer.allocUnsafeSlow(body.length);
  }

  /** How long it is, with the body as far as `offset`. */
  bytesAt(offset: number): number {
    return this.#written + offset - this.#kept;
  }

  leaveOutText(start: number, end: number): void {
    this.#cut(start - 1, end + 1, TEXT_STAND_IN);
    this.#texts.push(start, end);
    this.#messages = false;
  }

  /** The object that begins at `open`, of which the text is the last. */
  leaveOutMessage(open: number, start: number, end: number): void {
    if (this.#messages && isComma(this.#body, this.#kept, open)) {
      this.#cuts[this.#cuts.length - 2] = end + 2;
      this.#kept = end + 2;
    } else {
      this.#cut(open, end + 2, MESSAGES_STAND_IN);
    }
    this.#texts.push(start, end);
    this.#messages = true;
  }

  end(): JsonOutline | null {
    if (this.#cuts.length === 0) return null;
    this.#copy(this.#body.length);
    return { bytes: this.#out.subarray(0, this.#written), left: new LeftOut(this.#body, this.#texts, this.#cuts) };
  }

  #cut(start: number, end: number, standIn: Buffer): void {
    this.#copy(start);
    this.#kept = end;
    const out = this.#out;
    for (let at = 0; at < STAND_IN_BYTES; at++) out[this.#written + at] = standIn[at] ?? 0;
    this.#written += STAND_IN_BYTES;
    let digit = this.#written - 2;
    for (let left = this.#cuts.length / 3; left > 0; left = Math.floor(left / 10)) out[digit--] = ZERO + (left % 10);
    this.#cuts.push(start, end, this.#texts.length);
  }

  #copy(end: number): void {
    const body = this.#body;
    const out = this.#out;
    if (end - this.#kept > FEW_BYTES) this.#written += body.copy(out, this.#written, this.#kept, end);
    else for (let at = this.#kept; at < end; at++) out[this.#written++] = body[at] ?? 0;
  }
}

/**
 * The offset of the text of a message, an element of an array whose first string begins at `first`; -1: it is none of just a role and a
 * text. Its quotes are unescaped, hence they are what they look like.
 */
function contentOfMessage(body: Buffer, first: number): number {
  if (body[first - 1] !== OPEN_OBJECT || !isElement(body, first - 1)) return -1;
  let at = afterPart(body, first, ROLE, COLON);
  const role = at === -1 ? undefined : ROLES.get(body[at + 1] ?? 0);
  if (role === undefined) return -1;
  at = afterPart(body, at, role, COMMA);
  if (at !== -1) at = afterPart(body, at, CONTENT, COLON);
  return at !== -1 && body[at] === QUOTE ? at + 1 : -1;
}

/** After `string`, `sign` and the space behind it; -1: they are not there. */
function afterPart(body: Buffer, at: number, string: Buffer, sign: number): number {
  const end = at + string.length;
  for (let i = 0; i < string.length; i++) if (body[at + i] !== string[i]) return -1;
  return body[end] === sign ? skipSpace(body, end + 1) : -1;
}

/** Where an object begins: it is an element of an array and not a member's value. */
function isElement(body: Buffer, open: number): boolean {
  let at = open - 1;
  while (isSpace(body[at])) at--;
  return body[at] === COMMA || body[at] === OPEN_ARRAY;
}

/** There is nothing but a comma. */
function isComma(body: Buffer, start: number, end: number): boolean {
  return body[start] === COMMA && skipSpace(body, start + 1) === end;
}

/** Of a member: a colon follows. */
function isName(body: Buffer, end: number): boolean {
  return body[skipSpace(body, end)] === COLON;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function nextQuote(body: Buffer, from: number): number {
  const near = Math.min(body.length, from + FEW_BYTES);
  for (let at = from; at < near; at++) if (body[at] === QUOTE) return at;
  return body.indexOf(QUOTE, near);
}
