import type { Clock } from '../../lib/clock.ts';
import type { BoundLimit } from '../bound-limit.ts';
import type { CounterStore } from '../counter-store.ts';
import { demandOf, remainingByUnit, usedOf, usedUnits } from '../decision.ts';
import type { Demand, HeldTo, LimitedRequest, RemainingByUnit, Reservation } from '../limiter.ts';
import { NOTHING } from '../local.ts';
import type { LeasedCounter, SlotHolder } from './leased-counter.ts';

/** Parts of a window are whole numbers from 0 on. */
const NOT_TAKEN = -1;

/** What one request takes of its counters, one after the other. */
export class Claim {
  readonly limits: readonly BoundLimit<LeasedCounter>[];
  readonly counters: readonly LeasedCounter[];
  readonly request: LimitedRequest;
  readonly demand: Demand;
  /** By limit: the part it was booked in, or NOT_TAKEN. */
  readonly #parts: number[];
  /** By limit, monotonic. */
  readonly #takenMs: number[];
  readonly #store: CounterStore<LeasedCounter>;

  constructor(request: LimitedRequest, limits: readonly BoundLimit<LeasedCounter>[], store: CounterStore<LeasedCounter>) {
    this.request = request;
    this.#store = store;
    this.limits = limits;
    this.counters = limits.map((limit) => limit.counter(request));
    this.demand = demandOf(request);
    // Of their length from the start: an array that grows keeps room for many more.
    this.#parts = limits.map(() => NOT_TAKEN);
    this.#takenMs = limits.map(() => 0);
  }

  /** All of it is in leases. */
  warm(nowMs: number): boolean {
    let warm = true;
    for (let i = 0; i < this.counters.length; i++) {
      if (this.counters[i]?.ready(this.limits[i]?.limit ?? 0, this.amount(i), nowMs) !== true) warm = false;
    }
    return warm;
  }

  counter(index: number): LeasedCounter {
    const counter = this.counters[index];
    if (counter === undefined) throw new Error(`limit ${index} has no counter`);
    return counter;
  }

  amount(index: number): number {
    return this.limits[index]?.amount(this.demand) ?? 0;
  }

  /** It is larger than the limit itself. */
  exceeds(index: number): boolean {
    return this.amount(index) > (this.limits[index]?.limit ?? 0);
  }

  open(): number[] {
    return this.counters.flatMap((_, i) => (this.#parts[i] === NOT_TAKEN ? [i] : []));
  }

  /** What is neither taken nor to be had from a lease at once. */
  lacking(nowMs: number): number[] {
    return this.open().filter((i) => !this.counter(i).ready(this.limits[i]?.limit ?? 0, this.amount(i), nowMs));
  }

  taken(index: number, part: number, nowMs: number): void {
    this.#parts[index] = part;
    this.#takenMs[index] = nowMs;
  }

  takeRest(nowMs: number): void {
    for (let i = 0; i < this.counters.length; i++) {
      if (this.#parts[i] !== NOT_TAKEN) continue;
      this.#parts[i] = this.counter(i).take(this.amount(i), nowMs);
      this.#takenMs[i] = nowMs;
    }
  }

  giveBack(nowMs: number): void {
    this.settle(0, NOTHING, nowMs);
  }

  settle(requests: number, actual: Demand, nowMs: number): void {
    for (let i = 0; i < this.counters.length; i++) {
      const part = this.#parts[i] ?? NOT_TAKEN;
      if (part === NOT_TAKEN) continue;
      const used = usedUnits(this.limits[i]?.unit, requests, actual);
      this.counter(i).settle(part, this.amount(i), used, this.#takenMs[i] ?? nowMs, nowMs);
    }
    this.#store.evictIdle(nowMs);
  }
}

export class SharedReservation implements Reservation, SlotHolder {
  readonly ok = true;
  readonly #clock: Clock;
  readonly #claim: Claim;
  #revoked: (() => void) | null = null;
  #open = true;
  readonly #heldTo: HeldTo | null;

  /** `heldTo`: what was held to while Redis is away; null: the limits themselves. */
  constructor(clock: Clock, claim: Claim, heldTo: HeldTo | null = null) {
    this.#clock = clock;
    this.#claim = claim;
    this.#heldTo = heldTo;
    for (const counter of claim.counters) counter.holdSlot(this);
  }

  /** What is left at the moment of reading. */
  get remaining(): RemainingByUnit {
    const remaining = remainingByUnit(this.#claim.limits, this.#claim.counters, this.#clock.nowMs());
    return this.#heldTo === null ? remaining : { ...remaining, heldTo: this.#heldTo };
  }

  settle(actualTokens: number, actualNanoUsd?: number | null): void {
    const { tokens, nanoUsd } = this.#claim.demand;
    this.#end(1, { tokens: usedOf(actualTokens, tokens), nanoUsd: usedOf(actualNanoUsd, nanoUsd) });
  }

  release(used: Demand = NOTHING): void {
    this.#end(0, demandOf(used));
  }

  onRevoked(end: () => void): void {
    this.#revoked = end;
  }

  slotLost(): void {
    this.#revoked?.();
    this.#revoked = null;
  }

  #end(requests: number, used: Demand): void {
    if (!this.#open) return;
    this.#open = false;
    for (const counter of this.#claim.counters) counter.freeSlot(this);
    this.#claim.settle(requests, used, this.#clock.nowMs());
  }
}
