import type { Failure } from '../lib/failure.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import type { Attempt } from './attempt.ts';

/** Up to here an answer is held, so that one that turns out bad can still fail over; beyond it is passed on as it comes. */
const HELD_MAX_BYTES = 8 * 1024 * 1024;

/** Collects an answer that is not an event stream, and commits it at its end. */
export class WholeAnswer {
  readonly #attempt: Attempt;
  readonly #status: number;
  readonly #headers: AnswerHeaders;
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** Too large to hold: it flows to the client as it comes. */
  #spilling = false;

  constructor(attempt: Attempt, status: number, headers: AnswerHeaders) {
    this.#attempt = attempt;
    this.#status = status;
    this.#headers = headers;
  }

  onChunk(chunk: Buffer): void {
    if (this.#spilling) {
      this.#write(chunk);
      return;
    }
    const fits = this.#heldBytes + chunk.length <= HELD_MAX_BYTES && this.#attempt.host.budget.take(chunk.length);
    if (fits) {
      this.#heldBytes += chunk.length;
      this.#chunks.push(chunk);
    } else if (this.#status < 400 && !this.#attempt.host.stream) {
      this.#spill(chunk);
    } else {
      // An error of this size says nothing more after its first 8 MiB; neither does a stream that is none.
      const body = Buffer.concat(this.#chunks, this.#heldBytes);
      const { failure } = this.#attempt.exchange.readAnswer(this.#status, this.#headers, body, false);
      this.#attempt.cancel();
      this.#attempt.host.attemptFailed(this.#attempt, failure ?? { kind: 'malformed', message: NOT_A_STREAM }, null);
    }
  }

  onComplete(): void {
    if (this.#spilling) {
      this.#attempt.host.attemptEnded(this.#attempt, null, null);
      return;
    }
    const [only] = this.#chunks;
    const body = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#heldBytes);
    this.release();
    const { host } = this.#attempt;
    const answer = this.#attempt.exchange.readAnswer(this.#status, this.#headers, body, true);
    const upstream = { status: this.#status, headers: this.#headers, body };
    if (answer.failure !== null) host.attemptFailed(this.#attempt, answer.failure, upstream);
    else if (host.stream) host.attemptFailed(this.#attempt, { kind: 'malformed', status: this.#status, message: NOT_A_STREAM }, null);
    else host.attemptAnswered(this.#attempt, upstream, answer);
  }

  onBroken(failure: Failure): void {
    this.release();
    const { host } = this.#attempt;
    if (this.#spilling) host.attemptEnded(this.#attempt, null, failure);
    else host.attemptFailed(this.#attempt, failure, null);
  }

  /** Gives back what is held. */
  release(): void {
    this.#attempt.host.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#chunks = [];
  }

  #spill(chunk: Buffer): void {
    this.#spilling = true;
    this.#attempt.host.attemptCommitted(this.#attempt, this.#headers, this.#status);
    this.#attempt.committed();
    const held = this.#chunks;
    this.release();
    for (const piece of held) this.#write(piece);
    this.#write(chunk);
  }

  #write(chunk: Buffer): void {
    const attempt = this.#attempt;
    if (!attempt.host.clientStream.write(chunk, () => attempt.resume())) attempt.pause();
  }
}

const NOT_A_STREAM = 'a streaming request was answered with something that is not an event stream';
