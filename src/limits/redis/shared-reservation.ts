import type { Clock } from '../../lib/clock.ts';
import type { BoundLimit } from '../bound-limit.ts';
import { remainingByUnit } from '../decision.ts';
import type { RemainingByUnit, Reservation } from '../limiter.ts';
import type { LeasedCounter, SlotHolder } from './leased-counter.ts';

/** What one request takes of its counters, one after the other. */
export class Claim {
  readonly limits: readonly BoundLimit<LeasedCounter>[];
  readonly counters: readonly LeasedCounter[];
  readonly tokens: number;
  /** By limit: the part it was booked in; undefined: not taken. */
  readonly #parts: (number | undefined)[] = [];
  /** By limit, monotonic. */
  readonly #takenMs: number[] = [];

  constructor(limits: readonly BoundLimit<LeasedCounter>[], counters: readonly LeasedCounter[], tokens: number) {
    this.limits = limits;
    this.counters = counters;
    this.tokens = tokens;
  }

  counter(index: number): LeasedCounter {
    const counter = this.counters[index];
    if (counter === undefined) throw new Error(`limit ${index} has no counter`);
    return counter;
  }

  amount(index: number): number {
    return this.limits[index]?.amount(this.tokens) ?? 0;
  }

  /** It is larger than the limit itself. */
  exceeds(index: number): boolean {
    return this.amount(index) > (this.limits[index]?.limit ?? 0);
  }

  open(): number[] {
    return this.counters.flatMap((_, i) => (this.#parts[i] === undefined ? [i] : []));
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
      if (this.#parts[i] !== undefined) continue;
      this.#parts[i] = this.counter(i).take(this.amount(i), nowMs);
      this.#takenMs[i] = nowMs;
    }
  }

  giveBack(nowMs: number): void {
    this.settle(0, 0, nowMs);
  }

  settle(requests: number, tokens: number, nowMs: number): void {
    for (let i = 0; i < this.counters.length; i++) {
      const part = this.#parts[i];
      if (part === undefined) continue;
      const used = this.limits[i]?.unit === 'Tokens' ? tokens : requests;
      this.counter(i).settle(part, this.amount(i), used, this.#takenMs[i] ?? nowMs, nowMs);
    }
  }
}

export class SharedReservation implements Reservation, SlotHolder {
  readonly ok = true;
  readonly #clock: Clock;
  readonly #claim: Claim;
  #revoked: (() => void) | null = null;
  #open = true;

  constructor(clock: Clock, claim: Claim) {
    this.#clock = clock;
    this.#claim = claim;
    for (const counter of claim.counters) counter.holdSlot(this);
  }

  /** What is left at the moment of reading. */
  get remaining(): RemainingByUnit {
    return remainingByUnit(this.#claim.limits, this.#claim.counters, this.#clock.nowMs());
  }

  settle(actualTokens: number): void {
    // What is not a number of tokens proves nothing, so the estimate stands.
    const known = Number.isFinite(actualTokens) && actualTokens >= 0;
    this.#end(1, known ? Math.ceil(actualTokens) : this.#claim.tokens);
  }

  release(): void {
    this.#end(0, 0);
  }

  onRevoked(end: () => void): void {
    this.#revoked = end;
  }

  slotLost(): void {
    this.#revoked?.();
    this.#revoked = null;
  }

  #end(requests: number, tokens: number): void {
    if (!this.#open) return;
    this.#open = false;
    for (const counter of this.#claim.counters) counter.freeSlot(this);
    this.#claim.settle(requests, tokens, this.#clock.nowMs());
  }
}
