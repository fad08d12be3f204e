import type { Period } from '../lib/calendar.ts';
import type { Limit } from '../routetable/types.ts';

/**
 * What one limit counts for one combination of its scopes' values, in memory. The caller asks `room` first and then takes, in
 * one synchronous step, so that what it saw still holds.
 */
export interface Counter {
  /** What may still be taken now; below zero where an overrun is owed. */
  room(limit: number, nowMs: number): number;
  /** Takes what `room` has just granted for this moment. */
  take(amount: number): void;
  /** Ends one `take`, once: the difference between what was taken and what was used is refunded, or owed from now on. */
  settle(taken: number, used: number, takenAtMs: number, nowMs: number): void;
  /** Milliseconds until `amount` (at most `limit`) would be granted, were nothing else to come. Called after `room`; at least 1. */
  waitMs(limit: number, amount: number, nowMs: number): number;
  /** Milliseconds until nothing is counted any more. Called after `room`. */
  resetMs(nowMs: number): number;
  /** Nothing is counted and nothing is outstanding: forgetting it changes no decision. */
  idle(nowMs: number): boolean;
  /** A counter for somebody who may so far have been counted here among others: it must not let the two exceed the limit. */
  successor(): Counter;
}

/** A counter that can say when what it counted was used. */
export interface OwnUse extends Counter {
  /** What was counted, oldest last; it was used before `endMs`. */
  parts(nowMs: number): Iterable<{ readonly endMs: number; readonly amount: number }>;
}

/**
 * Parts a window is cut into. One more is counted, because the oldest is only partly inside the window and counts in full:
 * that makes every window of the limit's length exact, and leaves 64/65 of the limit to steady demand.
 */
const PARTS = 64;

/** A sliding window over a ring of sums. Amounts are whole numbers, so refunds leave no rounding behind. */
export class SlidingWindow implements OwnUse {
  readonly #partMs: number;
  #sums = Array.from({ length: PARTS + 1 }, () => 0);
  #total = 0;
  /** Number of the newest part since the clock's zero, and where it lies in the ring. */
  #part = 0;
  #head = 0;
  /** Takes that were not settled yet: their settlement must find this counter. */
  #open = 0;

  constructor(windowMs: number) {
    this.#partMs = windowMs / PARTS;
  }

  room(limit: number, nowMs: number): number {
    this.#advance(nowMs);
    return limit - this.#total;
  }

  take(amount: number): void {
    this.#open++;
    this.#add(0, amount);
  }

  settle(taken: number, used: number, takenAtMs: number, nowMs: number): void {
    this.#open--;
    if (used === taken) return;
    this.#advance(nowMs);
    if (used > taken) {
      this.#add(0, used - taken);
      return;
    }
    const age = this.#part - Math.floor(takenAtMs / this.#partMs);
    if (age <= PARTS) this.#add(age, used - taken);
  }

  waitMs(limit: number, amount: number, nowMs: number): number {
    const needed = this.#total + amount - limit;
    let age = PARTS;
    for (let freed = this.#sum(age); freed < needed && age > 0;) freed += this.#sum(--age);
    return this.#untilGoneMs(age, nowMs);
  }

  resetMs(nowMs: number): number {
    if (this.#total === 0) return 0;
    let age = 0;
    while (this.#sum(age) === 0) age++;
    return this.#untilGoneMs(age, nowMs);
  }

  idle(nowMs: number): boolean {
    return this.#open === 0 && Math.floor(nowMs / this.#partMs) - this.#part > PARTS;
  }

  *parts(nowMs: number): Iterable<{ readonly endMs: number; readonly amount: number }> {
    this.#advance(nowMs);
    for (let age = 0; age <= PARTS; age++) {
      const amount = this.#sum(age);
      if (amount !== 0) yield { endMs: (this.#part - age + 1) * this.#partMs, amount };
    }
  }

  /** Starts from everything counted here, as if one had used it all; it ages away within a window. */
  successor(): SlidingWindow {
    const copy = new SlidingWindow(this.#partMs * PARTS);
    copy.#sums = this.#sums.slice();
    copy.#total = this.#total;
    copy.#part = this.#part;
    copy.#head = this.#head;
    return copy;
  }

  #advance(nowMs: number): void {
    const part = Math.floor(nowMs / this.#partMs);
    let steps = part - this.#part;
    if (steps <= 0) return;
    this.#part = part;
    if (steps > PARTS) {
      this.#sums.fill(0);
      this.#total = 0;
      return;
    }
    for (; steps > 0; steps--) {
      this.#head = this.#head === PARTS ? 0 : this.#head + 1;
      this.#total -= this.#sums[this.#head] ?? 0;
      this.#sums[this.#head] = 0;
    }
  }

  /** `age`: parts back from the newest, 0 to PARTS. */
  #place(age: number): number {
    return this.#head >= age ? this.#head - age : this.#head - age + PARTS + 1;
  }

  #sum(age: number): number {
    return this.#sums[this.#place(age)] ?? 0;
  }

  #add(age: number, amount: number): void {
    const place = this.#place(age);
    this.#sums[place] = (this.#sums[place] ?? 0) + amount;
    this.#total += amount;
  }

  /** The whole millisecond strictly after the part leaves the ring. */
  #untilGoneMs(age: number, nowMs: number): number {
    return Math.floor((this.#part - age + PARTS + 1) * this.#partMs - nowMs) + 1;
  }
}

/** When a running request ends is not known; this is what a client is told to wait. */
const CONCURRENCY_RETRY_MS = 1_000;
const CONCURRENCY_KEPT_MS = 60_000;

/** Requests under way. Every take is one request, whatever its amount. */
export class InFlight implements OwnUse {
  #count = 0;
  /** Kept for a while, or a client that sends one request at a time would have a counter made for each. */
  #usedAtMs = 0;
  #before: InFlight | null;

  constructor(before: InFlight | null = null) {
    this.#before = before;
  }

  room(limit: number, nowMs: number): number {
    this.#usedAtMs = nowMs;
    const before = this.#before === null ? 0 : this.#before.#count;
    if (before === 0) this.#before = null;
    return limit - this.#count - before;
  }

  take(): void {
    this.#count++;
  }

  settle(): void {
    this.#count--;
  }

  waitMs(): number {
    return CONCURRENCY_RETRY_MS;
  }

  resetMs(): number {
    return this.#count === 0 ? 0 : CONCURRENCY_RETRY_MS;
  }

  idle(nowMs: number): boolean {
    return this.#count === 0 && nowMs - this.#usedAtMs > CONCURRENCY_KEPT_MS;
  }

  /** What runs has no age. */
  parts(): readonly [] {
    return [];
  }

  /** What runs here counts there too, until nothing runs here. */
  successor(): InFlight {
    return new InFlight(this);
  }
}

/** One period of the calendar, which has no past: what was used is counted until the period ends. */
export class PeriodSum implements OwnUse {
  readonly #period: Period;
  readonly #dateMs: () => number;
  #sum = 0;
  #open = 0;

  /** `dateMs`: milliseconds since the epoch, on the clock that the period was found by. */
  constructor(period: Period, dateMs: () => number) {
    this.#period = period;
    this.#dateMs = dateMs;
  }

  room(limit: number): number {
    return limit - this.#sum;
  }

  take(amount: number): void {
    this.#open++;
    this.#sum += amount;
  }

  settle(taken: number, used: number): void {
    this.#open--;
    this.#sum += used - taken;
  }

  waitMs(): number {
    return Math.max(1, Math.ceil(this.#period.endMs - this.#dateMs()));
  }

  resetMs(): number {
    return this.#sum === 0 ? 0 : this.waitMs();
  }

  /** What was used is forgotten with the period, and no sooner. */
  idle(): boolean {
    return this.#open === 0 && this.#dateMs() >= this.#period.endMs;
  }

  parts(nowMs: number): readonly { readonly endMs: number; readonly amount: number }[] {
    return this.#sum === 0 ? [] : [{ endMs: nowMs, amount: this.#sum }];
  }

  successor(): PeriodSum {
    const copy = new PeriodSum(this.#period, this.#dateMs);
    copy.#sum = this.#sum;
    return copy;
  }
}

/** `period`: that of a limit by the calendar. */
export function newCounter(limit: Limit, period: Period | null, dateMs: () => number): OwnUse {
  if (period !== null) return new PeriodSum(period, dateMs);
  return limit.windowMs === null ? new InFlight() : new SlidingWindow(limit.windowMs);
}
