/**
 * What every provider folder implements. Pure: no clock, no randomness, no network. The gateway resolves an `Exchange` for each
 * target and operation when a table is loaded and only reads it on the request path.
 */
import type { Failure } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import type { Usage } from '../lib/usage.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';

export interface Provider {
  readonly kind: ProviderKind;
  /** null: this provider has no such operation. */
  exchange(target: Target, operation: Operation): Exchange | null;
}

/** Lower-case names; a repeated header's values are joined with `, `. */
export type AnswerHeaders = Readonly<Record<string, string | undefined>>;

export interface Exchange {
  /** Scheme, host and port, e.g. `https://api.openai.com`. */
  readonly origin: string;
  /**
   * Path and query for this call. `clientModel` is what the client named: it is used where the target has no model of its own
   * (Azure puts the deployment into the path). `undefined` where this exchange's path does not depend on it.
   */
  path(clientModel: string): string;
  /** Name, value, name, value …; the credential included. Content headers are the caller's. */
  readonly headers: readonly string[];
  /**
   * Reads a complete answer of any status. `body` is decoded (never compressed), and may be cut at the caller's bound, in
   * which case `complete` is false and a success is taken on trust.
   */
  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer;
  /** One reader a stream. Made only for a 200 with an event stream. */
  readStream(headers: AnswerHeaders): StreamReader;
}

export interface Answer {
  /** null: the client may have this answer. A model's own `refusal` is an answer, not a failure, unless a filter made it. */
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  readonly finishReason: string | null;
}

/** What one event of a stream is; a set of bits, because an event can be several of these at once. */
export const StreamEvent = {
  /** Carries the first or further output: text, refusal, tool name or arguments, reasoning, audio. Commits the stream. */
  Output: 1,
  /** Carries usage and nothing else that a client who did not ask for usage expects to see. */
  UsageOnly: 2,
  /** The reader's `failure` is set: the upstream reported an error or a filter. */
  Failed: 4,
  /** The transport's end mark (`[DONE]`); proof of nothing. */
  Done: 8,
} as const;

export interface StreamReader {
  /**
   * Reads one event. `data` is the event's data lines joined with `\n`; `event` its `event:` field or ''. A frame that cannot
   * be read sets `failure` to `malformed`. Returns `StreamEvent` bits.
   */
  read(event: string, data: string): number;
  /** Every choice has had its finish reason (or the dialect's final event came): the stream may end cleanly. */
  readonly finished: boolean;
  readonly finishReason: string | null;
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  /** Characters of output so far, to estimate usage where a provider gives none. */
  readonly outputChars: number;
}
