import type { Clock } from '../lib/clock.ts';
import type { Limit } from '../routetable/types.ts';
import { bindLimits, type BoundLimit, type BoundLimits } from './bound-limit.ts';
import { CounterStore } from './counter-store.ts';
import { type Counter, newCounter } from './counters.ts';
import { demandOf, limitUse, rejection, remainingByUnit, usedOf, usedShares, usedUnits } from './decision.ts';
import type { Demand, LimitedRequest, LimitUse, Limiter, Rejection, RemainingByUnit, Reservation } from './limiter.ts';

const MAX_COUNTERS = 100_000;

export const NOTHING: Demand = Object.freeze({ tokens: 0, nanoUsd: 0 });

export const NO_LIMITS: Reservation = Object.freeze({
  ok: true,
  remaining: Object.freeze({}),
  settle() {},
  release() {},
  onRevoked() {},
});

/**
 * The limiter of one process, in memory: in any span of time as long as a limit's window, no more than the limit is admitted,
 * and of steady demand at least 64/65 of it. Table loads keep what was counted.
 */
export class LocalLimiter implements Limiter {
  readonly #clock: Clock;
  readonly #store: CounterStore<Counter>;
  readonly #dateMs = (): number => this.#clock.wallMs();
  /** What was resolved for a table's list of limits; goes with the table. */
  readonly #bound = new WeakMap<readonly Limit[], BoundLimits<Counter>>();

  /** `maxCounters`: beyond this many, values that clients choose (model names, headers) get no counter of their own. */
  constructor(clock: Clock, maxCounters = MAX_COUNTERS) {
    this.#clock = clock;
    this.#store = new CounterStore(
      maxCounters,
      ({ limit, period }, overflow) => overflow?.successor() ?? newCounter(limit, period, this.#dateMs),
    );
  }

  /** Counters in memory. */
  get size(): number {
    return this.#store.size;
  }

  reserve(request: LimitedRequest): Reservation | Rejection {
    if (request.limits.length === 0) return NO_LIMITS;
    const nowMs = this.#clock.nowMs();
    const { limits } = this.#boundLimits(request);
    const demand = demandOf(request);
    const counters = limits.map((limit) => limit.counter(request));
    const refused = refusalOf(limits, counters, demand, nowMs);
    if (refused !== null) {
      this.#store.evictIdle(nowMs);
      return refused;
    }
    for (let i = 0; i < limits.length; i++) counters[i]?.take(limits[i]?.amount(demand) ?? 0);
    return new LocalReservation(this.#clock, this.#store, limits, counters, demand, nowMs);
  }

  usedShares(routeId: string, limits: readonly Limit[], index: number): Iterable<number> {
    const limit = this.#boundLimits({ routeId, limits }).limits[index];
    return limit === undefined ? [] : usedShares(limit.counters(), limit.limit, this.#clock.nowMs(), () => true);
  }

  refusal(request: LimitedRequest): Rejection | null {
    const { limits } = this.#boundLimits(request);
    const counters = limits.map((limit) => limit.counter(request));
    return refusalOf(limits, counters, demandOf(request), this.#clock.nowMs());
  }

  async look(request: LimitedRequest): Promise<readonly LimitUse[]> {
    const nowMs = this.#clock.nowMs();
    return this.#boundLimits(request).limits.map((limit) => limitUse(limit, limit.counter(request), nowMs));
  }

  async close(): Promise<void> {}

  #boundLimits(request: Pick<LimitedRequest, 'routeId' | 'limits'>): BoundLimits<Counter> {
    const known = this.#bound.get(request.limits);
    if (known?.routeId === request.routeId) return known;
    const bound = bindLimits(request.routeId, request.limits, this.#store, this.#dateMs);
    this.#bound.set(request.limits, bound);
    return bound;
  }
}

function refusalOf(
  limits: readonly BoundLimit<Counter>[],
  counters: readonly Counter[],
  demand: Demand,
  nowMs: number,
): Rejection | null {
  for (let i = 0; i < limits.length; i++) {
    if (isShort(limits[i], counters[i], demand, nowMs))
      return rejection(limits, counters, demand, nowMs, (at) => isShort(limits[at], counters[at], demand, nowMs));
  }
  return null;
}

function isShort(limit: BoundLimit<Counter> | undefined, counter: Counter | undefined, demand: Demand, nowMs: number): boolean {
  return limit !== undefined && counter !== undefined && counter.room(limit.limit, nowMs) < limit.amount(demand);
}

class LocalReservation implements Reservation {
  readonly ok = true;
  readonly #clock: Clock;
  readonly #store: CounterStore<Counter>;
  readonly #limits: readonly BoundLimit<Counter>[];
  readonly #counters: readonly Counter[];
  readonly #demand: Demand;
  readonly #takenAtMs: number;
  #open = true;

  constructor(
    clock: Clock,
    store: CounterStore<Counter>,
    limits: readonly BoundLimit<Counter>[],
    counters: readonly Counter[],
    demand: Demand,
    takenAtMs: number,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#limits = limits;
    this.#counters = counters;
    this.#demand = demand;
    this.#takenAtMs = takenAtMs;
  }

  /** What is left at the moment of reading. */
  get remaining(): RemainingByUnit {
    return remainingByUnit(this.#limits, this.#counters, this.#clock.nowMs());
  }

  settle(actualTokens: number, actualNanoUsd?: number | null): void {
    const { tokens, nanoUsd } = this.#demand;
    this.#end(1, { tokens: usedOf(actualTokens, tokens), nanoUsd: usedOf(actualNanoUsd, nanoUsd) });
  }

  release(used: Demand = NOTHING): void {
    this.#end(0, demandOf(used));
  }

  /** Nobody but this process has its slots. */
  onRevoked(): void {}

  #end(requests: number, used: Demand): void {
    if (!this.#open) return;
    this.#open = false;
    const nowMs = this.#clock.nowMs();
    for (let i = 0; i < this.#limits.length; i++) {
      const limit = this.#limits[i];
      const taken = limit?.amount(this.#demand) ?? 0;
      this.#counters[i]?.settle(taken, usedUnits(limit?.unit, requests, used), this.#takenAtMs, nowMs);
    }
    this.#store.evictIdle(nowMs);
  }
}
