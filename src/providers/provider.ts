/**
 * What every provider folder implements. Pure: no clock, no randomness, no network. The gateway resolves an `Exchange` for each
 * target and operation when a table is loaded and only reads it on the request path.
 */
import type { Failure } from '../lib/failure.ts';
import type { JsonObject } from '../lib/json.ts';
import type { Operation } from '../lib/operation.ts';
import type { Usage } from '../lib/usage.ts';
import type { ReplyHead } from '../dialects/neutral/reply.ts';
import type { ParsedBody } from '../dialects/request-body.ts';
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
   * (Azure puts the deployment into the path). `stream`: some have another path for streams.
   */
  path(clientModel: string, stream: boolean): string;
  /** Name, value, name, value …; the credential included. Content headers are the caller's. */
  readonly headers: readonly string[];
  /**
   * Reads a complete answer of any status. `body` is decoded (never compressed), and may be cut at the caller's bound, in
   * which case `complete` is false and a success is taken on trust.
   */
  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer;
  /** One reader a stream. Made only for a 200 with an event stream. */
  readStream(headers: AnswerHeaders): StreamReader;
  /** null: the upstream speaks the client's dialect, and bytes pass. */
  readonly translation: Translation | null;
  /** Headers that prove one call; null or absent: `headers` do, always the same. */
  readonly sign?: Sign | null;
  /**
   * Where bytes pass but for a few names that the upstream has for the same things: the body with its own; null: nothing differs,
   * bytes pass. It then takes no `stream_options`.
   */
  adapt?(json: JsonObject): Record<string, unknown> | null;
}

/** Flat headers for a POST of this body to this path at this time (ms since the epoch). */
export type Sign = (path: string, body: Buffer, wallMs: number) => Promise<readonly string[]>;

/** Between a client and an upstream that do not speak the same: what is sent, and what the client gets, is written anew. */
export interface Translation {
  /** How streams come, e.g. `application/vnd.amazon.eventstream`; `text/event-stream` is always one. */
  readonly streamType: string;
  /** What of this request the upstream has no place for. Cheap beside `write`. */
  lacks(body: ParsedBody): Lacking;
  /** The upstream's body, without what it lacks. `header`: the client's, for those that say it in the body. */
  write(body: ParsedBody, header: (name: string) => string | undefined): Buffer;
  /** Names of the request's headers that reach the upstream beside those of tracing. */
  readonly forwards: readonly string[];
  /** As `Exchange.readAnswer`; without `client` in the result the client gets the bytes. */
  answer(head: ReplyHead, status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer;
  stream(head: ReplyHead, headers: AnswerHeaders): StreamTranslator;
}

/** By the client's names of the members. */
export interface Lacking {
  /** Wrong whoever answers; `message` says why. */
  readonly invalid: readonly { readonly param: string; readonly message: string }[];
  /** Another target may be able to; else the target's `unsupported` decides. */
  readonly refused: readonly string[];
  /** Hints that are left out in any case: the answer is as good without them. */
  readonly hints: readonly string[];
}

/** What the client is to get in place of the upstream's answer. */
export interface ClientAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/** Reads an upstream's stream and writes the client's. */
export interface StreamTranslator extends StreamState {
  push(chunk: Buffer): void;
  /** Nothing more will be pushed. */
  end(): void;
  /** Reads the next whole frame: `StreamEvent` bits, or -1 where more must be pushed first. */
  next(): number;
  /** What the frames read since the last call are to the client, framed; '' for nothing. */
  take(): string;
  /** What ends the client's stream well. */
  finish(): string;
  /** What follows the last event that was taken, in a dialect that numbers its events. */
  readonly nextSequenceNumber: number;
}

export interface Answer {
  /** null: the client may have this answer. A model's own `refusal` is an answer, not a failure, unless a filter made it. */
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  readonly finishReason: string | null;
  /** Something was taken out of the answer (a guardrail masked names), which is whole otherwise. */
  readonly masked?: Masked;
  /** What the client gets, where it does not get the upstream's bytes. */
  readonly client?: ClientAnswer;
}

export interface Masked {
  readonly phase: 'prompt' | 'completion';
  readonly categories: readonly string[];
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

export interface StreamReader extends StreamState {
  /**
   * Reads one event. `data` is the event's data lines joined with `\n`; `event` its `event:` field or ''. A frame that cannot
   * be read sets `failure` to `malformed`. Returns `StreamEvent` bits.
   */
  read(event: string, data: string): number;
}

export interface StreamState {
  /** Every choice has had its finish reason (or the dialect's final event came): the stream may end cleanly. */
  readonly finished: boolean;
  readonly finishReason: string | null;
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  /** As `Answer.masked`. */
  readonly masked?: Masked | null;
  /** Characters of output so far, to estimate usage where a provider gives none. */
  readonly outputChars: number;
}
