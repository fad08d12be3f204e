import type { Failure } from '../lib/failure.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import type { AnswerOwner } from './answer-owner.ts';

/** Up to here an answer is held, so that one that turns out bad can still fail over; beyond it is passed on as it comes. */
const HELD_MAX_BYTES = 8 * 1024 * 1024;

/** Collects an answer that is not an event stream, and commits it at its end. */
export class WholeAnswer {
  readonly #owner: AnswerOwner;
  readonly #status: number;
  readonly #headers: AnswerHeaders;
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  /** Too large to hold: it flows to the client as it comes. */
  #spilling = false;

  constructor(owner: AnswerOwner, status: number, headers: AnswerHeaders) {
    this.#owner = owner;
    this.#status = status;
    this.#headers = headers;
  }

  onChunk(chunk: Buffer): void {
    if (this.#spilling) {
      this.#write(chunk);
      return;
    }
    const fits = this.#heldBytes + chunk.length <= HELD_MAX_BYTES && this.#owner.budget.take(chunk.length);
    if (fits) {
      this.#heldBytes += chunk.length;
      this.#chunks.push(chunk);
    } else if (this.#status < 300 && !this.#owner.stream && this.#owner.exchange.translation === null) {
      this.#spill(chunk);
    } else {
      // An error of this size says nothing more after its first 8 MiB; neither does a stream that is none.
      const body = Buffer.concat(this.#chunks, this.#heldBytes);
      const { failure } = this.#owner.readAnswer(this.#status, this.#headers, body, false);
      this.#owner.cancel();
      this.#owner.failed(failure ?? { kind: 'malformed', message: this.#owner.stream ? NOT_A_STREAM : TOO_LARGE }, null);
    }
  }

  onComplete(): void {
    if (this.#spilling) {
      this.#owner.ended(null, null);
      return;
    }
    const [only] = this.#chunks;
    const body = this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks, this.#heldBytes);
    this.release();
    const answer = this.#owner.readAnswer(this.#status, this.#headers, body, true);
    const { client } = answer;
    const upstream =
      client === undefined
        ? { status: this.#status, headers: this.#headers, body }
        : { status: client.status, headers: clientHeaders(this.#headers, client.contentType), body: client.body };
    if (answer.failure !== null) this.#owner.failed(answer.failure, upstream);
    else if (this.#owner.stream) this.#owner.failed({ kind: 'malformed', status: this.#status, message: NOT_A_STREAM }, null);
    else this.#owner.answered(upstream, answer);
  }

  onBroken(failure: Failure): void {
    this.release();
    if (this.#spilling) this.#owner.ended(null, failure);
    else this.#owner.failed(failure, null);
  }

  /** An answer too large to hold is on its way to the client. */
  get spilling(): boolean {
    return this.#spilling;
  }

  /** Gives back what is held. */
  release(): void {
    this.#owner.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
    this.#chunks = [];
  }

  #spill(chunk: Buffer): void {
    this.#spilling = true;
    const held = this.#chunks;
    this.release();
    const first = Buffer.concat([...held, chunk]);
    // For the id by which it is kept.
    this.#owner.readAnswer(this.#status, this.#headers, first, false);
    this.#owner.commit(this.#headers, this.#status, first);
  }

  #write(chunk: Buffer): void {
    const owner = this.#owner;
    if (!owner.clientStream.write(chunk, () => owner.resume())) owner.pause();
  }
}

/** The length and the encoding of what came say nothing of what is sent. */
function clientHeaders(headers: AnswerHeaders, contentType: string): AnswerHeaders {
  return { 'content-type': contentType, 'retry-after': headers['retry-after'] };
}

const TOO_LARGE = 'the answer is larger than 8 MiB, which is too much to be translated';
const NOT_A_STREAM = 'a streaming request was answered with something that is not an event stream';
