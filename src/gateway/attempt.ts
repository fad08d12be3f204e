import { TokenError } from '../credentials/service.ts';
import type { Clock } from '../lib/clock.ts';
import type { Failure } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import type { Reservation } from '../limits/limiter.ts';
import { NO_LIMITS } from '../limits/local.ts';
import { type LostPart, lostName, type ReplyHead } from '../dialects/neutral/reply.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { Answer, AnswerHeaders, Masked, Sign, Translation } from '../providers/provider.ts';
import type { CallSink, CallTimeouts } from '../upstream/call.ts';
import { UpstreamCall } from '../upstream/call.ts';
import { DecodingSink } from '../upstream/decode.ts';
import type { AnswerOwner, UpstreamAnswer } from './answer-owner.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { ClientStream } from './client-stream.ts';
import type { LoadedExchange, LoadedTarget } from './loaded-table.ts';
import type { Place } from './service-targets.ts';
import { usedSoFar } from './settle.ts';
import { StreamAnswer } from './stream-answer.ts';
import type { StructuredCheck } from './structured.ts';
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
  /** null: answers are not held to a schema. */
  structuredCheck(): StructuredCheck | null;
  /** null: it is not JSON, or not kept any more. */
  readonly askedBody: ParsedBody | null;
  /** What an answer that is written anew is given. */
  replyHead(attempt: Attempt): ReplyHead;
  /** Nothing has reached the client. `answer`: what the upstream said, where it said something whole. */
  attemptFailed(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null): void;
  /** The head of the upstream's answer, whatever its status. */
  attemptHead(attempt: Attempt, headers: AnswerHeaders): void;
  /** A whole answer that the client may have. */
  attemptAnswered(attempt: Attempt, upstream: UpstreamAnswer, answer: Answer): void;
  /** The stream's first output, or an answer too large to hold, is about to go out: opens the client's side. */
  attemptCommitted(attempt: Attempt, headers: AnswerHeaders, status: number): void;
  /** And has. */
  attemptFlows(attempt: Attempt): void;
  /** A stream's event with usage on its way to the client: may add the cost, else gives back the same buffer. */
  decorateUsage(attempt: Attempt, event: Buffer): Buffer;
  /** After the commit: the answer has ended well, or (`failure`) broke. `last` are bytes still to be written. */
  attemptEnded(attempt: Attempt, last: Buffer | null, failure: Failure | null): void;
  /** An invariant broke. */
  fault(error: unknown): void;
}

const NOTHING: readonly string[] = [];

/** One upstream call for one request: sends it, sorts the answer into whole or streamed, and reports to its host. */
export class Attempt implements CallSink, AnswerOwner {
  readonly target: LoadedTarget;
  readonly exchange: LoadedExchange;
  readonly place: Place;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly structured: StructuredCheck | null;
  readonly startedMs: number;
  /** 0 while it is under way. */
  endedMs = 0;
  /** It had to wait for a connection. */
  queued = false;
  /** What `HealthBook` calls this attempt. */
  healthTicket = 0;
  /** It was asked for no longer answers than this many tokens each, which is less than the client asked for; null: for all of it. */
  outputBound: number | null = null;
  /** Its part of the target's capacity. */
  held: Reservation = NO_LIMITS;
  /** Members of the request that the target had no place for, by the client's names. */
  dropped: readonly string[] = [];
  /** Once ended: why it failed, or null. */
  failure: Failure | null = null;
  readonly #host: AttemptHost;
  readonly #call: UpstreamCall;
  readonly #sink: DecodingSink;
  /** Of a whole answer. */
  #usage: Usage | null = null;
  #finishReason: string | null = null;
  /** Of a whole answer: the upstream keeps it. */
  #storedId: string | null = null;
  #encrypted = NOTHING;
  /** Of a whole answer: something was taken out of it. */
  #masked: Masked | null = null;
  /** Of a whole answer: what the client's dialect has no place for. */
  #lost: readonly LostPart[] = [];
  #answer: WholeAnswer | StreamAnswer | TranslatedAnswer | null = null;
  /** Its head, as long as its host was not told. */
  #untold: AnswerHeaders | null = null;

  constructor(host: AttemptHost, target: LoadedTarget, exchange: LoadedExchange, place: Place, timeouts: CallTimeouts) {
    this.#host = host;
    this.budget = host.budget;
    this.clientStream = host.clientStream;
    this.stream = host.stream;
    this.includeUsage = host.includeUsage;
    this.structured = host.structuredCheck();
    this.target = target;
    this.exchange = exchange;
    this.place = place;
    this.#sink = new DecodingSink(this);
    this.#call = new UpstreamCall(place.channel, this.#sink, timeouts, host.stream, host.clock);
    this.#sink.attach(this.#call);
    this.startedMs = this.#call.dispatchedMs;
  }

  send(path: string, headers: readonly string[], body: Buffer | readonly Buffer[]): void {
    const { sign } = this.exchange;
    if (sign === null) this.#start(path, headers, body);
    else this.#prove(sign, path, headers, Buffer.isBuffer(body) ? body : Buffer.concat(body));
  }

  /** A body that takes longer to write than others may wait for. */
  sendLater(path: string, headers: readonly string[], write: (wanted: () => boolean) => Promise<readonly Buffer[] | null>): void {
    // The client may leave meanwhile.
    const wanted = (): boolean => this.endedMs === 0;
    write(wanted)
      .then((written) => {
        if (written !== null && wanted()) this.send(path, headers, written);
      })
      .catch((error: unknown) => this.#host.fault(error));
  }

  #start(path: string, headers: readonly string[], body: Buffer | readonly Buffer[]): void {
    this.queued = this.#call.start({ method: 'POST', path, fixed: this.exchange.fixed, headers, body });
  }

  /** With what proves this very call, where the headers of all do not. */
  #prove(sign: Sign, path: string, headers: readonly string[], body: Buffer): void {
    sign(path, body, this.#host.clock.wallMs())
      .then((proof) => {
        // The client may have left meanwhile.
        if (this.endedMs === 0) this.#start(path, [...headers, ...proof], body);
      })
      .catch((error: unknown) => {
        if (!(error instanceof TokenError)) this.#host.fault(error);
        else if (this.endedMs === 0) this.failed({ kind: 'auth', message: error.message }, null);
      })
      // Another target has been asked within it.
      .catch((error: unknown) => this.#host.fault(error));
  }

  /** Monotonic ms until the connection was there; null where the call never started. */
  get connectMs(): number | null {
    return this.#call.startedMs === 0 ? null : this.#call.startedMs - this.startedMs;
  }

  /** Of a stream, as far as it has come, and of a whole answer; null where the provider has not told. */
  get usage(): Usage | null {
    const answer = this.#answer;
    return answer === null || answer instanceof WholeAnswer ? this.#usage : usedSoFar(answer.reader);
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

  /** The upstream keeps the answer under this id; null: it does not, or has not said so yet. */
  get storedId(): string | null {
    const answer = this.#answer;
    return answer instanceof StreamAnswer ? (answer.reader.storedId ?? null) : this.#storedId;
  }

  /** Of an answer that has ended: reasoning that nobody but its account can read. */
  get encrypted(): readonly string[] {
    const answer = this.#answer;
    return answer instanceof StreamAnswer ? (answer.reader.encrypted ?? NOTHING) : this.#encrypted;
  }

  /** What a guardrail took out of an answer that is whole otherwise. */
  get masked(): Masked | null {
    return this.#answer instanceof TranslatedAnswer ? (this.#answer.reader.masked ?? null) : this.#masked;
  }

  /** What of the request and of the answer so far was left out, by names for people and metrics. */
  get leftOut(): readonly string[] {
    const lost = this.#answer instanceof TranslatedAnswer ? [...this.#answer.reader.lostParts] : this.#lost;
    return lost.length === 0 ? this.dropped : [...this.dropped, ...lost.map(lostName)];
  }

  /** Why the model stopped; null: not told, or not yet. */
  get finishReason(): string | null {
    const answer = this.#answer;
    return answer === null || answer instanceof WholeAnswer ? this.#finishReason : answer.reader.finishReason;
  }

  readAnswer(status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer {
    const { translation } = this.exchange;
    const answer =
      translation === null
        ? this.exchange.readAnswer(status, headers, body, complete)
        : translation.answer(this.#host.replyHead(this), status, headers, body, complete, this.#host.askedBody ?? undefined);
    this.#usage = answer.usage;
    this.#finishReason = answer.finishReason;
    this.#masked = answer.masked ?? null;
    this.#lost = answer.lost ?? [];
    // What has not come to its end has not said whether it is kept.
    const kept = complete || this.#host.askedBody?.outline['store'] !== false;
    this.#storedId = translation === null && kept ? (answer.storedId ?? null) : null;
    this.#encrypted = translation === null ? (answer.encrypted ?? NOTHING) : NOTHING;
    return answer;
  }

  /** Before whatever comes next: but a first token does not wait for it. */
  #tellHead(): void {
    const headers = this.#untold;
    this.#untold = null;
    if (headers !== null) this.#host.attemptHead(this, headers);
  }

  failed(failure: Failure, answer: UpstreamAnswer | null): void {
    this.#tellHead();
    this.#host.attemptFailed(this, failure, answer);
  }

  answered(upstream: UpstreamAnswer, answer: Answer): void {
    const checked = this.structured === null ? upstream.body : this.structured.whole(upstream.body);
    if ('kind' in checked) this.#host.attemptFailed(this, checked, null);
    else if (checked === upstream.body) this.#host.attemptAnswered(this, upstream, answer);
    else this.#host.attemptAnswered(this, { ...upstream, body: checked }, answer);
  }

  commit(headers: AnswerHeaders, status: number, first: Buffer): void {
    this.#host.attemptCommitted(this, headers, status);
    const flowing = this.clientStream.write(first, () => this.resume());
    // All that is noted of it comes after: a first token waits for nothing.
    this.#tellHead();
    this.#host.attemptFlows(this);
    this.#call.committed();
    if (!flowing) this.pause();
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

  enough(): void {
    this.#sink.enough();
  }

  /** Ends the upstream's work at once; nothing more is reported. */
  cancel(): void {
    this.#tellHead();
    this.#answer?.release();
    this.#sink.cancel();
  }

  onAnswer(status: number, headers: AnswerHeaders): void {
    try {
      const { translation } = this.exchange;
      const streamed = this.stream && status === 200 && isStream(headers['content-type'], translation);
      this.#untold = headers;
      if (!streamed) this.#tellHead();
      this.#answer = !streamed
        ? new WholeAnswer(this, status, headers)
        : translation === null
          ? new StreamAnswer(this, headers)
          : new TranslatedAnswer(this, translation.stream(this.#host.replyHead(this), headers));
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
  if (contentType === undefined) return false;
  const type = contentType.slice(0, EVENT_STREAM.length);
  return type === EVENT_STREAM || type.toLowerCase() === EVENT_STREAM;
}

const EVENT_STREAM = 'text/event-stream';
