import type { Reservation } from '../limits/limiter.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import type { Allowance } from './allowance.ts';
import { addLimitHeaders, headerList, passedHeaders } from './answers.ts';
import type { Attempt } from './attempt.ts';
import { type ClientStream, STATUS as STREAM_STATUS } from './client-stream.ts';
import { type HeadAhead, headAhead } from './http1/answer-head.ts';

/** What the head of a relayed answer tells beside the upstream's own. */
export interface Told {
  readonly requestId: string;
  readonly reason: string;
  readonly attempts: number;
  /** null: the route has no cache. */
  readonly cache: 'miss' | 'bypass' | null;
  readonly allowance: Allowance;
}

/** After so long what the head says is left of the limits is read again: a model may have worked for long, and others have used them. */
const LEFT_IS_FRESH_MS = 1_000;

/** The head of a relayed answer, of which most is known, and written, once its request is sent: a first token does not wait for that. */
export class AnswerHead {
  readonly #attempt: Attempt;
  readonly #reservation: Reservation;
  /** Flat: name, value, …; without what frames the body. */
  readonly #headers: string[];
  /** What of them was known for good; the rest tells of the limits. */
  readonly #known: number;
  readonly #madeMs: number;
  #ahead: HeadAhead | null = null;

  /** `nowMs`: monotonic. */
  constructor(attempt: Attempt, told: Told, reservation: Reservation, nowMs: number) {
    this.#attempt = attempt;
    this.#reservation = reservation;
    this.#madeMs = nowMs;
    const headers = [
      'x-request-id',
      told.requestId,
      'x-fairlead-model',
      attempt.target.target.name,
      'x-fairlead-reason',
      told.reason,
      'x-fairlead-attempts',
      String(told.attempts),
    ];
    if (told.cache !== null) headers.push('x-fairlead-cache', told.cache);
    told.allowance.addHeaders(headers, attempt);
    this.#headers = headers;
    this.#known = headers.length;
    addLimitHeaders(headers, reservation.remaining);
  }

  /** Writes what is known, for a stream: its answer is still to come. */
  writeAhead(): void {
    this.#ahead = headAhead(STREAM_STATUS, this.#headers);
  }

  /** Opens a stream, with what its answer itself brings. */
  open(stream: ClientStream, upstream: AnswerHeaders, nowMs: number): void {
    const headers = this.whole(upstream, nowMs);
    stream.open(headers, this.#ahead);
  }

  /** With what the answer itself brings. Once. */
  whole(upstream: AnswerHeaders, nowMs: number): string[] {
    const headers = this.#headers;
    if (nowMs - this.#madeMs > LEFT_IS_FRESH_MS) {
      this.#ahead = null;
      headers.length = this.#known;
      addLimitHeaders(headers, this.#reservation.remaining);
    }
    const { leftOut } = this.#attempt;
    if (leftOut.length > 0) headers.push('x-fairlead-dropped', headerList(leftOut));
    const structured = this.#attempt.structured?.state ?? null;
    if (structured !== null) headers.push('x-fairlead-structured-output', structured);
    passedHeaders(headers, upstream);
    return headers;
  }
}
