import { type Period, periodAt } from '../lib/calendar.ts';
import type { Limit, LimitScope } from '../routetable/types.ts';
import type { CounterSet, CounterStore, StoredCounter } from './counter-store.ts';
import type { Demand, LimitedRequest } from './limiter.ts';

/** A client may invent model names where a route takes a wildcard; more than these, a key or tenant, share one counter. */
const MAX_MODEL_VALUES = 100;
/** Joins the values of several scopes that the client chooses. */
const SEPARATOR = '\u0000';

/** Milliseconds since the epoch, on the clock that decides when a period of the calendar ends. */
export type DateClock = () => number;

/** What was resolved for a table's list of limits. */
export interface BoundLimits<C extends StoredCounter> {
  readonly routeId: string;
  readonly limits: readonly BoundLimit<C>[];
}

export function bindLimits<C extends StoredCounter>(
  routeId: string,
  limits: readonly Limit[],
  store: CounterStore<C>,
  dateMs: DateClock,
): BoundLimits<C> {
  return { routeId, limits: limits.map((limit) => new BoundLimit(routeId, limit, store, dateMs)) };
}

/** A limit of a route with its scopes resolved: which value of a request groups, and which counts. */
export class BoundLimit<C extends StoredCounter> {
  readonly limit: number;
  readonly unit: Limit['unit'];
  readonly definition: Limit;
  /** Whose counters it has: its route's, or those of all routes of a quota. */
  readonly #home: string;
  readonly #store: CounterStore<C>;
  readonly #perKey: boolean;
  readonly #perTenant: boolean;
  readonly #perModel: boolean;
  readonly #headers: readonly string[];
  /** Combinations that get a counter each; null: the client chooses none of the values. */
  readonly #maxValues: number | null;
  readonly #dateMs: DateClock;
  #period: Period | null = null;
  #counters: CounterSet<C>;

  constructor(routeId: string, definition: Limit, store: CounterStore<C>, dateMs: DateClock) {
    this.limit = definition.limit;
    this.unit = definition.unit;
    this.definition = definition;
    this.#home = homeOf(routeId, definition);
    this.#store = store;
    this.#dateMs = dateMs;
    this.#counters = this.#currentCounters();
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
    return this.definition.name;
  }

  get scope(): LimitScope['kind'][] {
    return this.definition.per.map((scope) => scope.kind);
  }

  amount({ tokens, nanoUsd }: Demand): number {
    return this.unit === 'Tokens' ? tokens : this.unit === 'USD' ? nanoUsd : 1;
  }

  /** All counters that it has now. */
  *counters(): Iterable<C> {
    const period = this.#period;
    if (this.#counters.retired || (period !== null && this.#dateMs() >= period.endMs)) return;
    yield* this.#counters.all();
  }

  counter(request: LimitedRequest): C {
    if (this.#counters.retired || this.#period !== null) this.#counters = this.#currentCounters();
    // A key has one tenant, so the key alone tells both apart.
    const configured = this.#perKey ? request.apiKeyId : this.#perTenant ? request.tenant : '';
    if (this.#maxValues === null) return this.#counters.configured(configured);
    return this.#counters.chosen(configured, this.#chosenValue(request), this.#maxValues);
  }

  #currentCounters(): CounterSet<C> {
    const { calendar } = this.definition;
    if (calendar !== undefined) {
      const nowMs = this.#dateMs();
      const known = this.#period;
      if (known !== null && nowMs >= known.startMs && nowMs < known.endMs && !this.#counters.retired) return this.#counters;
      this.#period = periodAt(calendar, nowMs);
    }
    return this.#store.set(this.#home, this.definition, this.#period);
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

/** Limits of one home and name share their counters. A route's `namespace/name` has one slash: nothing of a quota's is taken for it. */
export function homeOf(routeId: string, { quota, per }: Limit): string {
  if (quota === undefined) return routeId;
  return per.some(({ kind }) => kind === 'Route') ? `LLMQuota/${quota}/${routeId}` : `LLMQuota/${quota}`;
}
