/**
 * What every provider folder implements. Pure: no clock, no randomness, no network. The gateway resolves an `Exchange` for each
 * target and operation when a table is loaded and only reads it on the request path.
 */
import type { Failure } from '../lib/failure.ts';
import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import type { Operation } from '../lib/operation.ts';
import type { SecretValue } from '../lib/secret.ts';
import type { Usage } from '../lib/usage.ts';
import type { LostPart, ReplyHead } from '../dialects/neutral/reply.ts';
import type { BoundPaths } from '../dialects/output-limit.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';

export interface Provider {
  readonly kind: ProviderKind;
  /** Where its answers say what is left of its limits; empty: nowhere. */
  readonly headroom: readonly HeadroomHeader[];
  /** null: this provider has no such operation. */
  exchange(target: Target, operation: Operation): Exchange | null;
}

/** By lower-case names. */
export interface HeadroomHeader {
  readonly unit: HeadroomUnit;
  /** How many are left. */
  readonly remaining: string;
  /** Until all are free again: seconds, a duration (`1m3s`), or a point in time. null: it does not say. */
  readonly reset: string | null;
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
  /** Flat: what is said where neither `headers` nor the client's forwarded headers say it. Absent: nothing. */
  readonly headersUnsaid?: readonly string[];
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
   * Where bytes pass but for a few names that the upstream has for the same things, and for what only others understand: the body
   * with its own; null: nothing differs, bytes pass.
   */
  adapt?(body: Pick<ParsedBody, 'json' | 'outline'>): Adapted | null;
}

export interface Adapted {
  readonly json: Readonly<Record<string, unknown>>;
  /** Members that are left out, by the client's names. */
  readonly dropped: readonly string[];
}

/** Flat headers for a POST of this body to this path at this time (ms since the epoch). `keys`: of a target with an identity that signs. */
export type Sign = (path: string, body: Buffer, wallMs: number, keys?: SigningKeys) => Promise<readonly string[]>;

export interface SigningKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: SecretValue;
  /** null: the keys are not temporary ones. */
  readonly sessionToken: SecretValue | null;
}

/** Between a client and an upstream that do not speak the same: what is sent, and what the client gets, is written anew. */
export interface Translation {
  /** How streams come, e.g. `application/vnd.amazon.eventstream`; `text/event-stream` is always one. */
  readonly streamType: string;
  /** What of this request the upstream has no place for. Cheap beside `write`. */
  lacks(body: ParsedBody): Lacking;
  /** Where the upstream's bodies bound its output; empty: nowhere. */
  readonly bounds: BoundPaths;
  /** Where they say how many answers are wanted; null: nowhere, it is one. */
  readonly answersAt: readonly string[] | null;
  /**
   * The upstream's body, without what it lacks. `header`: the client's, for those that say it in the body. `maxOutputTokens`: no bound
   * in it is above that, whoever set it; null: as asked.
   */
  write(body: ParsedBody, header: (name: string) => string | undefined, maxOutputTokens: number | null): Buffer;
  /** The upstream is sent the client's own members; absent: what they mean, in its own. */
  readonly passesMembers?: true;
  /** Names of the request's headers that reach the upstream beside those of tracing. */
  readonly forwards: readonly string[];
  /** As `Exchange.readAnswer`; without `client` in the result the client gets the bytes. */
  answer(
    head: ReplyHead,
    status: number,
    headers: AnswerHeaders,
    body: Buffer,
    complete: boolean,
    /** What was asked, while it is kept. */
    asked?: ParsedBody,
  ): Answer;
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
  /** As `Answer.lost`, so far. */
  readonly lostParts: ReadonlySet<LostPart>;
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
  /** What of the upstream's answer the client's dialect has no place for; absent: nothing. */
  readonly lost?: readonly LostPart[];
  /** The upstream keeps it under this id; null or absent: it does not. */
  readonly storedId?: string | null;
  /** Reasoning in it that nobody but the account that gave it can read. */
  readonly encrypted?: readonly string[];
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
  /** `usage` is of a stream that has only begun: what its output uses is told at its end. */
  readonly outputUntold?: boolean;
  /** As `Answer.masked`. */
  readonly masked?: Masked | null;
  /** As `Answer.storedId`; known before the first output. */
  readonly storedId?: string | null;
  /** As `Answer.encrypted`; known at the end. */
  readonly encrypted?: readonly string[];
  /** Characters of output so far, to estimate usage where a provider gives none. */
  readonly outputChars: number;
}
