import type { RequestFacts } from '../dialects/facts.ts';
import { type MultipartBody, spliceMultipart } from '../dialects/multipart.ts';
import { spliceUsageCost, spliceUsageCostInFrame } from '../dialects/openai/answer.ts';
import type { ParsedBody } from '../dialects/request-body.ts';
import { SSE_KEEP_ALIVE } from '../dialects/sse.ts';
import type { Clock } from '../lib/clock.ts';
import type { Failure } from '../lib/failure.ts';
import { formatUsd } from '../lib/money.ts';
import type { Usage } from '../lib/usage.ts';
import type { Reservation } from '../limits/limiter.ts';
import { NO_LIMITS } from '../limits/local.ts';
import type { Answer, AnswerHeaders, Translation } from '../providers/provider.ts';
import { chooseInRule } from '../selection/choose.ts';
import { reasonHeader } from '../selection/explain.ts';
import { nextAttempt, type TriedTarget } from '../selection/failover.ts';
import { matchRule } from '../selection/match.ts';
import type { ChoiceInput, Plan, Unsupported } from '../selection/types.ts';
import { addLimitHeaders, headerList, passedHeaders, sendError, streamErrorEvent } from './answers.ts';
import type { UpstreamAnswer } from './answer-owner.ts';
import { Attempt, type AttemptHost, isEventStream } from './attempt.ts';
import type { ReplyHead } from '../dialects/neutral/reply.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { ClientStream } from './client-stream.ts';
import type { GatewayError } from './errors.ts';
import { exhaustedError, interruptedError, noCandidateError } from './explanations.ts';
import type { LoadedExchange, LoadedRoute } from './loaded-table.ts';
import { recordRelayed } from './record.ts';
import type { RequestContext } from './request-context.ts';
import { costMicroUsd, estimateUsage } from './settle.ts';
import { leftOut, passedBody, unsupportedBy } from './upstream-body.ts';

const SLOT_LOST: GatewayError = {
  code: 'limit_revoked',
  message: 'This gateway pod stood still for so long that the place of this request in a concurrency limit went to another one.',
};

/** Reserved for output where the client set no bound: a typical answer. What is used beyond it is owed. */
const DEFAULT_OUTPUT_TOKENS = 512;

/**
 * Answers one admitted request: choose → attempt ⟲ failover → relay → settle. `begin` is called once; afterwards exactly one of
 * `#succeed`, `#refuse` or `clientGone` ends it and gives everything back.
 */
export class Relay implements AttemptHost, ChoiceInput {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  readonly clientStream: ClientStream;
  readonly facts: RequestFacts;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly run: RequestContext;
  readonly attempts: Attempt[] = [];
  firstOutputMs = 0;

  readonly loaded: LoadedRoute;
  /** null once the answer is committed: no other target can be asked any more. */
  #body: ParsedBody | MultipartBody | null;
  readonly #tried: TriedTarget[] = [];
  #plan: Plan = NO_PLAN;
  #reservation: Reservation = NO_LIMITS;
  #current: Attempt | null = null;
  #keepAliveTimer: NodeJS.Timeout | undefined;
  #backoffTimer: NodeJS.Timeout | undefined;
  #committed = false;
  #over = false;

  constructor(run: RequestContext, loaded: LoadedRoute, body: ParsedBody | MultipartBody, facts: RequestFacts) {
    this.run = run;
    this.loaded = loaded;
    this.#body = body;
    this.facts = facts;
    this.clock = run.core.clock;
    this.budget = run.core.budget;
    this.stream = facts.stream;
    this.includeUsage = facts.includeUsage;
    this.clientStream = new ClientStream(run.response);
  }

  get route(): LoadedRoute['route'] {
    return this.loaded.route;
  }

  get tenant(): string {
    return this.run.caller.tenant;
  }

  get signals(): LoadedRoute['signals'] {
    return this.loaded.signals;
  }

  get plan(): Plan {
    return this.#plan;
  }

  /** Why the target at this index cannot serve all of the request; null: it can. Asked for where dialects are translated only. */
  unsupported: ((index: number) => Unsupported | null) | null = null;
  nowMs = 0;
  pick = 0;
  turn = 0;

  header(name: string): string | undefined {
    const value = this.run.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  random(): number {
    return this.run.core.random();
  }

  /** Prompt and expected output. */
  get reservedTokens(): number {
    return this.facts.promptTokens + (this.facts.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS);
  }

  /** Makes the plan; the error says why there is none. */
  choose(): GatewayError | null {
    const { selection, rules } = this.loaded;
    const rule = matchRule(selection.matchers, this);
    const state = rules[rule];
    if (state !== undefined) {
      this.pick = state.pick();
      state.turn += 1;
      this.turn = state.turn;
    }
    this.nowMs = this.clock.nowMs();
    if (this.loaded.translating.has(this.facts.operation)) this.unsupported = (index) => this.#unsupportedBy(index);
    this.#plan = chooseInRule(this, selection, rule);
    return this.#plan.order.length === 0 ? noCandidateError(this.#plan, this.loaded.route, this.facts) : null;
  }

  begin(reservation: Reservation): void {
    this.#reservation = reservation;
    reservation.onRevoked(() => this.abandon(SLOT_LOST));
    if (this.stream) this.#armKeepAlive();
    this.#attempt(this.#plan.order[0] ?? 0, false);
  }

  attemptFailed(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null): void {
    if (this.#over || attempt !== this.#current) return;
    this.#closeAttempt(attempt, failure);
    const index = this.loaded.targets.indexOf(attempt.target);
    this.#tried.push({ target: index, failure });
    const nowMs = this.clock.nowMs();
    const policy = this.loaded.route.rules[this.#plan.rule]?.failover;
    if (policy === undefined) throw new Error(`rule ${this.#plan.rule} of route ${this.loaded.route.id} is gone`);
    const next = nextAttempt(policy, {
      route: this.loaded.route,
      compiled: this.loaded.selection,
      plan: this.#plan,
      facts: this.facts,
      signals: this.loaded.signals,
      tried: this.#tried,
      committed: this.#committed,
      nowMs,
      random: () => this.random(),
    });
    const target = next.stop === null ? this.loaded.targets[next.target] : undefined;
    if (next.stop !== null || target === undefined || (next.charged && !target.retryBudget.takeRetry(nowMs))) {
      this.#giveUp(attempt, failure, answer, next.stop ?? 'exhausted');
      return;
    }
    const to = target.target.name;
    this.loaded.metrics.failedOver(attempt.target.target.name, to, next.reason);
    if (failure.kind === 'content_filtered') this.loaded.metrics.contentFilterFailedOver(failure.phase, to);
    if (next.backoffMs > 0) {
      this.#backoffTimer = setTimeout(() => this.#attemptLater(next.target, next.charged), next.backoffMs);
    } else {
      this.#attempt(next.target, next.charged);
    }
  }

  attemptAnswered(attempt: Attempt, upstream: UpstreamAnswer, answer: Answer): void {
    if (this.#over || attempt !== this.#current) return;
    this.#closeAttempt(attempt, null);
    this.firstOutputMs = this.clock.nowMs();
    const usage = answer.usage ?? estimateUsage(this.facts, upstream.body.length);
    const cost = costMicroUsd(attempt.target.target, usage);
    // Before the headers, which say what is left.
    this.#reservation.settle(usage.inputTokens + usage.outputTokens);
    const headers = this.#headers(attempt, upstream.headers);
    let { body } = upstream;
    if (cost !== null) {
      const usd = formatUsd(cost);
      headers.push('x-fairlead-cost', usd);
      if (this.header('x-fairlead-include-cost') === 'true') body = spliceUsageCost(body, usd);
    }
    this.clientStream.whole(upstream.status, headers, body);
    this.#end(upstream.status, null, null, attempt, usage, cost, body.length);
  }

  attemptCommitted(attempt: Attempt, headers: AnswerHeaders, _status: number): void {
    this.#committed = true;
    // Open streams are many and long: they hold nothing that they do not need.
    this.#body = null;
    this.run.bodyDone();
    clearTimeout(this.#keepAliveTimer);
    if (!this.stream) this.#tellSpilled(attempt);
    this.firstOutputMs = this.clock.nowMs();
    attempt.target.health.succeeded(attempt.healthTicket, this.facts.operation, this.firstOutputMs);
    attempt.target.upstreamMetrics.firstToken((this.firstOutputMs - attempt.startedMs) / 1000);
    if (!this.clientStream.opened) this.clientStream.open(this.#headers(attempt, headers));
  }

  decorateUsage(attempt: Attempt, event: Buffer): Buffer {
    if (this.header('x-fairlead-include-cost') !== 'true') return event;
    const usage = attempt.usage;
    const cost = usage === null ? null : costMicroUsd(attempt.target.target, usage);
    return cost === null ? event : spliceUsageCostInFrame(event, formatUsd(cost));
  }

  attemptEnded(attempt: Attempt, last: Buffer | null, failure: Failure | null): void {
    if (this.#over || attempt !== this.#current) return;
    this.#closeAttempt(attempt, failure);
    const usage = attempt.usage ?? estimateUsage(this.facts, attempt.outputChars);
    const cost = costMicroUsd(attempt.target.target, usage);
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
    if (attempt !== null) {
      attempt.cancel();
      this.#closeAttempt(attempt, gone);
    }
    const usage =
      attempt === null ? null : (attempt.usage ?? (this.#committed ? estimateUsage(this.facts, attempt.outputChars) : null));
    this.#end(
      499,
      'client_gone',
      gone,
      attempt,
      usage,
      attempt === null || usage === null ? null : costMicroUsd(attempt.target.target, usage),
    );
  }

  /** The gateway cannot go on: a fault of its own, or the end of its drain. */
  abandon(error: GatewayError): void {
    if (this.#over) return;
    const attempt = this.#current;
    attempt?.cancel();
    if (attempt !== null) this.#closeAttempt(attempt, { kind: 'client_gone', message: error.message });
    this.#refuse(error, attempt);
  }

  #attempt(index: number, charged: boolean): void {
    const target = this.loaded.targets[index];
    const policy = this.loaded.route.rules[this.#plan.rule]?.failover;
    if (target === undefined || policy === undefined) throw new Error(`target ${index} of route ${this.loaded.route.id} is gone`);
    const exchange = target.exchange(this.facts.operation);
    if (exchange === null)
      throw new Error(
        `${target.target.provider} has no ${this.facts.operation}, but target ${target.target.name} was chosen for it`,
      );
    const attempt = new Attempt(this, target, exchange, policy.timeouts);
    this.#current = attempt;
    this.attempts.push(attempt);
    attempt.healthTicket = target.health.started(attempt.startedMs);
    if (!charged) target.retryBudget.countRequest(attempt.startedMs);
    if (this.#body === null) throw new Error('an attempt after the commit');
    const { translation } = exchange;
    if (translation === null || this.#body.kind !== 'json') {
      const body =
        this.#body.kind === 'json' ? passedBody(this.#body, target, exchange) : spliceMultipart(this.#body, target.target.model);
      attempt.send(exchange.path(this.facts.model, this.stream), this.#upstreamHeaders(exchange), body);
    } else {
      this.#sendTranslated(attempt, translation, this.#body);
    }
    if (attempt.queued) this.run.core.metrics.upstreamQueued.add(1);
  }

  /** What the target lacks was asked before it was chosen; one that a filter's or an overflow's rule names is asked here. */
  #sendTranslated(attempt: Attempt, translation: Translation, body: ParsedBody): void {
    const { refusal, dropped } = leftOut(attempt.target, translation, body);
    if (refusal !== null) {
      attempt.failed(refusal, null);
      return;
    }
    attempt.dropped = dropped;
    for (const param of attempt.dropped) this.loaded.metrics.paramDropped(param.replaceAll(/\d+/g, 'N'));
    const path = attempt.exchange.path(this.facts.model, this.stream);
    const written = translation.write(body, (name) => this.header(name));
    const headers = this.#upstreamHeaders(attempt.exchange);
    const { sign } = attempt.exchange;
    if (sign === null) {
      attempt.send(path, headers, written);
      return;
    }
    sign(path, written, this.clock.wallMs())
      .then((proof) => {
        // The client may have left meanwhile.
        if (!this.#over && attempt === this.#current) attempt.send(path, [...headers, ...proof], written);
      })
      .catch((error: unknown) => this.fault(error));
  }

  #unsupportedBy(index: number): Unsupported | null {
    const target = this.loaded.targets[index];
    return target === undefined || this.#body?.kind !== 'json' ? null : unsupportedBy(target, this.facts.operation, this.#body);
  }

  replyHead(attempt: Attempt): ReplyHead {
    return {
      id: this.run.requestId.replaceAll(/[^\w-]/g, ''),
      createdSeconds: Math.floor(this.clock.wallMs() / 1000),
      model: attempt.target.target.model ?? this.facts.model,
      includeUsage: this.includeUsage,
    };
  }

  #attemptLater(index: number, charged: boolean): void {
    if (this.#over) return;
    try {
      this.#attempt(index, charged);
    } catch (error) {
      this.fault(error);
    }
  }

  fault(error: unknown): void {
    this.run.fault(error);
  }

  #upstreamHeaders(exchange: LoadedExchange): string[] {
    const headers = exchange.headers.slice();
    const { headers: sent } = this.run.request;
    headers.push(
      'content-type',
      (this.#body?.kind === 'multipart' ? sent['content-type'] : undefined) ?? 'application/json',
      'x-request-id',
      this.run.requestId,
    );
    for (const name of exchange.forwards) {
      const value = sent[name];
      if (typeof value === 'string') headers.push(name, value);
    }
    return headers;
  }

  /** Books the attempt's end, once. */
  #closeAttempt(attempt: Attempt, failure: Failure | null): void {
    if (attempt.endedMs !== 0) return;
    const nowMs = this.clock.nowMs();
    attempt.endedMs = nowMs;
    attempt.failure = failure;
    const { connectMs } = attempt;
    if (connectMs !== null) this.run.core.metrics.upstreamConnect.observe(connectMs / 1000);
    const { health } = attempt.target;
    // A stream has told of its success when it committed.
    if (failure !== null) health.failed(attempt.healthTicket, failure, this.facts.operation, nowMs);
    else if (!this.#committed) health.succeeded(attempt.healthTicket, this.facts.operation, nowMs);
    health.finished(attempt.healthTicket);
    attempt.target.metrics.attemptEnded(failure === null ? 'ok' : failure.kind);
    if (failure?.kind === 'content_filtered') attempt.target.metrics.contentFiltered(failure.phase);
  }

  /** No further attempt. What the upstream said about the request itself is the client's to see; what it said about us is not. */
  #giveUp(attempt: Attempt, failure: Failure, answer: UpstreamAnswer | null, stop: string): void {
    const itsOwn = stop === 'final' || stop === 'content-filter' || stop === 'context-overflow';
    if (!itsOwn || answer === null || !this.#passOn(attempt, failure, answer)) {
      this.#refuse(exhaustedError(this.attempts, failure), attempt);
    }
  }

  /** False: the client cannot take this answer for what it is, a refusal. */
  #passOn(attempt: Attempt, failure: Failure, { status, headers, body }: UpstreamAnswer): boolean {
    const asStream = this.stream && status < 300;
    if (asStream) {
      if (status !== 200 || !isEventStream(headers['content-type'])) return false;
      if (!this.clientStream.opened) this.clientStream.open(this.#headers(attempt, headers));
      this.clientStream.end(body);
    } else {
      const refused = status < 300 ? failure.kind === 'content_filtered' : status >= 400 && status < 500 && status !== 401;
      if (!refused || this.clientStream.opened) return false;
      this.clientStream.whole(status, this.#headers(attempt, headers), body);
    }
    this.#end(status, failure.kind, failure, attempt, null, null, asStream ? this.clientStream.sentBytes : body.length);
    return true;
  }

  /** Ends an answer that has begun, so that no client takes it for whole. */
  #interrupt(error: GatewayError, attempt: Attempt | null): void {
    if (!this.stream) this.clientStream.abort();
    else this.clientStream.end(streamErrorEvent(this.facts.operation, error, attempt?.nextSequenceNumber ?? 0));
  }

  #refuse(error: GatewayError, attempt: Attempt | null): void {
    const { response, requestId } = this.run;
    if (this.clientStream.opened) {
      this.#interrupt(error, attempt);
    } else {
      const headers = [
        'x-fairlead-reason',
        reasonHeader(this.#plan, this.loaded.route, this.#tried, null),
        'x-fairlead-attempts',
        String(this.attempts.length),
      ];
      this.#reservation.release();
      addLimitHeaders(headers, this.#reservation.remaining);
      sendError(response, requestId, { ...error, headers: [...headers, ...(error.headers ?? [])] }, this.facts.operation);
    }
    this.#end(response.statusCode, error.code, attempt?.failure ?? null, null, null, null);
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
    clearTimeout(this.#keepAliveTimer);
    clearTimeout(this.#backoffTimer);
    this.#current = null;
    // Whatever produced no output has used nothing: the reservation goes back whole.
    if (usage === null) this.#reservation.release();
    else this.#reservation.settle(usage.inputTokens + usage.outputTokens);
    this.run.finished();
    recordRelayed(this, { status, errorCode, failure, served, usage, costMicroUsd: cost, reason: this.reason(served), bytesOut });
  }

  reason(served: Attempt | null): string {
    const index = served === null ? null : this.loaded.targets.indexOf(served.target);
    // An attempt that failed before its first output is among those that were tried.
    const before = served !== null && this.#tried.length === this.attempts.length ? this.#tried.slice(0, -1) : this.#tried;
    return reasonHeader(this.#plan, this.loaded.route, before, index);
  }

  #headers(attempt: Attempt, upstream: AnswerHeaders): string[] {
    const headers = [
      'x-request-id',
      this.run.requestId,
      'x-fairlead-model',
      attempt.target.target.name,
      'x-fairlead-reason',
      this.reason(attempt),
      'x-fairlead-attempts',
      String(this.attempts.length),
    ];
    if (attempt.dropped.length > 0) headers.push('x-fairlead-dropped', headerList(attempt.dropped));
    passedHeaders(headers, upstream);
    addLimitHeaders(headers, this.#reservation.remaining);
    return headers;
  }

  #tellSpilled(attempt: Attempt): void {
    const { requestId, core } = this.run;
    const { name } = attempt.target.target;
    core.log.logger.info(
      { requestId, target: name },
      'an answer too large to hold was passed on before its end: it could not fail over',
    );
  }

  #armKeepAlive(): void {
    this.#keepAliveTimer = setTimeout(keepAlive, this.run.core.keepAliveAfterMs, this);
  }

  /** Nothing has reached the client for so long that a proxy in between may cut the connection. */
  keepAlive(): void {
    if (this.#over || this.#committed) return;
    if (!this.clientStream.opened) {
      this.clientStream.open([
        'content-type',
        'text/event-stream; charset=utf-8',
        'cache-control',
        'no-cache',
        'x-request-id',
        this.run.requestId,
      ]);
    }
    this.clientStream.write(SSE_KEEP_ALIVE, () => {});
    this.#armKeepAlive();
  }
}

const NO_PLAN: Plan = { rule: -1, order: [], reason: 'no-candidate', excluded: [] };

function keepAlive(relay: Relay): void {
  relay.keepAlive();
}
