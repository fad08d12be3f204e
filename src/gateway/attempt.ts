import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../lib/clock.ts';
import type { Failure } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import type { ReplyHead } from '../dialects/neutral/reply.ts';
import type { Answer, AnswerHeaders, Masked, Translation } from '../providers/provider.ts';
import type { CallSink, CallTimeouts } from '../upstream/call.ts';
import { UpstreamCall } from '../upstream/call.ts';
import { DecodingSink } from '../upstream/decode.ts';
import type { AnswerOwner, UpstreamAnswer } from './answer-owner.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { ClientStream } from './client-stream.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import { StreamAnswer } from './stream-answer.ts';
import { TranslatedAnswer } from './translated-answer.ts';
import { WholeAnswer } from './whole-answer.ts';

/** The request that an attempt serves; it decides what happens next. */
export interface AttemptHost {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  /** The client asked for a stream. */
  readonly stream: boolean;
  /** The client asked for the usage chunk. */
  readonly includeUsage: boolean;
  /** What an answer that is written anew is given. */
  replyHead(attempt: Attempt): ReplyHead;
  /** Nothing has reached the client. `answer`: what the upstream said, where it said something whole. */
  attemptFailed(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null): void;
  /** A whole answer that the client may have. */
  attemptAnswered(attempt: Attempt, upstream: UpstreamAnswer, answer: Answer): void;
  /** The stream's first output, or an answer too large to hold, is about to go out: opens the client's side. */
  attemptCommitted(attempt: Attempt, headers: AnswerHeaders, status: number): void;
  /** A stream's event with usage on its way to the client: may add the cost, else gives back the same buffer. */
  decorateUsage(attempt: Attempt, event: Buffer): Buffer;
  /** After the commit: the answer has ended well, or (`failure`) broke. `last` are bytes still to be written. */
  attemptEnded(attempt: Attempt, last: Buffer | null, failure: Failure | null): void;
  /** An invariant broke. */
  fault(error: unknown): void;
}

/** One upstream call for one request: sends it, sorts the answer into whole or streamed, and reports to its host. */
export class Attempt implements CallSink, AnswerOwner {
  readonly target: LoadedTarget;
  readonly exchange: LoadedExchange;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly startedMs: number;
  /** 0 while it is under way. */
  endedMs = 0;
  /** It had to wait for a connection. */
  queued = false;
  /** What `HealthBook` calls this attempt. */
  healthTicket = 0;
  /** Members of the request that the target had no place for, by the client's names. */
  dropped: readonly string[] = [];
  /** Once ended: why it failed, or null. */
  failure: Failure | null = null;
  readonly #host: AttemptHost;
  readonly #call: UpstreamCall;
  readonly #sink: DecodingSink;
  /** Of a whole answer. */
  #usage: Usage | null = null;
  /** Of a whole answer: something was taken out of it. */
  #masked: Masked | null = null;
  #answer: WholeAnswer | StreamAnswer | TranslatedAnswer | null = null;

  constructor(host: AttemptHost, target: LoadedTarget, exchange: LoadedExchange, timeouts: CallTimeouts) {
    this.#host = host;
    this.budget = host.budget;
    this.clientStream = host.clientStream;
    this.stream = host.stream;
    this.includeUsage = host.includeUsage;
    this.target = target;
    this.exchange = exchange;
    this.#sink = new DecodingSink(this);
    this.#call = new UpstreamCall(exchange.channel, this.#sink, timeouts, host.stream, host.clock);
    this.#sink.attach(this.#call);
    this.startedMs = this.#call.dispatchedMs;
  }

  send(path: string, headers: readonly string[], body: Buffer | readonly Buffer[]): void {
    this.queued = this.#call.start({ method: 'POST', path, headers, body });
  }

  /** Monotonic ms until the connection was there; null where the call never started. */
  get connectMs(): number | null {
    return this.#call.startedMs === 0 ? null : this.#call.startedMs - this.startedMs;
  }

  /** Of a stream, as far as it has come, and of a whole answer; null where the provider has not told. */
  get usage(): Usage | null {
    const answer = this.#answer;
    return answer === null || answer instanceof WholeAnswer ? this.#usage : answer.reader.usage;
  }

  /** Of what the client was sent; of a whole answer that was too large to hold, all its bytes. */
  get outputChars(): number {
    const answer = this.#answer;
    if (answer === null) return 0;
    if (answer instanceof WholeAnswer) return answer.spilling ? this.clientStream.sentBytes : 0;
    return answer.reader.outputChars;
  }

  /** What follows the last event that the client was sent, in a dialect that numbers its events. */
  get nextSequenceNumber(): number {
    const answer = this.#answer;
    return answer === null || answer instanceof WholeAnswer ? 0 : answer.nextSequenceNumber;
  }

  /** What a guardrail took out of an answer that is whole otherwise. */
  get masked(): Masked | null {
    return this.#answer instanceof TranslatedAnswer ? (this.#answer.reader.masked ?? null) : this.#masked;
  }

  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer {
    const { translation } = this.exchange;
    const answer =
      translation === null
        ? this.exchange.readAnswer(status, headers, body, complete)
        : translation.answer(this.#host.replyHead(this), status, headers, body, complete);
    this.#usage = answer.usage;
    this.#masked = answer.masked ?? null;
    return answer;
  }

  failed(failure: Failure, answer: UpstreamAnswer | null): void {
    this.#host.attemptFailed(this, failure, answer);
  }

  answered(upstream: UpstreamAnswer, answer: Answer): void {
    this.#host.attemptAnswered(this, upstream, answer);
  }

  commit(headers: AnswerHeaders, status: number): void {
    this.#host.attemptCommitted(this, headers, status);
    this.#call.committed();
  }

  decorateUsage(event: Buffer): Buffer {
    return this.#host.decorateUsage(this, event);
  }

  ended(last: Buffer | null, failure: Failure | null): void {
    this.#host.attemptEnded(this, last, failure);
  }

  pause(): void {
    this.#sink.pause();
  }

  resume(): void {
    this.#sink.resume();
  }

  /** Ends the upstream's work at once; nothing more is reported. */
  cancel(): void {
    this.#answer?.release();
    this.#sink.cancel();
  }

  onAnswer(status: number, headers: IncomingHttpHeaders): void {
    try {
      const flat = flatten(headers);
      const { translation } = this.exchange;
      const streamed = this.stream && status === 200 && isStream(flat['content-type'], translation);
      this.#answer = !streamed
        ? new WholeAnswer(this, status, flat)
        : translation === null
          ? new StreamAnswer(this, flat)
          : new TranslatedAnswer(this, translation.stream(this.#host.replyHead(this), flat));
    } catch (error) {
      this.#host.fault(error);
    }
  }

  onChunk(chunk: Buffer): void {
    try {
      this.#answer?.onChunk(chunk);
    } catch (error) {
      this.#host.fault(error);
    }
  }

  onComplete(): void {
    try {
      this.#answer?.onComplete();
    } catch (error) {
      this.#host.fault(error);
    }
  }

  onBroken(failure: Failure): void {
    try {
      if (this.#answer === null) this.#host.attemptFailed(this, failure, null);
      else this.#answer.onBroken(failure);
    } catch (error) {
      this.#host.fault(error);
    }
  }
}

function isStream(contentType: string | undefined, translation: Translation | null): boolean {
  if (isEventStream(contentType)) return true;
  return translation !== null && contentType !== undefined && contentType.toLowerCase().startsWith(translation.streamType);
}

/** Media types are told in any case. */
export function isEventStream(contentType: string | undefined): boolean {
  return contentType !== undefined && contentType.slice(0, EVENT_STREAM.length).toLowerCase() === EVENT_STREAM;
}

const EVENT_STREAM = 'text/event-stream';

/** Repeated headers joined; almost always there are none, and the object is taken as it is. */
function flatten(headers: IncomingHttpHeaders): AnswerHeaders {
  for (const name in headers) {
    if (Array.isArray(headers[name])) {
      return Object.fromEntries(
        Object.entries(headers).map(([key, value]) => [key, Array.isArray(value) ? value.join(', ') : value]),
      );
    }
  }
  return headers as AnswerHeaders;
}
