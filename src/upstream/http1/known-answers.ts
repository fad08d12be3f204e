import { type HeadLine, MAX_HEAD_BYTES, noFields } from '../../lib/http1/message-parser.ts';
import { countSameBytes } from '../../lib/http1/same-bytes.ts';
import { type AnswerHead, answerHead } from './answer-head.ts';

/** A server's answers differ by whether they stream, by their status, and by which of its parts makes them. */
const MAX_HEADS = 4;
/** Of one that is learnt. */
const MAX_KNOWN_BYTES = 4_096;
/** With so many in a row that were like none before, each is another; one in as many is still learnt. */
const MAX_STRANGERS = 16;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DEL = 0x7f;

interface KnownLine {
  readonly name: string;
  value: string;
  readonly start: number;
  readonly colon: number;
  readonly end: number;
  /** Of the head that is being read: where its value is in the bytes; -1: it is the known one. */
  from: number;
  to: number;
}

interface KnownHead {
  readonly bytes: Buffer;
  readonly lines: readonly KnownLine[];
  /** What the bytes say. */
  answer: AnswerHead;
}

/**
 * Heads of one server's answers that came before. They come again byte for byte, or with other values in a few of their lines: a date, an
 * id, what is left of a limit. Compared as bytes, only such values need become text: of a head that came before nothing does, which
 * saves two thirds of what reading it takes.
 */
export class KnownAnswers {
  /** What the head says that was found last. */
  found: AnswerHead | null = null;
  readonly #heads: KnownHead[] = [];
  #next = 0;
  #strangers = 0;

  /** Where the head that begins at `from` ends, if one that is known is like it; -1: none is, or it is not whole at `to`. Throws as `answerHead`. */
  find(bytes: Buffer, from: number, to = bytes.length): number {
    for (let i = 0; i < this.#heads.length; i++) {
      const known = this.#heads[i];
      if (known === undefined) continue;
      const same = countSameBytes(known.bytes, 0, bytes, from);
      const whole = same === known.bytes.length;
      const end = whole ? from + same : endOfLike(known, same, bytes, from, to);
      if (end === -1 || end > to) continue;
      this.#strangers = 0;
      this.found = whole ? known.answer : readLike(known, bytes, from, end);
      return end;
    }
    return -1;
  }

  /** `answer` and `lines` are what was read from it. */
  learn(head: string, answer: AnswerHead, lines: readonly HeadLine[]): void {
    this.#strangers += 1;
    if (head.length > MAX_KNOWN_BYTES || (this.#strangers > MAX_STRANGERS && this.#strangers % MAX_STRANGERS !== 0)) return;
    const bytes = Buffer.from(head, 'latin1');
    this.#heads[this.#next] = { bytes, answer, lines: lines.map((line) => ({ ...line, from: -1, to: -1 })) };
    this.#next = (this.#next + 1) % MAX_HEADS;
  }
}

/**
 * Where the head ends that begins with `same` bytes of this one, where it has the same lines but for their values; -1: it does not, or
 * is not whole. Notes where other values are.
 */
function endOfLike({ bytes: text, lines }: KnownHead, same: number, bytes: Buffer, from: number, to: number): number {
  const first = lines[0];
  if (first === undefined || same < first.start) return -1;
  // From an offset in the known head to one in the bytes.
  let shift = from;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (line === undefined) return -1;
    line.from = -1;
    const { start, colon, end } = line;
    if (end <= same) continue;
    let at = start;
    while (at < end && text[at] === bytes[at + shift]) at += 1;
    if (at === end) continue;
    // That the name of an encoding has no space behind it was seen of the known value alone.
    if (at <= colon || line.name === 'transfer-encoding') return -1;
    line.from = colon + 1 + shift;
    line.to = line.from;
    while (line.to < to && isValueByte(bytes[line.to])) line.to += 1;
    if (bytes[line.to] !== CR || bytes[line.to + 1] !== LF) return -1;
    shift = line.to + 2 - end;
  }
  const at = text.length - 2 + shift;
  return bytes[at] === CR && bytes[at + 1] === LF && at + 2 - from <= MAX_HEAD_BYTES ? at + 2 : -1;
}

/** RFC 9110, section 5.5. */
function isValueByte(byte = 0): boolean {
  return (byte >= SPACE && byte !== DEL) || byte === TAB;
}

function readLike(known: KnownHead, bytes: Buffer, from: number, end: number): AnswerHead {
  const { lines } = known;
  const headers = noFields();
  const values = lines.map((line) => (line.from === -1 ? line.value : valueAt(bytes, line.from, line.to)));
  let sameLengths = true;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const value = values[i];
    if (line === undefined || value === undefined) continue;
    const before = headers[line.name];
    headers[line.name] = before === undefined ? value : `${before}, ${value}`;
    sameLengths &&= line.from === -1 || line.to - line.from === line.end - 2 - (line.colon + 1);
  }
  const answer = answerHead(known.answer.status, headers, known.answer.http11);
  // A date is the same for a second. What has another length each time is no more likely to come again than what is known.
  if (sameLengths) {
    bytes.copy(known.bytes, 0, from, end);
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      if (line !== undefined) line.value = values[i] ?? '';
    }
    known.answer = answer;
  }
  return answer;
}

/** Without space and tab around it, as `readFields` has it. */
function valueAt(bytes: Buffer, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(bytes[start])) start += 1;
  while (end > start && isBlank(bytes[end - 1])) end -= 1;
  return bytes.toString('latin1', start, end);
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
