import type { Clock } from '../lib/clock.ts';
import type { Limit } from '../routetable/types.ts';
import { bindLimits, type BoundLimit, type BoundLimits } from './bound-limit.ts';
import { CounterStore } from './counter-store.ts';
import { type Counter, InFlight, SlidingWindow } from './counters.ts';
import { rejection, remainingByUnit } from './decision.ts';
import type { LimitedRequest, Limiter, Rejection, RemainingByUnit, Reservation } from './limiter.ts';

const MAX_COUNTERS = 100_000;

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
  /** What was resolved for a table's list of limits; goes with the table. */
  readonly #bound = new WeakMap<readonly Limit[], BoundLimits<Counter>>();

  /** `maxCounters`: beyond this many, values that clients choose (model names, headers) get no counter of their own. */
  constructor(clock: Clock, maxCounters = MAX_COUNTERS) {
    this.#clock = clock;
    this.#store = new CounterStore(
      maxCounters,
      ({ limit }, overflow) =>
        overflow?.successor() ?? (limit.windowMs === null ? new InFlight() : new SlidingWindow(limit.windowMs)),
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
    if (!admitted) {
      const short = (i: number): boolean =>
        (counters[i]?.room(limits[i]?.limit ?? 0, nowMs) ?? 0) < (limits[i]?.amount(tokens) ?? 0);
      return rejection(limits, counters, tokens, nowMs, short);
    }
    for (let i = 0; i < limits.length; i++) counters[i]?.take(limits[i]?.amount(tokens) ?? 0);
    return new LocalReservation(this.#clock, limits, counters, tokens, nowMs);
  }

  async close(): Promise<void> {}

  #boundLimits(request: LimitedRequest): BoundLimits<Counter> {
    const known = this.#bound.get(request.limits);
    if (known?.routeId === request.routeId) return known;
    const bound = bindLimits(request.routeId, request.limits, this.#store);
    this.#bound.set(request.limits, bound);
    return bound;
  }
}

class LocalReservation implements Reservation {
  readonly ok = true;
  readonly #clock: Clock;
  readonly #limits: readonly BoundLimit<Counter>[];
  readonly #counters: readonly Counter[];
  readonly #tokens: number;
  readonly #takenAtMs: number;
  #open = true;

  constructor(
    clock: Clock,
    limits: readonly BoundLimit<Counter>[],
    counters: readonly Counter[],
    tokens: number,
    takenAtMs: number,
  ) {
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

  /** Nobody but this process has its slots. */
  onRevoked(): void {}

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
