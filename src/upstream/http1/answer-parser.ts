import {
  type Fields,
  HEADER_LINES,
  type HeadLine,
  MAX_HEAD_BYTES,
  MessageParser,
  readFields,
  wrongLine,
} from '../../lib/http1/message-parser.ts';
import { type AnswerHead, answerHead, HttpAnswerError } from './answer-head.ts';
import type { KnownAnswers } from './known-answers.ts';

/** Answers before the final one (RFC 9110, section 15.2). */
const MAX_INTERIM_ANSWERS = 16;

/** The upstream wants to speak something else from here on, which nobody asked for. */
export class SwitchedProtocolsError extends Error {
  override readonly name = 'SwitchedProtocolsError';
}

/** What an answer consists of. Any of them may call `stop`, after which none is called. */
export interface AnswerEvents {
  onHead(status: number, headers: Readonly<Fields>): void;
  /** A copy, for the receiver to keep. Never empty. */
  onBody(bytes: Buffer): void;
  /** The answer is whole. `expect` may be called from within. */
  onEnd(): void;
}

const ONE = 0x31;
const VERSION = 'HTTP/1.';

/** RFC 9112, section 4. */
const HEAD_SYNTAX = new RegExp(String.raw`^HTTP\/1\.[01] [1-9]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n${HEADER_LINES}\r\n$`);
const INTERIM_FRAMING = /\r\n(?:content-length|transfer-encoding|connection):/i;
/** Two of these and two readers may see two ends. */
const ONCE: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** Reads the answers of one connection; what is none throws `HttpAnswerError`. */
export class AnswerParser extends MessageParser {
  readonly #events: AnswerEvents;
  readonly #known: KnownAnswers | null;
  #interim = 0;
  /** Once it is whole: the connection may carry another answer. */
  reusable = false;
  /** What the upstream says of how long it keeps an idle connection; null: nothing. */
  keepAliveMs: number | null = null;

  /** `known`: of the same server. */
  constructor(events: AnswerEvents, known: KnownAnswers | null = null) {
    super();
    this.#events = events;
    this.#known = known;
  }

  /** A request goes out: its answer is what comes next. */
  override expect(): void {
    super.expect();
    this.#interim = 0;
    this.reusable = false;
  }

  override stop(): void {
    super.stop();
    this.reusable = false;
  }

  /** The upstream has ended the connection. Throws where an answer is not whole. */
  end(): void {
    if (this.awaitsNothing) return;
    if (!this.awaitsClose) throw new Error('the upstream closed the connection');
    this.finish(true);
  }

  protected override checkBeginning(head: string): void {
    if (!head.startsWith(VERSION) && !VERSION.startsWith(head)) throw this.wrong('it does not begin with HTTP/1');
  }

  protected override onHead(head: string, last: boolean): void {
    if (!HEAD_SYNTAX.test(head))
      throw this.wrong(head.startsWith(VERSION) ? wrongLine(head, HEAD_SYNTAX, 'status line') : 'it does not begin with HTTP/1');
    const status = (head.charCodeAt(9) - 48) * 100 + (head.charCodeAt(10) - 48) * 10 + (head.charCodeAt(11) - 48);
    if (status < 200) {
      if (status === 101) throw new SwitchedProtocolsError('the upstream switched to another protocol');
      // Nothing of a body or a connection's end comes before the final answer.
      if (INTERIM_FRAMING.test(head)) throw this.wrong(`a ${status} that frames a body`);
      this.#interim += 1;
      if (this.#interim > MAX_INTERIM_ANSWERS) throw this.wrong(`more than ${MAX_INTERIM_ANSWERS} answers before the final one`);
      return;
    }
    const lines: HeadLine[] = [];
    const headers = readFields(head, null, ONCE, wrong, lines);
    const answer = answerHead(status, headers, head.charCodeAt(7) === ONE);
    this.#known?.learn(head, answer, lines);
    this.#begin(answer, last);
  }

  protected override findHead(bytes: Buffer, from: number, to: number): number {
    return this.#known === null ? -1 : this.#known.find(bytes, from, to);
  }

  protected override onFoundHead(last: boolean): void {
    const answer = this.#known?.found ?? null;
    if (answer !== null) this.#begin(answer, last);
  }

  #begin(answer: AnswerHead, last: boolean): void {
    const { status, keepAliveMs } = answer;
    if (keepAliveMs !== null) this.keepAliveMs = keepAliveMs;
    this.beginBody(answer.framing, status === 204 || status === 304, true);
    this.reusable = answer.persistent && !this.awaitsClose;
    const { turn } = this;
    this.#events.onHead(status, answer.headers);
    if (turn === this.turn) this.endIfBodiless(last);
  }

  protected override onBody(bytes: Buffer): void {
    this.#events.onBody(bytes);
  }

  /** What follows an answer would be somebody's guess at an answer to a request that was not sent. */
  protected override onEnd(last: boolean): void {
    if (!last) this.reusable = false;
    this.#events.onEnd();
  }

  protected override wrong(what: string): Error {
    return wrong(what);
  }

  protected override headTooLarge(): Error {
    return wrong(`a head of more than ${MAX_HEAD_BYTES} bytes`);
  }
}

function wrong(what: string): HttpAnswerError {
  return new HttpAnswerError(what);
}
