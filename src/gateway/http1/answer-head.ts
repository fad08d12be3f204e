// By imports: the globals are accessors, which take 30 cache lines at each use.
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { performance } from 'node:perf_hooks';
import { CHUNKED, UNTOLD } from '../../lib/http1/message-parser.ts';
import { headersSize, lengthSize, writeBytes, writeHeaders, writeLength, writeLineEnd } from '../../lib/http1/write-head.ts';

/** Longer than any proxy in front keeps its connections (cloud load balancers: 600 s), so that it is they who close them. */
export const KEEP_ALIVE_MS = 620_000;

const KEPT = Buffer.from(`connection: keep-alive\r\nkeep-alive: timeout=${KEEP_ALIVE_MS / 1_000}\r\n`);
const CLOSED = Buffer.from('connection: close\r\n');
const CHUNKS = Buffer.from('transfer-encoding: chunked\r\n');
const NO_LINE = Buffer.alloc(0);
const NO_HEADERS: readonly string[] = [];

/** How a head begins, in bytes that are made before the rest of it is known. */
export interface HeadAhead {
  readonly status: number;
  /** How many elements of the head's `headers` are in it, from the first on. */
  readonly count: number;
  readonly bytes: Buffer;
}

/** Throws as `answerHead`. */
export function headAhead(status: number, headers: readonly string[]): HeadAhead {
  // Its answer mostly comes in the same second, and finds it made.
  dateLine();
  return { status, count: headers.length, bytes: linesOf(statusLine(status), headers) };
}

/**
 * The head of an answer. `headers` is flat: name, value, …; names are ours, in lower case, and none of them frames the body or speaks of
 * the connection. `framing`: the number of bytes of the body, `CHUNKED`, or (`UNTOLD`) nothing. `ahead`: its beginning; null: it was
 * not made. Throws for a value that cannot be sent.
 */
export function answerHead(
  status: number,
  headers: readonly string[],
  framing: number,
  close: boolean,
  ahead: HeadAhead | null = null,
): Buffer {
  if (ahead?.status === status) return wholeHead(ahead.bytes, linesAfter(headers, ahead.count), NO_HEADERS, framing, close);
  return wholeHead(statusLine(status), NO_LINE, headers, framing, close);
}

/** `start`, `lines` and `headers` are what comes before the date. */
function wholeHead(start: Buffer, lines: Buffer, headers: readonly string[], framing: number, close: boolean): Buffer {
  const date = dateLine();
  const connection = close ? CLOSED : KEPT;
  const framed = framing === CHUNKED ? CHUNKS : NO_LINE;
  const told = framing !== CHUNKED && framing !== UNTOLD;
  const size = start.length + lines.length + headersSize(headers) + date.length + connection.length + framed.length;
  const bytes = Buffer.allocUnsafe(size + (told ? lengthSize(framing) : 0) + 2);
  bytes.set(start);
  let at = writeBytes(bytes, start.length, lines);
  at = writeHeaders(bytes, at, headers, nameBytes, unsendable);
  at = writeBytes(bytes, at, date);
  at = writeBytes(bytes, at, connection);
  at = told ? writeLength(bytes, at, framing) : writeBytes(bytes, at, framed);
  writeLineEnd(bytes, at);
  return bytes;
}

function linesOf(start: Buffer, headers: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafe(start.length + headersSize(headers));
  writeHeaders(bytes, writeBytes(bytes, 0, start), headers, nameBytes, unsendable);
  return bytes;
}

/** What came last after the beginning of a head comes again for the most part: how a provider calls its streams. */
let lastHeaders: readonly string[] = NO_HEADERS;
let lastLines: Buffer = NO_LINE;

function linesAfter(headers: readonly string[], count: number): Buffer {
  if (!endsWith(headers, count, lastHeaders)) {
    const rest = headers.slice(count);
    lastLines = linesOf(NO_LINE, rest);
    lastHeaders = rest;
  }
  return lastLines;
}

function endsWith(headers: readonly string[], count: number, end: readonly string[]): boolean {
  if (headers.length - count !== end.length) return false;
  for (let i = 0; i < end.length; i++) if (headers[count + i] !== end[i]) return false;
  return true;
}

function unsendable(name: string): Error {
  return new Error(`the header ${JSON.stringify(name)} of the answer has a value that cannot be sent`);
}

/** Of the names of ours, and those that pass, with what follows them. */
const names = new Map<string, Buffer>();

function nameBytes(name: string): Buffer {
  const known = names.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(`${name}: `, 'latin1');
  names.set(name, bytes);
  return bytes;
}

/** Upstreams' own among them: of three digits. */
const statusLines = new Map<number, Buffer>();

function statusLine(status: number): Buffer {
  const known = statusLines.get(status);
  if (known !== undefined) return known;
  const made = Buffer.from(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`);
  statusLines.set(status, made);
  return made;
}

let line = NO_LINE;
/** Monotonic ms. */
let lineEndsMs = 0;

/**
 * RFC 9110, section 6.6.1. Made once a second, counted by the clock that all else is: to ask the other one as well takes 20 cache lines
 * more.
 */
function dateLine(): Buffer {
  const nowMs = performance.now();
  if (nowMs >= lineEndsMs) {
    const wallMs = Date.now();
    lineEndsMs = nowMs + 1_000 - (wallMs % 1_000);
    line = Buffer.from(`date: ${new Date(wallMs).toUTCString()}\r\n`);
  }
  return line;
}
