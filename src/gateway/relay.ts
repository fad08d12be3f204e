import type { RequestFacts } from '../dialects/facts.ts';
import type { MultipartBody } from '../dialects/multipart.ts';
import { spliceUsageCost, spliceUsageCostInFrame } from '../dialects/openai/answer.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { Clock } from '../lib/clock.ts';
import type { Failure } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import type { Demand, Reservation } from '../limits/limiter.ts';
import { NO_LIMITS, NOTHING } from '../limits/local.ts';
import type { Answer, AnswerHeaders, Translation } from '../providers/provider.ts';
import { redactErrorBody } from '../providers/shared/redact.ts';
import type { Plan } from '../selection/types.ts';
import { AnswerHead } from './answer-headers.ts';
import { addLimitHeaders, sendError, streamErrorEvent } from './answers.ts';
import type { UpstreamAnswer } from './answer-owner.ts';
import { Attempt, type AttemptHost, isEventStream } from './attempt.ts';
import type { ReplyHead } from '../dialects/neutral/reply.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { ClientStream } from './client-stream.ts';
import type { GatewayError } from './errors.ts';
import { exhaustedError, interruptedError, SLOT_LOST } from './explanations.ts';
import { KeepAlive } from './keep-alive.ts';
import type { LoadedExchange, LoadedRoute } from './loaded-table.ts';
import { keepPins } from './pinned.ts';
import { countFailover, recordRelayed, recordSpilled } from './record.ts';
import type { RequestContext } from './request-context.ts';
import { endHold, tellHeadroom } from './attempt-effects.ts';
import { Choice } from './choice.ts';
import { costHeader, costOf, estimateUsage, isBilled, usageCost } from './settle.ts';
import { unpricedBecause } from './spending.ts';
import { type StructuredCheck, structuredCheckOf } from './structured.ts';
import { batchInput, type BatchUpload, leftOut as leftOutAt, passedBatch, upstreamHeaders } from './upstream-body.ts';

/**
 * Answers one admitted request: choose → attempt ⟲ failover → relay → settle. `begin` is called once; afterwards exactly one of
 * `#succeed`, `#refuse` or `clientGone` ends it and gives everything back.
 */
export class Relay implements AttemptHost {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  readonly facts: RequestFacts;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly run: RequestContext;
  readonly attempts: Attempt[] = [];
  firstOutputMs = 0;
  /** What its answer says of the cache; null: its route has none. */
  cacheHeader: 'miss' | 'bypass' | null = null;

  readonly loaded: LoadedRoute;
  readonly choice: Choice;
  #reservation: Reservation = NO_LIMITS;
  /** What providers told as used by attempts that failed: it is paid for all the same. */
  #spent: Demand = NOTHING;
  #current: Attempt | null = null;
  readonly #keepAlive: KeepAlive;
  #backoffTimer: NodeJS.Timeout | undefined;
  #committed = false;
  #over = false;
  /** Of the head of a stream by the first attempt, as long as that is under way. */
  #ahead: AnswerHead | null = null;

  constructor(run: RequestContext, loaded: LoadedRoute, body: ParsedBody | MultipartBody, facts: RequestFacts) {
    this.run = run;
    this.loaded = loaded;
    this.choice = new Choice(run, loaded, body, facts);
    this.facts = facts;
    this.clock = run.core.clock;
    this.budget = run.core.budget;
    this.stream = facts.stream;
    this.includeUsage = facts.includeUsage;
    this.clientStream = new ClientStream(run.exchange);
    this.#keepAlive = new KeepAlive(this, run.requestId, run.core.keepAliveAfterMs);
  }

  /** The client's; null once no target will need it. */
  get body(): ParsedBody | MultipartBody | null {
    return this.choice.body;
  }

  get plan(): Plan {
    return this.choice.plan;
  }

  header(name: string): string | undefined {
    return this.choice.header(name);
  }

  begin(reservation: Reservation): void {
    this.#reservation = reservation;
    reservation.onRevoked(() => this.abandon(SLOT_LOST));
    this.#enter(this.choice.first, false);
    if (!this.stream || this.#over) return;
    this.#keepAlive.start();
    // While the model works: when it has answered, a first token waits for nothing.
    const attempt = this.#current;
    // One that has failed at once is still the current one while Redis is asked for the next one's capacity.
    if (attempt === null || attempt.endedMs !== 0 || this.attempts.length !== 1) return;
    this.#ahead = this.#head(attempt, this.clock.nowMs());
    this.#ahead.writeAhead();
  }

  /** All streams are looked at now and then. */
  keepAlive(nowMs: number): void {
    this.#keepAlive.look(nowMs);
  }

  attemptFailed(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null): void {
    if (this.#over || attempt !== this.#current) return;
    this.#ahead = null;
    this.#closeAttempt(attempt, failure);
    this.#spend(attempt);
    this.choice.failed(this.loaded.targets.indexOf(attempt.target), failure);
    const next = this.choice.next(this.attempts, this.#committed);
    const target = next.stop === null ? this.loaded.targets[next.target] : undefined;
    if (next.stop !== null || target === undefined || (next.charged && !target.retryBudget.takeRetry(this.clock.nowMs()))) {
      this.#giveUp(attempt, failure, answer, next.stop ?? 'exhausted');
    } else if (next.backoffMs > 0) {
      this.#backoffTimer = setTimeout(() => this.#enterLater(next.target, next.charged), next.backoffMs);
    } else {
      this.#enter(next.target, next.charged);
    }
  }

  attemptAnswered(attempt: Attempt, upstream: UpstreamAnswer, answer: Answer): void {
    if (this.#over || attempt !== this.#current) return;
    this.firstOutputMs = this.clock.nowMs();
    const usage = answer.usage ?? estimateUsage(this.facts, upstream.body.length);
    const cost = this.#cost(attempt, usage);
    keepPins(this.run, this.loaded, attempt, this.body);
    // Before the headers, which say what is left.
    this.#settle(usage, cost);
    const headers = this.#headers(attempt, upstream.headers);
    let { body } = upstream;
    if (isBilled(this.facts.operation)) headers.push('x-fairlead-cost', costHeader(cost));
    if (this.header('x-fairlead-include-cost') === 'true') body = spliceUsageCost(body, usageCost(cost));
    this.clientStream.whole(upstream.status, headers, body);
    // What is noted of it comes after: an answer waits for nothing.
    this.#closeAttempt(attempt, null);
    this.#end(upstream.status, null, null, attempt, usage, cost, body.length);
  }

  attemptCommitted(attempt: Attempt, headers: AnswerHeaders, _status: number): void {
    this.#committed = true;
    if (!this.clientStream.opened) this.#open(attempt, headers);
  }

  attemptFlows(attempt: Attempt): void {
    keepPins(this.run, this.loaded, attempt, this.body);
    // Open streams are many and long: they hold nothing that they do not need.
    this.choice.body = null;
    this.#ahead = null;
    this.run.bodyDone();
    this.#keepAlive.stop();
    if (!this.stream) recordSpilled(this.run, attempt);
    this.firstOutputMs = this.clock.nowMs();
    attempt.place.health.succeeded(attempt.healthTicket, this.facts.operation, this.firstOutputMs);
    attempt.target.upstreamMetrics.firstToken((this.firstOutputMs - attempt.startedMs) / 1000);
  }

  attemptHead(attempt: Attempt, headers: AnswerHeaders): void {
    tellHeadroom(attempt, headers, this.facts, this.clock);
  }

  decorateUsage(attempt: Attempt, event: Buffer): Buffer {
    if (this.header('x-fairlead-include-cost') !== 'true') return event;
    const { usage } = attempt;
    return usage === null ? event : spliceUsageCostInFrame(event, usageCost(this.#cost(attempt, usage)));
  }

  attemptEnded(attempt: Attempt, last: Buffer | null, failure: Failure | null): void {
    if (this.#over || attempt !== this.#current) return;
    this.#closeAttempt(attempt, failure);
    keepPins(this.run, this.loaded, attempt, this.body);
    const usage = attempt.usage ?? estimateUsage(this.facts, attempt.outputChars);
    const cost = this.#cost(attempt, usage);
    // A filter that let the stream come to its proper end is told by the provider's own finish reason.
    if (failure === null || last !== null) {
      this.clientStream.end(last);
      this.#end(200, null, failure, attempt, usage, cost);
    } else if (failure.kind === 'client_gone') {
      this.clientStream.abort();
      this.#end(499, 'client_gone', failure, attempt, usage, cost);
    } else {
      this.#interrupt(interruptedError(failure, attempt), attempt);
      this.#end(200, 'stream_interrupted', failure, attempt, usage, cost);
    }
  }

  /** The client left: the upstream stops at once, and what was used until then is settled. */
  clientGone(): void {
    const attempt = this.#current;
    const gone: Failure = { kind: 'client_gone', message: 'the client closed the connection' };
    // What has failed already, before the next one begins, is in what was spent.
    const underWay = attempt !== null && attempt.endedMs === 0;
    if (attempt !== null) {
      attempt.cancel();
      this.#closeAttempt(attempt, gone);
    }
    const usage =
      attempt === null || !underWay
        ? null
        : (attempt.usage ?? (this.#committed ? estimateUsage(this.facts, attempt.outputChars) : null));
    this.#end(499, 'client_gone', gone, attempt, usage, this.#cost(attempt, usage));
  }

  /** The gateway cannot go on: a fault of its own, or the end of its drain. What the client has had of an answer is settled. */
  abandon(error: GatewayError): void {
    if (this.#over) return;
    const attempt = this.#current;
    attempt?.cancel();
    if (attempt !== null) this.#closeAttempt(attempt, { kind: 'client_gone', message: error.message });
    if (attempt === null || !this.#committed) {
      this.#refuse(error, attempt);
      return;
    }
    const usage = attempt.usage ?? estimateUsage(this.facts, attempt.outputChars);
    this.#interrupt(error, attempt);
    this.#end(this.run.exchange.status, error.code, attempt.failure, attempt, usage, this.#cost(attempt, usage));
  }

  /** Sends the next attempt to this target; where it has no room after all, to another one that has. */
  #enter(index: number, charged: boolean): void {
    const held = this.choice.hold(index);
    if (held instanceof Promise)
      held.then((holds) => this.#entered(index, charged, holds)).catch((error: unknown) => this.fault(error));
    else this.#entered(index, charged, held);
  }

  #entered(index: number, charged: boolean, held: Reservation | null): void {
    if (this.#over) {
      held?.release();
    } else if (held !== null) {
      this.#attempt(index, charged, held);
    } else {
      const other = this.choice.insteadOf(index, this.attempts);
      if (other !== null) this.#enter(other, charged);
      else this.#attempt(this.attempts.length === 0 ? this.choice.first : index, charged, NO_LIMITS);
    }
  }

  #attempt(index: number, charged: boolean, held: Reservation): void {
    const target = this.loaded.targets[index];
    if (target === undefined) throw new Error(`target ${index} of route ${this.loaded.route.id} is gone`);
    const exchange = target.exchange(this.facts.operation);
    if (exchange === null)
      throw new Error(
        `${target.target.provider} has no ${this.facts.operation}, but target ${target.target.name} was chosen for it`,
      );
    const place = target.place(exchange, this.attempts, this.facts.operation);
    const attempt = new Attempt(this, target, exchange, place, this.choice.policy.timeouts);
    attempt.held = held;
    const { lastTried, body } = this.choice;
    if (lastTried !== undefined) countFailover(this.loaded, lastTried, target.target.name);
    this.#current = attempt;
    this.attempts.push(attempt);
    attempt.healthTicket = place.health.started(attempt.startedMs, this.facts);
    if (body === null) throw new Error('an attempt after the commit');
    const unpriced = unpricedBecause(this.loaded, target, this.facts);
    const { translation } = exchange;
    const batch = batchInput(body);
    if (body.kind === 'json') attempt.outputBound = this.choice.allowance.outputBound(body, target);
    if (unpriced !== null) {
      attempt.failed({ kind: 'invalid_request', message: unpriced }, null);
    } else if (batch !== null) {
      this.#sendBatch(attempt, batch);
    } else if (translation === null || body.kind !== 'json') {
      const { bytes, dropped } = this.choice.allowance.passedBody(body, target, exchange, attempt.outputBound);
      attempt.dropped = dropped;
      attempt.send(exchange.path(this.facts.model, this.stream), this.#upstreamHeaders(exchange), bytes);
    } else {
      this.#sendTranslated(attempt, translation, body);
    }
    if (attempt.queued) this.run.core.metrics.upstreamQueued.add(1);
    // It is on its way by now.
    if (!charged) target.retryBudget.countRequest(attempt.startedMs);
  }

  #sendBatch(attempt: Attempt, batch: BatchUpload): void {
    const { exchange, target } = attempt;
    attempt.sendLater(exchange.path(this.facts.model, false), this.#upstreamHeaders(exchange), async (wanted) =>
      passedBatch(batch, target.edit, wanted),
    );
  }

  /** What the target lacks was asked before it was chosen; one that a filter's or an overflow's rule names is asked here. */
  #sendTranslated(attempt: Attempt, translation: Translation, body: ParsedBody): void {
    const { refusal, dropped } = leftOutAt(attempt.target, translation, body);
    if (refusal !== null) {
      attempt.failed(refusal, null);
      return;
    }
    attempt.dropped = dropped;
    const path = attempt.exchange.path(this.facts.model, this.stream);
    const { outputBound } = attempt;
    const asked = this.choice.allowance.body(body, attempt.target, outputBound);
    const written = translation.write(asked, (name) => this.header(name), outputBound);
    attempt.send(path, this.#upstreamHeaders(attempt.exchange), written);
  }

  #spend(attempt: Attempt): void {
    const { usage } = attempt;
    if (usage === null) return;
    const { tokens, nanoUsd } = this.#spent;
    this.#spent = {
      tokens: tokens + usage.inputTokens + usage.outputTokens,
      nanoUsd: nanoUsd + (this.#cost(attempt, usage) ?? 0),
    };
  }

  /** Null: nothing was answered. */
  #settle(usage: Usage | null, cost: number | null): void {
    const { tokens, nanoUsd } = this.#spent;
    if (usage === null) this.#reservation.release(this.#spent);
    else this.#reservation.settle(usage.inputTokens + usage.outputTokens + tokens, cost === null ? null : cost + nanoUsd);
  }

  /** null: unknown. */
  #cost(attempt: Attempt | null, usage: Usage | null): number | null {
    return attempt === null || usage === null ? null : costOf(attempt.target.pricing(this.facts.model), usage);
  }

  structuredCheck(): StructuredCheck | null {
    return structuredCheckOf(this.choice.structuredOutput, this.facts, this.body);
  }

  get askedBody(): ParsedBody | null {
    const { body } = this.choice;
    return body?.kind === 'json' ? body : null;
  }

  replyHead(attempt: Attempt): ReplyHead {
    const request = this.askedBody?.json;
    return {
      id: this.run.requestId.replaceAll(/[^\w-]/g, ''),
      createdSeconds: Math.floor(this.clock.wallMs() / 1000),
      model: attempt.target.target.model ?? this.facts.model,
      includeUsage: this.includeUsage,
      ...(request === undefined ? {} : { request }),
    };
  }

  #enterLater(index: number, charged: boolean): void {
    if (this.#over) return;
    try {
      this.#enter(index, charged);
    } catch (error) {
      this.fault(error);
    }
  }

  fault(error: unknown): void {
    this.run.fault(error);
  }

  #upstreamHeaders(exchange: LoadedExchange): string[] {
    return upstreamHeaders(exchange, this.run, this.body?.kind === 'multipart');
  }

  /** Books the attempt's end, once. */
  #closeAttempt(attempt: Attempt, failure: Failure | null): void {
    if (attempt.endedMs !== 0) return;
    const nowMs = this.clock.nowMs();
    attempt.endedMs = nowMs;
    attempt.failure = failure;
    const { connectMs } = attempt;
    if (connectMs !== null) this.run.core.metrics.upstreamConnect.observe(connectMs / 1000);
    const { health } = attempt.place;
    // A stream has told of its success when it committed.
    if (failure !== null) health.failed(attempt.healthTicket, failure, this.facts.operation, nowMs);
    else if (!this.#committed) health.succeeded(attempt.healthTicket, this.facts.operation, nowMs);
    health.finished(attempt.healthTicket);
    endHold(attempt);
    if (failure?.kind === 'auth') attempt.target.proofRefused();
    attempt.target.metrics.attemptEnded(failure === null ? 'ok' : failure.kind);
    if (failure?.kind === 'content_filtered') attempt.target.metrics.contentFiltered(failure.phase, failure.categories);
    const structured = attempt.structured?.state ?? null;
    if (structured !== null) attempt.target.metrics.structuredOutput(structured);
  }

  /** No further attempt. What the upstream said about the request itself is the client's to see; what it said about us is not. */
  #giveUp(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null, stop: string): void {
    // Before the headers, which say what is left.
    this.#settle(null, null);
    const itsOwn = stop === 'final' || stop === 'content-filter' || stop === 'context-overflow';
    if (!itsOwn || answer === null || !this.#passOn(attempt, failure, answer)) {
      this.#refuse(exhaustedError(this.attempts, failure, this.facts.operation), attempt);
    }
  }

  /** False: the client cannot take this answer for what it is, a refusal. */
  #passOn(attempt: Attempt, failure: Failure, { status, headers, body }: UpstreamAnswer): boolean {
    const asStream = this.stream && status < 300;
    let told = body;
    if (asStream) {
      if (status !== 200 || !isEventStream(headers['content-type'])) return false;
      if (!this.clientStream.opened) this.#open(attempt, headers);
      this.clientStream.end(body);
    } else {
      const refused = status < 300 ? failure.kind === 'content_filtered' : status >= 400 && status < 500 && status !== 401;
      if (!refused || this.clientStream.opened) return false;
      const { credential } = attempt.target.target;
      told = status < 300 ? body : redactErrorBody(body, credential?.value.reveal() ?? '');
      this.clientStream.whole(status, this.#headers(attempt, headers), told);
    }
    this.#end(status, failure.kind, failure, attempt, null, null, asStream ? this.clientStream.sentBytes : told.length);
    return true;
  }

  /** Ends an answer that has begun, so that no client takes it for whole. */
  #interrupt(error: GatewayError, attempt: Attempt | null): void {
    if (!this.stream) this.clientStream.abort();
    else this.clientStream.end(streamErrorEvent(this.facts.operation, error, attempt?.nextSequenceNumber ?? 0));
  }

  #refuse(error: GatewayError, attempt: Attempt | null): void {
    const { exchange, requestId } = this.run;
    if (this.clientStream.opened) {
      this.#interrupt(error, attempt);
    } else {
      const headers = ['x-fairlead-reason', this.reason(null), 'x-fairlead-attempts', String(this.attempts.length)];
      this.#settle(null, null);
      addLimitHeaders(headers, this.#reservation.remaining);
      sendError(exchange, requestId, { ...error, headers: [...headers, ...(error.headers ?? [])] }, this.facts.operation);
    }
    this.#end(exchange.status, error.code, attempt?.failure ?? null, null, null, null);
  }

  #end(
    status: number,
    errorCode: string | null,
    failure: Failure | null,
    served: Attempt | null,
    usage: Usage | null,
    cost: number | null,
    bytesOut = this.clientStream.sentBytes,
  ): void {
    this.#over = true;
    this.#keepAlive.stop();
    clearTimeout(this.#backoffTimer);
    this.#current = null;
    if (served !== null && usage?.estimated === false) served.target.outputs.learn(usage.outputTokens);
    this.#settle(usage, cost);
    this.clientStream.capture?.ended({ status, errorCode, failure, served, wallMs: this.clock.wallMs() });
    this.run.finished();
    recordRelayed(this, { status, errorCode, failure, served, usage, costNanoUsd: cost, reason: this.reason(served), bytesOut });
  }

  reason(served: Attempt | null): string {
    return this.choice.reason(served, this.attempts);
  }

  addKnownHeaders(headers: string[]): void {
    addLimitHeaders(headers, this.#reservation.remaining);
  }

  #headers(attempt: Attempt, upstream: AnswerHeaders): string[] {
    const nowMs = this.clock.nowMs();
    return this.#head(attempt, nowMs).whole(upstream, nowMs);
  }

  #open(attempt: Attempt, upstream: AnswerHeaders): void {
    const nowMs = this.clock.nowMs();
    const head = this.#ahead ?? this.#head(attempt, nowMs);
    this.#ahead = null;
    head.open(this.clientStream, upstream, nowMs);
  }

  #head(attempt: Attempt, nowMs: number): AnswerHead {
    const told = {
      requestId: this.run.requestId,
      reason: this.reason(attempt),
      attempts: this.attempts.length,
      cache: this.cacheHeader,
      allowance: this.choice.allowance,
    };
    return new AnswerHead(attempt, told, this.#reservation, nowMs);
  }
}
