import type { Failure } from '../lib/failure.ts';
import type { Answer, AnswerHeaders } from '../providers/provider.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { ClientStream } from './client-stream.ts';
import type { LoadedExchange } from './loaded-table.ts';
import type { StructuredCheck } from './structured.ts';

/** A complete upstream answer as it came, decoded. */
export interface UpstreamAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
}

/** The upstream call that an answer belongs to: what a `WholeAnswer` or `StreamAnswer` reads, tells and steers. */
export interface AnswerOwner {
  readonly exchange: LoadedExchange;
  /** Reads a complete answer; `client` of the result is what the client gets where it is not the bytes themselves. */
  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  /** The client asked for a stream. */
  readonly stream: boolean;
  /** The client asked for the usage chunk. */
  readonly includeUsage: boolean;
  /** null: the answer is not held to a schema. */
  readonly structured: StructuredCheck | null;
  /** Nothing has reached the client. `answer`: what the upstream said, where it said something whole. */
  failed(failure: Failure, answer: UpstreamAnswer | null): void;
  /** A whole answer that the client may have. */
  answered(upstream: UpstreamAnswer, answer: Answer): void;
  /** The stream's first output, or an answer too large to hold, goes out, and with it what was held: opens the client's side. */
  commit(headers: AnswerHeaders, status: number, first: Buffer): void;
  /** A stream's event with usage on its way to the client: may add the cost, else gives back the same buffer. */
  decorateUsage(event: Buffer): Buffer;
  /** After the commit: the answer has ended well, or (`failure`) broke. `last` are bytes still to be written. */
  ended(last: Buffer | null, failure: Failure | null): void;
  /** The client is behind, or has caught up. */
  pause(): void;
  resume(): void;
  /** The answer has ended, and the client needs no more of the body, which may still come to its end. */
  enough(): void;
  /** Ends the upstream's work at once. */
  cancel(): void;
}
