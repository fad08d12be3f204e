import type { IncomingHttpHeaders } from 'node:http';

/** Status line and headers together, and all trailers, may be this large: what node's own client allows. */
export const MAX_HEAD_BYTES = 16 * 1024;
/** A line with a chunk's size. What follows the digits means nothing here, so little of it is read. */
const MAX_CHUNK_LINE_BYTES = 1024;
/** Answers before the final one (RFC 9110, section 15.2). */
const MAX_INTERIM_ANSWERS = 16;

/** Bytes that are not an HTTP/1.1 answer, or one whose end two readers could see in different places. */
export class HttpAnswerError extends Error {
  override readonly name = 'HttpAnswerError';
}

/** The upstream wants to speak something else from here on, which nobody asked for. */
export class SwitchedProtocolsError extends Error {
  override readonly name = 'SwitchedProtocolsError';
}

/** What an answer consists of. Any of them may call `stop`, after which none is called. */
export interface AnswerEvents {
  onHead(status: number, headers: IncomingHttpHeaders): void;
  /** A copy, for the receiver to keep. Never empty. */
  onBody(bytes: Buffer): void;
  /** The answer is whole. `expect` may be called from within. */
  onEnd(): void;
}

/** What is read next. */
const HEAD = 0;
/** A body of known length. */
const BODY = 1;
/** A body that the connection's end ends. */
const BODY_UNTIL_CLOSE = 2;
const CHUNK_LINE = 3;
const CHUNK = 4;
const CHUNK_END = 5;
const TRAILERS = 6;
/** No answer is expected. */
const NOTHING = 7;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const ONE = 0x31;
const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = Buffer.from('\r\n');
const VERSION = 'HTTP/1.';

/** RFC 9112, section 4 and 5, without what it deprecates: no folded lines, no bare CR or LF, no space before a colon. */
const HEAD_SYNTAX =
  /^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/;
const TRAILER_SYNTAX = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n$/;
const INTERIM_FRAMING = /\r\n(?:content-length|transfer-encoding|connection):/i;
const FRAMING_TRAILER = /^(?:content-length|transfer-encoding):/i;
const CHUNK_LINE_SYNTAX =
  /^[0-9A-Fa-f]{1,13}(?:;[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)*\r\n$/;
/** In a section that is not whole yet: it never will be one. */
const BARE_CR_OR_LF = /\r[^\n]|(?:^|[^\r])\n/;
const CONTENT_LENGTH = /^\d{1,15}$/;
const CLOSE = /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i;
const KEEP_ALIVE_TIMEOUT = /(?:^|[,;\s])timeout=(\d{1,9})/i;

/**
 * Reads the answers of one connection, one for each `expect`, however their bytes are cut. Strict: where RFC 9112 lets a reader
 * guess, it refuses (`HttpAnswerError`), because a wrong guess about an answer's end would give its rest to the next request.
 */
export class AnswerParser {
  readonly #events: AnswerEvents;
  #state = NOTHING;
  /** Of the body, or of its current chunk: bytes still to come. */
  #left = 0;
  /** The beginning of a head or line that has come in part. */
  #part: Buffer | null = null;
  #partLength = 0;
  #interim = 0;
  #trailerBytes = 0;
  #status = 0;
  /** Counts requests, so that `read` sees that a callback began the next one. */
  #turn = 0;
  /** Once it is whole: the connection may carry another answer. */
  reusable = false;
  /** What the upstream says of how long it keeps an idle connection; null: nothing. */
  keepAliveMs: number | null = null;

  constructor(events: AnswerEvents) {
    this.#events = events;
  }

  /** A request goes out: its answer is what comes next. */
  expect(): void {
    this.#turn += 1;
    this.#state = HEAD;
    this.#interim = 0;
    this.reusable = false;
  }

  /** Nothing more is told, whatever comes. */
  stop(): void {
    this.#turn += 1;
    this.#state = NOTHING;
    this.#part = null;
    this.reusable = false;
  }

  /** Reads the next bytes, which are the caller's again afterwards. Throws for what is no answer. */
  read(bytes: Buffer): void {
    const turn = this.#turn;
    let at = 0;
    while (at < bytes.length && turn === this.#turn) {
      switch (this.#state) {
        case HEAD:
          at = this.#readHead(bytes, at);
          break;
        case BODY:
        case CHUNK:
          at = this.#readBytes(bytes, at);
          break;
        case BODY_UNTIL_CLOSE:
          this.#events.onBody(copy(bytes, at, bytes.length));
          return;
        case CHUNK_LINE:
          at = this.#readChunkLine(bytes, at);
          break;
        case CHUNK_END:
          at = this.#readChunkEnd(bytes, at);
          break;
        case TRAILERS:
          at = this.#readTrailer(bytes, at);
          break;
        default:
          throw new HttpAnswerError('bytes that belong to no answer');
      }
    }
  }

  /** The upstream has ended the connection. Throws where an answer is not whole. */
  end(): void {
    if (this.#state === NOTHING) return;
    if (this.#state !== BODY_UNTIL_CLOSE) throw new Error('the upstream closed the connection');
    this.#state = NOTHING;
    this.#events.onEnd();
  }

  #readHead(bytes: Buffer, from: number): number {
    const end = this.#sectionEnd(bytes, from, HEAD_END, MAX_HEAD_BYTES);
    if (end === -1) {
      // Told at its first wrong byte rather than by a deadline.
      const text = this.#part?.toString('latin1', 0, this.#partLength) ?? '';
      if (!text.startsWith(VERSION) && !VERSION.startsWith(text)) throw new HttpAnswerError('it does not begin with HTTP/1');
      if (BARE_CR_OR_LF.test(text)) throw new HttpAnswerError('a bare CR or LF');
      return bytes.length;
    }
    this.#begin(this.#section(bytes, from, end), end === bytes.length);
    return end;
  }

  /** `last`: nothing follows the head in what has come so far. */
  #begin(head: string, last: boolean): void {
    if (!HEAD_SYNTAX.test(head)) throw new HttpAnswerError(whatIsWrong(head));
    const status = (head.charCodeAt(9) - 48) * 100 + (head.charCodeAt(10) - 48) * 10 + (head.charCodeAt(11) - 48);
    if (status < 200) {
      if (status === 101) throw new SwitchedProtocolsError('the upstream switched to another protocol');
      // Nothing of a body or a connection's end comes before the final answer.
      if (INTERIM_FRAMING.test(head)) throw new HttpAnswerError(`a ${status} that frames a body`);
      this.#interim += 1;
      if (this.#interim > MAX_INTERIM_ANSWERS)
        throw new HttpAnswerError(`more than ${MAX_INTERIM_ANSWERS} answers before the final one`);
      return;
    }
    const headers = readHeaders(head);
    this.#status = status;
    this.#frame(headers, head.charCodeAt(7) === ONE);
    const turn = this.#turn;
    this.#events.onHead(status, headers);
    if (turn === this.#turn && this.#state === BODY && this.#left === 0) this.#finish(last);
  }

  /** RFC 9112, section 6.3. */
  #frame(headers: IncomingHttpHeaders, http11: boolean): void {
    const { connection } = headers;
    const length = headers['content-length'];
    const encoding = headers['transfer-encoding'];
    this.reusable = http11 && (connection === undefined || !CLOSE.test(connection));
    if (headers['keep-alive'] !== undefined) this.#readKeepAlive(headers['keep-alive']);
    if (length !== undefined && !CONTENT_LENGTH.test(length)) throw new HttpAnswerError(`content-length ${length.slice(0, 64)}`);
    if (length !== undefined && encoding !== undefined) throw new HttpAnswerError('content-length beside transfer-encoding');
    if (encoding !== undefined && (!http11 || encoding.toLowerCase() !== 'chunked'))
      throw new HttpAnswerError(`transfer-encoding ${encoding.slice(0, 64)}`);
    this.#left = 0;
    if (this.#status === 204 || this.#status === 304) {
      this.#state = BODY;
    } else if (encoding !== undefined) {
      this.#state = CHUNK_LINE;
    } else if (length !== undefined) {
      this.#left = Number(length);
      this.#state = BODY;
    } else {
      this.reusable = false;
      this.#state = BODY_UNTIL_CLOSE;
    }
  }

  #readKeepAlive(value: string | readonly string[]): void {
    const seconds = KEEP_ALIVE_TIMEOUT.exec(String(value))?.[1];
    if (seconds !== undefined) this.keepAliveMs = Number(seconds) * 1_000;
  }

  #readBytes(bytes: Buffer, from: number): number {
    const end = Math.min(bytes.length, from + this.#left);
    this.#left -= end - from;
    const turn = this.#turn;
    const part = copy(bytes, from, end);
    if (this.#left > 0) {
      this.#events.onBody(part);
    } else if (this.#state === CHUNK) {
      this.#state = CHUNK_END;
      this.#events.onBody(part);
    } else {
      this.#events.onBody(part);
      if (turn === this.#turn) this.#finish(end === bytes.length);
    }
    return end;
  }

  #readChunkLine(bytes: Buffer, from: number): number {
    // Nearly all are a few digits that came whole.
    if (this.#part === null) {
      let size = 0;
      let at = from;
      for (let digit = hexDigit(bytes[at]); digit >= 0 && at - from < 7; digit = hexDigit(bytes[at])) {
        size = size * 16 + digit;
        at += 1;
      }
      if (at > from && bytes[at] === CR && bytes[at + 1] === LF) {
        this.#beginChunk(size);
        return at + 2;
      }
    }
    const end = this.#sectionEnd(bytes, from, CRLF, MAX_CHUNK_LINE_BYTES);
    if (end === -1) {
      if (BARE_CR_OR_LF.test(this.#part?.toString('latin1', 0, this.#partLength) ?? ''))
        throw new HttpAnswerError('a bare CR or LF');
      return bytes.length;
    }
    const line = this.#section(bytes, from, end);
    if (!CHUNK_LINE_SYNTAX.test(line)) throw new HttpAnswerError("a chunk's size that is none");
    this.#beginChunk(Number.parseInt(line, 16));
    return end;
  }

  #beginChunk(size: number): void {
    this.#left = size;
    this.#trailerBytes = 0;
    this.#state = size === 0 ? TRAILERS : CHUNK;
  }

  #readChunkEnd(bytes: Buffer, from: number): number {
    const half = this.#part !== null;
    if (bytes[from] !== (half ? LF : CR)) throw new HttpAnswerError('a chunk longer than its size');
    if (!half && from + 1 === bytes.length) {
      this.#part = CRLF;
      this.#partLength = 1;
      return from + 1;
    }
    if (!half && bytes[from + 1] !== LF) throw new HttpAnswerError('a chunk longer than its size');
    this.#part = null;
    this.#state = CHUNK_LINE;
    return half ? from + 1 : from + 2;
  }

  #readTrailer(bytes: Buffer, from: number): number {
    const end = this.#sectionEnd(bytes, from, CRLF, MAX_HEAD_BYTES - this.#trailerBytes);
    if (end === -1) {
      if (BARE_CR_OR_LF.test(this.#part?.toString('latin1', 0, this.#partLength) ?? ''))
        throw new HttpAnswerError('a bare CR or LF');
      return bytes.length;
    }
    const line = this.#section(bytes, from, end);
    if (line === '\r\n') {
      this.#finish(end === bytes.length);
    } else {
      if (!TRAILER_SYNTAX.test(line)) throw new HttpAnswerError('a trailer that is no header');
      if (FRAMING_TRAILER.test(line)) throw new HttpAnswerError('a trailer that says how the body was framed');
      this.#trailerBytes += line.length;
    }
    return end;
  }

  /** `last`: nothing follows it. What does would be somebody's guess at an answer to a request that was not sent. */
  #finish(last: boolean): void {
    this.#state = NOTHING;
    this.#turn += 1;
    if (!last) this.reusable = false;
    this.#events.onEnd();
  }

  /** Where the section that began at `from`, or earlier, ends in `bytes`, its terminator included. -1: not yet; it is kept. */
  #sectionEnd(bytes: Buffer, from: number, terminator: Buffer, maxBytes: number): number {
    const part = this.#part;
    if (part === null) {
      const found = bytes.indexOf(terminator, from);
      const end = found === -1 ? bytes.length : found + terminator.length;
      if (end - from > maxBytes) throw new HttpAnswerError(`a head or line of more than ${maxBytes} bytes`);
      if (found !== -1) return end;
      this.#part = Buffer.allocUnsafeSlow(maxBytes);
      this.#partLength = bytes.copy(this.#part, 0, from);
      return -1;
    }
    const before = this.#partLength;
    this.#partLength += bytes.copy(part, before, from);
    const found = part.subarray(0, this.#partLength).indexOf(terminator, Math.max(0, before - terminator.length + 1));
    if (found !== -1) return from + found + terminator.length - before;
    if (this.#partLength === part.length) throw new HttpAnswerError(`a head or line of more than ${maxBytes} bytes`);
    return -1;
  }

  /** The section that ends at `end`, as text, whole. */
  #section(bytes: Buffer, from: number, end: number): string {
    const part = this.#part;
    if (part === null) return bytes.toString('latin1', from, end);
    this.#part = null;
    // What was copied beyond the end belongs to what follows.
    const beyond = Math.min(bytes.length - end, this.#partLength);
    return part.toString('latin1', 0, this.#partLength - beyond);
  }
}

/** Of a head that has the right syntax. Names in lower case; repeated ones joined, but for those that must not be. */
function readHeaders(head: string): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  let at = head.indexOf('\r\n') + 2;
  while (head.charCodeAt(at) !== CR) {
    const colon = head.indexOf(':', at);
    const end = head.indexOf('\r\n', colon);
    const name = lowerName(head.slice(at, colon));
    const value = head.slice(head.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1, end).trim();
    // Some readers take a trailing tab for a part of the name of another encoding.
    if (name === 'transfer-encoding' && head.charCodeAt(end - 1) <= SPACE) throw new HttpAnswerError(`space after ${name}`);
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (ONCE.has(name)) throw new HttpAnswerError(`${name} twice`);
    else headers[name] = `${String(before)}, ${value}`;
    at = end + 2;
  }
  return headers;
}

/** Names as they were sent, to names in lower case: the same few come with every answer, and a key made anew has to be interned. */
const lowerNames = new Map<string, string>();
const MAX_LOWER_NAMES = 500;

function lowerName(name: string): string {
  const known = lowerNames.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (lowerNames.size < MAX_LOWER_NAMES) lowerNames.set(name, lower);
  return lower;
}

/** Two of these and two readers may see two ends. */
const ONCE = new Set(['content-length', 'transfer-encoding']);

/** A copy, because the bytes read into are read into again. */
function copy(bytes: Buffer, start: number, end: number): Buffer {
  const part = Buffer.allocUnsafe(end - start);
  bytes.copy(part, 0, start, end);
  return part;
}

/** -1: none. */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Names the first line that is none, without quoting what the upstream sent. */
function whatIsWrong(head: string): string {
  if (!head.startsWith(VERSION)) return 'it does not begin with HTTP/1';
  if (BARE_CR_OR_LF.test(head)) return 'a bare CR or LF';
  const [statusLine = '', ...lines] = head.slice(0, -4).split('\r\n');
  if (!HEAD_SYNTAX.test(`${statusLine}\r\n\r\n`)) return 'the status line is none';
  const wrong = lines.findIndex((line) => !TRAILER_SYNTAX.test(`${line}\r\n`));
  return `header ${wrong + 1} is none`;
}
