/** The upstream's half of a translation: how a provider's dialect is written and read. */
import type { Conversation, Feature } from '../../dialects/neutral/conversation.ts';
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import type { BoundPaths } from '../../dialects/output-limit.ts';
import type { SignatureOwner } from '../../dialects/neutral/signature.ts';
import type { Failure } from '../../lib/failure.ts';
import type { Usage } from '../../lib/usage.ts';
import type { AnswerHeaders, Masked, StreamState } from '../provider.ts';
import { failureOf, type ErrorOrigin, type ErrorRule } from './classify.ts';
import { NO_FACTS, type ErrorFacts } from './error-facts.ts';
import type { FrameSource } from './frames.ts';

/** What an upstream speaks. */
export interface UpstreamDialect {
  /** What it, or this model of it, cannot do. */
  readonly lacks: ReadonlySet<Feature>;
  /** Whose thoughts it takes back: its own by their proofs, `all` as text, or none. */
  readonly thoughts: SignatureOwner | 'all' | null;
  readonly errors: readonly ErrorRule[];
  /** Where `write` puts the bound of the output first, then what else is one: the target's edits may set it. */
  readonly bounds: BoundPaths;
  /** Where the target's edits may ask for more than the one answer that is read; null: nowhere. */
  readonly answersAt: readonly string[] | null;
  /** Media type of its streams. */
  readonly streamType: string;
  frames(): FrameSource;
  /** The body of a call, without what `lacks` names. */
  write(conversation: Conversation, model: string): Record<string, unknown>;
  /** Reads a success that is complete and JSON. */
  read(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading;
  stream(sink: ReplySink, origin: StreamOrigin): UpstreamStream;
  /** What an HTTP error says beside its body; absent: nothing. */
  errorFacts?(headers: AnswerHeaders, facts: ErrorFacts): ErrorFacts;
}

/** Of a whole answer. */
export interface Reading {
  readonly failure: Failure | null;
  readonly usage: Usage | null;
  readonly finish: FinishReason | null;
  readonly stopSequence: string | null;
  readonly masked?: Masked;
}

export interface StreamOrigin {
  readonly headers: AnswerHeaders;
  readonly secret: string;
}

export interface UpstreamStream extends StreamState {
  /** `StreamEvent` bits. */
  read(event: string, data: string): number;
  /** The transport has ended: what that decides, as `read`'s bits. */
  end?(): number;
  readonly finishReason: FinishReason | null;
  readonly stopSequence: string | null;
}

export function shapeless(message: string, origin: ErrorOrigin): Reading {
  return failedReading(failureOf('malformed', { ...NO_FACTS, message }, origin));
}

export function failedReading(failure: Failure, usage: Usage | null = null): Reading {
  return { failure, usage, finish: null, stopSequence: null };
}
