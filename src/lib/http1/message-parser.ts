// By an import: the global is an accessor, which takes 30 cache lines at each use.
import { Buffer } from 'node:buffer';

/** Start line and headers together, and all trailers, may be this large: what node's own parser allows. */
export const MAX_HEAD_BYTES = 16 * 1024;
/** A line with a chunk's size. What follows the digits means nothing here, so little of it is read. */
const MAX_CHUNK_LINE_BYTES = 1024;

/** What is read next. */
const NOTHING = 0;
const HEAD = 1;
/** A body of known length. */
const BODY = 2;
/** A body that the connection's end ends. */
const BODY_UNTIL_CLOSE = 3;
const CHUNK_LINE = 4;
const CHUNK = 5;
const CHUNK_END = 6;
const TRAILERS = 7;

const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');

/** RFC 9112, section 5, without what it deprecates: no folded lines, no bare CR or LF, no space before a colon. */
export const HEADER_LINES = String.raw`(?:[!#$%&'*+.^_\`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*`;
const HEADER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n$/;
const FRAMING_TRAILER = /^(?:content-length|transfer-encoding):/i;
const CHUNK_LINE_SYNTAX =
  /^[0-9A-Fa-f]{1,13}(?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*\r\n$/;
/** In a section that is not whole yet: it never will be one. */
const BARE_CR_OR_LF = /\r[^\n]|(?:^|[^\r])\n/;
const CLOSE = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i;

/** Lower-case names; repeated ones joined. */
export type Fields = Record<string, string | undefined>;

/** A header as it stands in a head. */
export interface HeadLine {
  readonly name: string;
  readonly value: string;
  /** Offsets in the head; the line's end is a part of it. */
  readonly start: number;
  readonly colon: number;
  readonly end: number;
}

/** Framings beside a number of bytes: the head says nothing, or chunks. */
export const UNTOLD = -1;
export const CHUNKED = -2;

/**
 * How a body is framed, by RFC 9112, section 6.3: its number of bytes, or one of the above. `length` and `encoding`: `content-length`
 * and `transfer-encoding`.
 */
export function framingOf(
  length: string | undefined,
  encoding: string | undefined,
  http11: boolean,
  wrong: (what: string) => Error,
): number {
  const told = length === undefined ? UNTOLD : contentLength(length);
  if (length !== undefined && told === -1) throw wrong(`content-length ${length.slice(0, 64)}`);
  if (encoding === undefined) return told;
  if (length !== undefined) throw wrong('content-length beside transfer-encoding');
  if (!http11 || encoding.toLowerCase() !== 'chunked') throw wrong(`transfer-encoding ${encoding.slice(0, 64)}`);
  return CHUNKED;
}

/**
 * Reads the messages of one HTTP/1.1 connection, one for each `expect`, however their bytes are cut. Strict: where RFC 9112 lets a
 * reader guess, it refuses, because a wrong guess about a message's end would give its rest to the next one.
 *
 * Answers and requests differ in their first line and in a few rules about bodies; those are the subclass's.
 */
export abstract class MessageParser {
  #state = NOTHING;
  /** Of the body, or of its current chunk: bytes still to come. */
  #left = 0;
  /** The beginning of a head or line that has come in part. */
  #part: Buffer | null = null;
  #partLength = 0;
  #trailerBytes = 0;
  /** Counts messages, so that `read` sees that a callback ended or began one. */
  #turn = 0;

  /** A message is what comes next. */
  expect(): void {
    this.#turn += 1;
    this.#state = HEAD;
  }

  /** Nothing more is told, whatever comes. */
  stop(): void {
    this.#turn += 1;
    this.#state = NOTHING;
    this.#part = null;
  }

  /**
   * Reads on from `from`, at most to the end of the message, and returns where it stopped. The bytes are the caller's again
   * afterwards: of a body copies are told. `to`: where they end; what the buffer has behind that is nobody's. Throws for
   * what is no message.
   */
  read(bytes: Buffer, from = 0, to = bytes.length): number {
    const turn = this.#turn;
    let at = from;
    while (at < to && turn === this.#turn) {
      switch (this.#state) {
        case HEAD:
          at = this.#readHead(bytes, at, to);
          break;
        case BODY:
        case CHUNK:
          at = this.#readBytes(bytes, at, to);
          break;
        case BODY_UNTIL_CLOSE:
          this.onBody(copyOf(bytes, at, to));
          return to;
        case CHUNK_LINE:
          at = this.#readChunkLine(bytes, at, to);
          break;
        case CHUNK_END:
          at = this.#readChunkEnd(bytes, at, to);
          break;
        case TRAILERS:
          at = this.#readTrailer(bytes, at, to);
          break;
        default:
          throw this.wrong('bytes that belong to no message');
      }
    }
    return at;
  }

  /** Nothing of a message has come since `expect`. */
  get untouched(): boolean {
    return this.#state === HEAD && this.#part === null;
  }

  protected get awaitsNothing(): boolean {
    return this.#state === NOTHING;
  }

  protected get awaitsClose(): boolean {
    return this.#state === BODY_UNTIL_CLOSE;
  }

  /** The head of a message, whole: calls `beginBody`, then `endIfBodiless`; or neither, where another head follows. */
  protected abstract onHead(head: string, last: boolean): void;
  /**
   * Where the head that begins at `from` ends, if it is one that came before, or is like one, and is whole at `to`; -1: it has to be
   * read.
   */
  protected abstract findHead(bytes: Buffer, from: number, to: number): number;
  /** As `onHead`, for the head that was found last. */
  protected abstract onFoundHead(last: boolean): void;
  /** What has come of a head is not the beginning of one: throws. Also seen by the syntax of the whole; this is to tell it early. */
  protected abstract checkBeginning(head: string): void;
  /** Never empty. */
  protected abstract onBody(bytes: Buffer): void;
  /** The message is whole. `last`: nothing follows it in what has come so far. `expect` may be called from within. */
  protected abstract onEnd(last: boolean): void;
  protected abstract wrong(what: string): Error;
  protected abstract headTooLarge(): Error;

  /** What comes next is a body of this framing. `bodiless`: none does, whatever the head says; `untilClose`: what is untold, the connection's end ends. */
  protected beginBody(framing: number, bodiless: boolean, untilClose: boolean): void {
    this.#left = 0;
    if (bodiless) {
      this.#state = BODY;
    } else if (framing === CHUNKED) {
      this.#state = CHUNK_LINE;
    } else if (framing === UNTOLD && untilClose) {
      this.#state = BODY_UNTIL_CLOSE;
    } else {
      this.#left = Math.max(0, framing);
      this.#state = BODY;
    }
  }

  /** To be called once the head is told: a message without a body ends with it. */
  protected endIfBodiless(last: boolean): void {
    if (this.#state === BODY && this.#left === 0) this.finish(last);
  }

  protected get turn(): number {
    return this.#turn;
  }

  protected finish(last: boolean): void {
    this.#state = NOTHING;
    this.#turn += 1;
    this.onEnd(last);
  }

  /** What has come of a head means nothing. */
  protected forgetBeginning(): void {
    this.#part = null;
  }

  #readHead(bytes: Buffer, from: number, to: number): number {
    const known = this.#part === null ? this.findHead(bytes, from, to) : -1;
    if (known !== -1) {
      this.onFoundHead(known === to);
      return known;
    }
    return this.#readNewHead(upTo(bytes, to), from);
  }

  #readNewHead(bytes: Buffer, from: number): number {
    const end = this.#sectionEnd(bytes, from, HEAD_END, MAX_HEAD_BYTES);
    if (end === -1) {
      // Told at its first wrong byte rather than by a deadline.
      const text = this.#part?.toString('latin1', 0, this.#partLength) ?? '';
      this.checkBeginning(text);
      if (BARE_CR_OR_LF.test(text)) throw this.wrong('a bare CR or LF');
      return bytes.length;
    }
    const part = this.#part;
    if (part !== null && this.findHead(part, 0, this.#partLength) !== -1) {
      this.#part = null;
      this.onFoundHead(end === bytes.length);
    } else {
      this.onHead(this.#section(bytes, from, end), end === bytes.length);
    }
    return end;
  }

  #readBytes(bytes: Buffer, from: number, to: number): number {
    const end = Math.min(to, from + this.#left);
    this.#left -= end - from;
    const turn = this.#turn;
    const part = copyOf(bytes, from, end);
    if (this.#left > 0) {
      this.onBody(part);
    } else if (this.#state === CHUNK) {
      this.#state = CHUNK_END;
      this.onBody(part);
    } else {
      this.onBody(part);
      if (turn === this.#turn) this.finish(end === to);
    }
    return end;
  }

  #readChunkLine(bytes: Buffer, from: number, to: number): number {
    // Nearly all are a few digits that came whole.
    if (this.#part === null) {
      let size = 0;
      let at = from;
      for (let digit = hexDigit(bytes[at]); digit >= 0 && at - from < 7; digit = hexDigit(bytes[at])) {
        size = size * 16 + digit;
        at += 1;
      }
      if (at > from && at + 2 <= to && bytes[at] === CR && bytes[at + 1] === LF) {
        this.#beginChunk(size);
        return at + 2;
      }
    }
    const end = this.#lineEnd(bytes, from, to, MAX_CHUNK_LINE_BYTES);
    if (end === -1) return to;
    const line = this.#section(bytes, from, end);
    if (!CHUNK_LINE_SYNTAX.test(line)) throw this.wrong("a chunk's size that is none");
    this.#beginChunk(Number.parseInt(line, 16));
    return end;
  }

  #beginChunk(size: number): void {
    this.#left = size;
    this.#trailerBytes = 0;
    this.#state = size === 0 ? TRAILERS : CHUNK;
  }

  #readChunkEnd(bytes: Buffer, from: number, to: number): number {
    const half = this.#part !== null;
    if (bytes[from] !== (half ? LF : CR)) throw this.wrong('a chunk longer than its size');
    if (!half && from + 1 === to) {
      this.#part = CRLF;
      this.#partLength = 1;
      return from + 1;
    }
    if (!half && bytes[from + 1] !== LF) throw this.wrong('a chunk longer than its size');
    this.#part = null;
    this.#state = CHUNK_LINE;
    return half ? from + 1 : from + 2;
  }

  #readTrailer(bytes: Buffer, from: number, to: number): number {
    // Nearly always there is none.
    if (this.#part === null && from + 2 <= to && bytes[from] === CR && bytes[from + 1] === LF) {
      this.finish(from + 2 === to);
      return from + 2;
    }
    const end = this.#lineEnd(bytes, from, to, MAX_HEAD_BYTES - this.#trailerBytes);
    if (end === -1) return to;
    const line = this.#section(bytes, from, end);
    if (line === '\r\n') {
      this.finish(end === to);
    } else {
      if (!HEADER_LINE.test(line)) throw this.wrong('a trailer that is no header');
      if (FRAMING_TRAILER.test(line)) throw this.wrong('a trailer that says how the body was framed');
      this.#trailerBytes += line.length;
    }
    return end;
  }

  #lineEnd(bytes: Buffer, from: number, to: number, maxBytes: number): number {
    const end = this.#sectionEnd(upTo(bytes, to), from, CRLF, maxBytes);
    if (end === -1 && BARE_CR_OR_LF.test(this.#part?.toString('latin1', 0, this.#partLength) ?? ''))
      throw this.wrong('a bare CR or LF');
    return end;
  }

  /** Where the section that began at `from`, or earlier, ends in `bytes`, its terminator included. -1: not yet; it is kept. */
  #sectionEnd(bytes: Buffer, from: number, terminator: Buffer, maxBytes: number): number {
    const part = this.#part;
    if (part === null) {
      const found = bytes.indexOf(terminator, from);
      const end = found === -1 ? bytes.length : found + terminator.length;
      if (end - from > maxBytes) throw this.#tooLarge(maxBytes);
      if (found !== -1) return end;
      this.#part = Buffer.allocUnsafeSlow(maxBytes);
      this.#partLength = bytes.copy(this.#part, 0, from);
      return -1;
    }
    const before = this.#partLength;
    this.#partLength += bytes.copy(part, before, from);
    const found = part.subarray(0, this.#partLength).indexOf(terminator, Math.max(0, before - terminator.length + 1));
    if (found !== -1) {
      // What was copied beyond it belongs to what follows.
      this.#partLength = found + terminator.length;
      return from + this.#partLength - before;
    }
    if (this.#partLength === part.length) throw this.#tooLarge(maxBytes);
    return -1;
  }

  #tooLarge(maxBytes: number): Error {
    return this.#state === HEAD ? this.headTooLarge() : this.wrong(`a line of more than ${maxBytes} bytes`);
  }

  /** The section that ends at `end`, as text, whole. */
  #section(bytes: Buffer, from: number, end: number): string {
    const part = this.#part;
    if (part === null) return bytes.toString('latin1', from, end);
    this.#part = null;
    return part.toString('latin1', 0, this.#partLength);
  }
}

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}

/** What is looked through by others' searches: they know no other end than a buffer's own. */
function upTo(bytes: Buffer, to: number): Buffer {
  return to === bytes.length ? bytes : bytes.subarray(0, to);
}

/** What fields inherit: a header may be called `constructor`. Not null itself, with which an object is slower to read. */
const NO_FIELDS: object = Object.freeze({ __proto__: null });

export function noFields(): Fields {
  return Object.create(NO_FIELDS) as Fields;
}

/**
 * Of a head that has the right syntax. `first`: names of which only the first counts; `once`: such as may not come twice; `lines`: is
 * given each of them.
 */
export function readFields(
  head: string,
  first: ReadonlySet<string> | null,
  once: ReadonlySet<string>,
  wrong: (what: string) => Error,
  lines: HeadLine[] | null = null,
): Fields {
  const fields = noFields();
  let start = head.indexOf('\r\n') + 2;
  while (head.charCodeAt(start) !== CR) {
    const colon = head.indexOf(':', start);
    const end = head.indexOf('\r\n', colon) + 2;
    const name = lowerName(head.slice(start, colon));
    const value = trimmed(head, colon + 1, end - 2);
    // Some readers take a trailing tab for a part of the name of another encoding.
    if (name === 'transfer-encoding' && head.charCodeAt(end - 3) <= SPACE) throw wrong(`space after ${name}`);
    const before = fields[name];
    if (before === undefined) fields[name] = value;
    else if (once.has(name)) throw wrong(`${name} twice`);
    else if (first?.has(name) !== true) fields[name] = `${before}, ${value}`;
    lines?.push({ name, value, start, colon, end });
    start = end;
  }
  return fields;
}

/** Without space and tab around it (RFC 9110, section 5.6.3): `trim` would take \xa0, too, and with it what is no value for one. */
function trimmed(head: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(head.charCodeAt(start))) start += 1;
  while (end > start && isBlank(head.charCodeAt(end - 1))) end -= 1;
  return head.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** Whether a `connection` header asks for its end. */
export function saysClose(connection: string | undefined): boolean {
  return connection !== undefined && CLOSE.test(connection);
}

/** Names the first line of a head that is none, without quoting what was sent. */
export function wrongLine(head: string, startSyntax: RegExp, start: string): string {
  if (BARE_CR_OR_LF.test(head)) return 'a bare CR or LF';
  const [startLine = '', ...lines] = head.slice(0, -4).split('\r\n');
  if (!startSyntax.test(`${startLine}\r\n\r\n`)) return `the ${start} is none`;
  const wrong = lines.findIndex((line) => !HEADER_LINE.test(`${line}\r\n`));
  return `header ${wrong + 1} is none`;
}

/** Names as they were sent, to names in lower case: the same few come with every message, and a key made anew has to be interned. */
const lowerNames = new Map<string, string>();
const MAX_LOWER_NAMES = 500;

function lowerName(name: string): string {
  const known = lowerNames.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (lowerNames.size < MAX_LOWER_NAMES) lowerNames.set(name, lower);
  return lower;
}

/** As many digits as an integer has that a number holds. */
const MAX_LENGTH_DIGITS = 15;

/** What `content-length` says, in bytes; -1: it is none. Read by hand: an expression and `Number` take ten times as long. */
export function contentLength(text: string): number {
  if (text.length === 0 || text.length > MAX_LENGTH_DIGITS) return -1;
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}

/** -1: none. */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
