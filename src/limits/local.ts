import type { Clock } from '../lib/clock.ts';
import type { Limit, LimitScope } from '../routetable/types.ts';
import { CounterStore, type CounterSet } from './counter-store.ts';
import type { Counter } from './counters.ts';
import type { LimitedRequest, Limiter, Rejection, Remaining, RemainingByUnit, Reservation } from './limiter.ts';

/** A client may invent model names where a route takes a wildcard; more than these, a key or tenant, share one counter. */
const MAX_MODEL_VALUES = 100;
const MAX_COUNTERS = 100_000;
/** Joins the values of several scopes that the client chooses. */
const SEPARATOR = '\u0000';

export const NO_LIMITS: Reservation = Object.freeze({ ok: true, remaining: Object.freeze({}), settle() {}, release() {} });

/**
 * The limiter of one process, in memory: in any span of time as long as a limit's window, no more than the limit is admitted,
 * and of steady demand at least 64/65 of it. Table loads keep what was counted.
 */
export class LocalLimiter implements Limiter {
  readonly #clock: Clock;
  readonly #store: CounterStore;
  /** What was resolved for a table's list of limits; goes with the table. */
  readonly #bound = new WeakMap<readonly Limit[], BoundLimits>();

  /** `maxCounters`: beyond this many, values that clients choose (model names, headers) get no counter of their own. */
  constructor(clock: Clock, maxCounters = MAX_COUNTERS) {
    this.#clock = clock;
    this.#store = new CounterStore(maxCounters);
  }

  /** Counters in memory. */
  get size(): number {
    return this.#store.size;
  }

  reserve(request: LimitedRequest): Reservation | Rejection {
    if (request.limits.length === 0) return NO_LIMITS;
    const nowMs = this.#clock.nowMs();
    const { limits } = this.#boundLimits(request);
    // One more than a request can add, so that forgetting keeps up with an attack that invents values.
    this.#store.evictIdle(limits.length + 1, nowMs);
    const tokens = request.tokens > 0 ? Math.ceil(request.tokens) : 0;
    const counters: Counter[] = [];
    let admitted = true;
    for (const limit of limits) {
      const counter = limit.counter(request);
      counters.push(counter);
      if (counter.room(limit.limit, nowMs) < limit.amount(tokens)) admitted = false;
    }
    if (!admitted) return rejection(limits, counters, tokens, nowMs);
    for (let i = 0; i < limits.length; i++) counters[i]?.take(limits[i]?.amount(tokens) ?? 0);
    return new LocalReservation(this.#clock, limits, counters, tokens, nowMs);
  }

  #boundLimits(request: LimitedRequest): BoundLimits {
    const known = this.#bound.get(request.limits);
    if (known?.routeId === request.routeId) return known;
    const { routeId } = request;
    const bound = { routeId, limits: request.limits.map((limit) => new BoundLimit(routeId, limit, this.#store)) };
    this.#bound.set(request.limits, bound);
    return bound;
  }
}

interface BoundLimits {
  readonly routeId: string;
  readonly limits: readonly BoundLimit[];
}

/** A limit of a route with its scopes resolved: which value of a request groups, and which counts. */
class BoundLimit {
  readonly limit: number;
  readonly #definition: Limit;
  readonly #routeId: string;
  readonly #store: CounterStore;
  readonly #perKey: boolean;
  readonly #perTenant: boolean;
  readonly #perModel: boolean;
  readonly #headers: readonly string[];
  /** Combinations that get a counter each; null: the client chooses none of the values. */
  readonly #maxValues: number | null;
  #counters: CounterSet;

  constructor(routeId: string, definition: Limit, store: CounterStore) {
    this.limit = definition.limit;
    this.#definition = definition;
    this.#routeId = routeId;
    this.#store = store;
    this.#counters = store.set(routeId, definition);
    const headers = definition.per.filter((scope) => scope.kind === 'Header');
    this.#perKey = definition.per.some((scope) => scope.kind === 'APIKey');
    this.#perTenant = definition.per.some((scope) => scope.kind === 'Tenant');
    this.#perModel = definition.per.some((scope) => scope.kind === 'Model');
    this.#headers = headers.map((scope) => scope.name);
    const bounds = headers.map((scope) => scope.maxValues);
    if (this.#perModel) bounds.push(MAX_MODEL_VALUES);
    this.#maxValues = bounds.length === 0 ? null : bounds.reduce((combinations, bound) => combinations * bound);
  }

  get name(): string {
    return this.#definition.name;
  }

  get unit(): Limit['unit'] {
    return this.#definition.unit;
  }

  get scope(): LimitScope['kind'][] {
    return this.#definition.per.map((scope) => scope.kind);
  }

  amount(tokens: number): number {
    return this.#definition.unit === 'Tokens' ? tokens : 1;
  }

  counter(request: LimitedRequest): Counter {
    if (this.#counters.retired) this.#counters = this.#store.set(this.#routeId, this.#definition);
    // A key has one tenant, so the key alone tells both apart.
    const configured = this.#perKey ? request.apiKeyId : this.#perTenant ? request.tenant : '';
    if (this.#maxValues === null) return this.#counters.configured(configured);
    return this.#counters.chosen(configured, this.#chosenValue(request), this.#maxValues);
  }

  #chosenValue(request: LimitedRequest): string {
    let value = this.#perModel ? request.model : '';
    for (let i = 0; i < this.#headers.length; i++) {
      const header = request.header(this.#headers[i] ?? '') ?? '';
      value = i === 0 && !this.#perModel ? header : value + SEPARATOR + header;
    }
    return value;
  }
}

class LocalReservation implements Reservation {
  readonly ok = true;
  readonly #clock: Clock;
  readonly #limits: readonly BoundLimit[];
  readonly #counters: readonly Counter[];
  readonly #tokens: number;
  readonly #takenAtMs: number;
  #open = true;

  constructor(clock: Clock, limits: readonly BoundLimit[], counters: readonly Counter[], tokens: number, takenAtMs: number) {
    this.#clock = clock;
    this.#limits = limits;
    this.#counters = counters;
    this.#tokens = tokens;
    this.#takenAtMs = takenAtMs;
  }

  /** What is left at the moment of reading. */
  get remaining(): RemainingByUnit {
    return remainingByUnit(this.#limits, this.#counters, this.#clock.nowMs());
  }

  settle(actualTokens: number): void {
    // What is not a number of tokens proves nothing, so the estimate stands.
    this.#end(1, Number.isFinite(actualTokens) && actualTokens >= 0 ? Math.ceil(actualTokens) : this.#tokens);
  }

  release(): void {
    this.#end(0, 0);
  }

  #end(requests: number, tokens: number): void {
    if (!this.#open) return;
    this.#open = false;
    const nowMs = this.#clock.nowMs();
    for (let i = 0; i < this.#limits.length; i++) {
      const limit = this.#limits[i];
      const used = limit?.unit === 'Tokens' ? tokens : requests;
      this.#counters[i]?.settle(limit?.amount(this.#tokens) ?? 0, used, this.#takenAtMs, nowMs);
    }
  }
}

/** Names the limit that keeps the request out longest; waits for all of them. */
function rejection(limits: readonly BoundLimit[], counters: readonly Counter[], tokens: number, nowMs: number): Rejection {
  let worst: BoundLimit | undefined;
  let retryAfterMs = 0;
  let impossible = false;
  limits.forEach((limit, i) => {
    const amount = limit.amount(tokens);
    const counter = counters[i];
    if (counter === undefined || counter.room(limit.limit, nowMs) >= amount) return;
    const alone = amount > limit.limit;
    const waitMs = counter.waitMs(limit.limit, amount, nowMs);
    if (worst === undefined || (alone && !impossible) || (alone === impossible && waitMs > retryAfterMs)) worst = limit;
    impossible ||= alone;
    retryAfterMs = Math.max(retryAfterMs, waitMs);
  });
  if (worst === undefined) throw new Error('a rejection without a limit that rejects');
  return {
    ok: false,
    limitName: worst.name,
    scope: worst.scope,
    unit: worst.unit,
    limit: worst.limit,
    retryAfterMs,
    impossible,
    remaining: remainingByUnit(limits, counters, nowMs),
  };
}

function remainingByUnit(limits: readonly BoundLimit[], counters: readonly Counter[], nowMs: number): RemainingByUnit {
  const tightest: { requests?: Remaining; tokens?: Remaining } = {};
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i];
    const counter = counters[i];
    if (limit === undefined || counter === undefined || limit.unit === 'Concurrency') continue;
    const unit = limit.unit === 'Tokens' ? 'tokens' : 'requests';
    const remaining = Math.max(0, counter.room(limit.limit, nowMs));
    const known = tightest[unit];
    if (known !== undefined && known.remaining <= remaining) continue;
    tightest[unit] = { limit: limit.limit, remaining, resetMs: counter.resetMs(nowMs) };
  }
  return tightest;
}
