import type { Period } from '../lib/calendar.ts';
import type { Limit } from '../routetable/types.ts';

/** A value longer than this is not kept as a key: it is counted with the overflow. */
const MAX_VALUE_CHARS = 256;

/** For each new counter two of the others are looked at, so that forgetting keeps up with an attack that invents values. */
const LOOKS_A_COUNTER = 2;
/** Where requests with new counters begin for long and none ends, what there is to look at is left to more than one of their ends. */
const MAX_LOOKS = 100;

/** What the store needs of a counter. */
export interface StoredCounter {
  /** Nothing is counted and nothing is outstanding: forgetting it changes no decision. */
  idle(nowMs: number): boolean;
}

/** Where a counter stands: which limit's it is, and for which values. */
export interface CounterPlace {
  readonly setId: string;
  readonly limit: Limit;
  /** Of a limit by the calendar: what this counter counts, and no other does. */
  readonly period: Period | null;
  /** What the configuration bounds, where the client chose `value`; else empty. */
  readonly group: string;
  /** null: the group's overflow. */
  readonly value: string | null;
}

/** `overflow`: the counter that whoever is counted here may so far have been counted in, among others. */
export type MakeCounter<C extends StoredCounter> = (place: CounterPlace, overflow: C | null) => C;

interface Entry<C extends StoredCounter> {
  readonly counter: C;
  readonly group: CounterGroup<C>;
  /** null: the group's overflow. */
  readonly value: string | null;
}

/** Counters of one limit, side by side, by value. What does not fit shares the overflow counter. */
class CounterGroup<C extends StoredCounter> {
  readonly set: CounterSet<C>;
  readonly key: string;
  readonly #byValue = new Map<string, C>();
  overflow: C | null = null;
  /**
   * Found last; null: none. Mostly it is asked for again, in a string that was just parsed: comparing that touches a tenth of the
   * memory that a Map does, which makes V8 intern it first.
   */
  #lastValue: string | null = null;
  #last: C | undefined;

  constructor(set: CounterSet<C>, key: string) {
    this.set = set;
    this.key = key;
  }

  get size(): number {
    return this.#byValue.size;
  }

  find(value: string): C | undefined {
    if (value === this.#lastValue) return this.#last;
    const found = this.#byValue.get(value);
    if (found === undefined) return undefined;
    this.#lastValue = value;
    this.#last = found;
    return found;
  }

  /** `value`: null is the overflow. */
  put(value: string | null, counter: C): void {
    if (value === null) this.overflow = counter;
    else this.#byValue.set(value, counter);
  }

  /** True: it has none left. */
  forget(value: string | null): boolean {
    if (value === null) this.overflow = null;
    else this.#byValue.delete(value);
    this.#lastValue = null;
    this.#last = undefined;
    return this.#byValue.size === 0 && this.overflow === null;
  }

  *all(): Iterable<C> {
    yield* this.#byValue.values();
    if (this.overflow !== null) yield this.overflow;
  }
}

/** All counters of one limit of one route, of one period where it has periods. Lives on over table loads as long as its window keeps its length. */
export class CounterSet<C extends StoredCounter> {
  readonly id: string;
  readonly #limit: Limit;
  readonly #period: Period | null;
  readonly #store: CounterStore<C>;
  readonly #groups = new Map<string, CounterGroup<C>>();
  /** Its last counter was forgotten: whoever holds it must ask the store again. */
  retired = false;

  constructor(id: string, limit: Limit, period: Period | null, store: CounterStore<C>) {
    this.id = id;
    this.#limit = limit;
    this.#period = period;
    this.#store = store;
  }

  /** The counter of a value that the configuration bounds (a key, a tenant). */
  configured(value: string): C {
    const group = this.#group('');
    return group.find(value) ?? this.#store.add(group, value, this.#newCounter('', value, null));
  }

  /** The counter of a value that the client chose, within a group that it did not; at most `maxValues` a group. */
  chosen(key: string, value: string, maxValues: number): C {
    const group = this.#group(key);
    const known = group.find(value);
    if (known !== undefined) return known;
    if (group.size < maxValues && value.length <= MAX_VALUE_CHARS && !this.#store.full) {
      return this.#store.add(group, value, this.#newCounter(key, value, group.overflow));
    }
    return group.overflow ?? this.#store.add(group, null, this.#newCounter(key, null, null));
  }

  *all(): Iterable<C> {
    for (const group of this.#groups.values()) yield* group.all();
  }

  /** Its last counter was forgotten. True: it has no other group. */
  forget(key: string): boolean {
    this.#groups.delete(key);
    this.retired = this.#groups.size === 0;
    return this.retired;
  }

  #group(key: string): CounterGroup<C> {
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new CounterGroup(this, key);
      this.#groups.set(key, group);
    }
    return group;
  }

  #newCounter(group: string, value: string | null, overflow: C | null): C {
    return this.#store.make({ setId: this.id, limit: this.#limit, period: this.#period, group, value }, overflow);
  }
}

/**
 * Every counter of the process. Bounded: what clients choose gets no counter of its own beyond `maxCounters`, and counters that
 * have been idle for their window are forgotten, a few at each request's end, so that no request pays for a sweep, or waits for it.
 */
export class CounterStore<C extends StoredCounter> {
  readonly make: MakeCounter<C>;
  readonly #sets = new Map<string, CounterSet<C>>();
  readonly #entries: Entry<C>[] = [];
  readonly #maxCounters: number;
  #cursor = 0;
  /** Counters to look at with the next request that ends. */
  #looks = 1;

  constructor(maxCounters: number, make: MakeCounter<C>) {
    this.#maxCounters = maxCounters;
    this.make = make;
  }

  get size(): number {
    return this.#entries.length;
  }

  get full(): boolean {
    return this.#entries.length >= this.#maxCounters;
  }

  /** A change of the limit's number keeps what was counted; a change of its window, unit or scopes starts anew. */
  set(routeId: string, limit: Limit, period: Period | null = null): CounterSet<C> {
    const span = period === null ? limit.windowMs : [period.startMs, period.endMs];
    const id = JSON.stringify([routeId, limit.name, limit.unit, span, limit.per]);
    let set = this.#sets.get(id);
    if (set === undefined) {
      set = new CounterSet(id, limit, period, this);
      this.#sets.set(id, set);
    }
    return set;
  }

  add(group: CounterGroup<C>, value: string | null, counter: C): C {
    this.#looks += LOOKS_A_COUNTER;
    group.put(value, counter);
    this.#entries.push({ counter, group, value });
    return counter;
  }

  /** At each request's end, admitted or not: looks at the next counter, or at as many as new ones ask for, and forgets the idle ones. */
  evictIdle(nowMs: number): void {
    const looks = Math.min(this.#looks, MAX_LOOKS);
    for (let i = 0; i < looks && this.#entries.length > 0; i++) {
      if (this.#cursor >= this.#entries.length) this.#cursor = 0;
      const entry = this.#entries[this.#cursor];
      if (entry?.counter.idle(nowMs)) this.#forget(entry);
      else this.#cursor++;
    }
    this.#looks = this.#entries.length === 0 ? 1 : Math.max(1, this.#looks - looks);
  }

  /** The last entry takes the place at the cursor. */
  #forget({ group, value }: Entry<C>): void {
    const last = this.#entries.pop();
    if (last !== undefined && this.#cursor < this.#entries.length) this.#entries[this.#cursor] = last;
    if (group.forget(value) && group.set.forget(group.key)) this.#sets.delete(group.set.id);
  }
}
