import { METHODS } from 'node:http';
import { HeadMemory, RecentHeads } from './head-memory.ts';
import type { RequestHead } from './request-head.ts';
import { framingOf, HEADER_LINES, MessageParser, readFields, saysClose, wrongLine } from '../../lib/http1/message-parser.ts';

/** Bytes that are not an HTTP/1.1 request, or one that two readers could understand in different ways; `status` answers them. */
export class HttpRequestError extends Error {
  override readonly name = 'HttpRequestError';
  readonly status: 400 | 417 | 431;

  constructor(message: string, status: 400 | 417 | 431 = 400) {
    super(message);
    this.status = status;
  }
}

/** What a request consists of. `stop` may be called from any of them, after which none is called. */
export interface RequestEvents {
  /** `contentLength`: in bytes; null: not told. */
  onRequest(head: RequestHead, contentLength: number | null): void;
  /** A copy, for the receiver to keep. Never empty. */
  onRequestBody(bytes: Buffer): void;
  /** The request is whole. */
  onRequestEnd(): void;
}

/** RFC 9112, section 3. */
const HEAD_SYNTAX = new RegExp(String.raw`^[A-Z-]+ [\x21-\x7e]+ HTTP\/1\.[01]\r\n${HEADER_LINES}\r\n$`);
/** As much of a request line as has come. Methods are at most 13 letters long. */
const BEGINNING = /^[A-Z-]{0,13}(?: [\x21-\x7e]*(?: (?:HTTP\/1[^]*|HTTP\/|HTTP|HTT|HT|H)?)?)?$/;
const EMPTY_LINES = /^(?:\r\n)+/;
/** A server must take the absolute form, too (section 3.2.2); CONNECT's form is a proxy's. */
const TARGET = /^(?:\/|\*$|https?:\/\/(?:\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::\d{1,5})?(?:[/?]|$))/i;
const KEEP_ALIVE = /(?:^|,)[\t ]*keep-alive[\t ]*(?:,|$)/i;
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS.filter((method) => method !== 'CONNECT'));
/** Two of these and two readers may see two requests. */
const ONCE: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'host']);
/** Of these a list means nothing: the first counts, as node has it. */
const FIRST: ReadonlySet<string> = new Set(['authorization', 'content-type', 'user-agent', 'from', 'max-forwards', 'referer']);

/** Reads the requests of one connection, one for each `expect`; what is none throws `HttpRequestError`. */
export class RequestParser extends MessageParser {
  readonly #events: RequestEvents;
  readonly #memory: HeadMemory;

  /** `recent`: of the listener whose connection it is. */
  constructor(events: RequestEvents, recent = new RecentHeads()) {
    super();
    this.#events = events;
    this.#memory = new HeadMemory(recent);
  }

  protected override checkBeginning(head: string): void {
    const text = head.replace(EMPTY_LINES, '');
    if (text === '') this.forgetBeginning();
    else if (text !== '\r' && !BEGINNING.test(text)) throw wrong('the request line is none');
  }

  protected override onHead(section: string, last: boolean): void {
    // Some clients end a body with a line's end too many (RFC 9112, section 2.2).
    const head = section.startsWith('\r\n') ? section.replace(EMPTY_LINES, '') : section;
    if (head === '') return;
    const { request, framing } = readHead(head);
    this.#memory.keep(head, request, framing);
    this.#begin(request, framing, last);
  }

  protected override findHead(bytes: Buffer, from: number, to: number): number {
    return this.#memory.find(bytes, from, to);
  }

  protected override onFoundHead(last: boolean): void {
    const { request, framing } = this.#memory;
    if (request !== null) this.#begin(request, framing, last);
  }

  #begin(request: RequestHead, framing: number, last: boolean): void {
    this.beginBody(framing, false, false);
    const { turn } = this;
    this.#events.onRequest(request, framing < 0 ? null : framing);
    if (turn === this.turn) this.endIfBodiless(last);
  }

  protected override onBody(bytes: Buffer): void {
    this.#events.onRequestBody(bytes);
  }

  protected override onEnd(): void {
    this.#events.onRequestEnd();
  }

  protected override wrong(what: string): Error {
    return wrong(what);
  }

  protected override headTooLarge(): Error {
    return new HttpRequestError('The request headers are larger than 16 KiB.', 431);
  }
}

const ONE = 0x31;

/** `framing`: as `framingOf`. */
function readHead(head: string): { readonly request: RequestHead; readonly framing: number } {
  if (!HEAD_SYNTAX.test(head)) throw wrong(wrongLine(head, HEAD_SYNTAX, 'request line'));
  const methodEnd = head.indexOf(' ');
  const urlEnd = head.indexOf(' ', methodEnd + 1);
  const method = head.slice(0, methodEnd);
  const url = head.slice(methodEnd + 1, urlEnd);
  if (!KNOWN_METHODS.has(method)) throw wrong(`the method ${method.slice(0, 32)} is not known`);
  if (!TARGET.test(url)) throw wrong('the target is neither a path nor a URL');
  const http11 = head.charCodeAt(urlEnd + 8) === ONE;
  const headers = readFields(head, FIRST, ONCE, wrong);
  if (http11 && headers['host'] === undefined) throw wrong('there is no host header');
  const { connection, expect, 'content-length': length } = headers;
  if (length !== undefined) headers['content-length'] = undefined;
  const request = {
    method,
    url,
    headers,
    http11,
    keepAlive: connection === undefined ? http11 : !saysClose(connection) && (http11 || KEEP_ALIVE.test(connection)),
    expectsContinue: expect !== undefined && http11 && expectsContinue(expect),
  };
  return { request, framing: framingOf(length, headers['transfer-encoding'], http11, wrong) };
}

function expectsContinue(expect: string): boolean {
  if (expect.toLowerCase() === '100-continue') return true;
  throw new HttpRequestError(`The expectation ${JSON.stringify(expect.slice(0, 64))} cannot be met.`, 417);
}

function wrong(what: string): HttpRequestError {
  return new HttpRequestError(`The request is not valid HTTP/1.1: ${what}.`);
}
