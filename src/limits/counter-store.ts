import type { Limit } from '../routetable/types.ts';
import { InFlight, SlidingWindow, type Counter } from './counters.ts';

/** A value longer than this is not kept as a key: it is counted with the overflow. */
const MAX_VALUE_CHARS = 256;

interface Entry {
  readonly counter: Counter;
  readonly group: CounterGroup;
  /** null: the group's overflow. */
  readonly value: string | null;
}

/** Counters of one limit, side by side, by value. What does not fit shares the overflow counter. */
interface CounterGroup {
  readonly set: CounterSet;
  readonly key: string;
  readonly byValue: Map<string, Counter>;
  overflow: Counter | null;
}

/** All counters of one limit of one route. Lives on over table loads as long as its window keeps its length. */
export class CounterSet {
  readonly id: string;
  readonly #limit: Limit;
  readonly #store: CounterStore;
  readonly groups = new Map<string, CounterGroup>();
  /** Its last counter was forgotten: whoever holds it must ask the store again. */
  retired = false;

  constructor(id: string, limit: Limit, store: CounterStore) {
    this.id = id;
    this.#limit = limit;
    this.#store = store;
  }

  /** The counter of a value that the configuration bounds (a key, a tenant). */
  configured(value: string): Counter {
    const group = this.#group('');
    return group.byValue.get(value) ?? this.#store.add(group, value, this.#newCounter());
  }

  /** The counter of a value that the client chose, within a group that it did not; at most `maxValues` a group. */
  chosen(groupKey: string, value: string, maxValues: number): Counter {
    const group = this.#group(groupKey);
    const known = group.byValue.get(value);
    if (known !== undefined) return known;
    if (group.byValue.size < maxValues && value.length <= MAX_VALUE_CHARS && !this.#store.full) {
      return this.#store.add(group, value, group.overflow?.successor() ?? this.#newCounter());
    }
    return group.overflow ?? this.#store.add(group, null, this.#newCounter());
  }

  #group(key: string): CounterGroup {
    let group = this.groups.get(key);
    if (group === undefined) {
      group = { set: this, key, byValue: new Map(), overflow: null };
      this.groups.set(key, group);
    }
    return group;
  }

  #newCounter(): Counter {
    return this.#limit.windowMs === null ? new InFlight() : new SlidingWindow(this.#limit.windowMs);
  }
}

/**
 * Every counter of the process. Bounded: what clients choose gets no counter of its own beyond `maxCounters`, and counters that
 * have been idle for their window are forgotten, a few at each request, so that no request pays for a sweep.
 */
export class CounterStore {
  readonly #sets = new Map<string, CounterSet>();
  readonly #entries: Entry[] = [];
  readonly #maxCounters: number;
  #cursor = 0;

  constructor(maxCounters: number) {
    this.#maxCounters = maxCounters;
  }

  get size(): number {
    return this.#entries.length;
  }

  get full(): boolean {
    return this.#entries.length >= this.#maxCounters;
  }

  /** A change of the limit's number keeps what was counted; a change of its window, unit or scopes starts anew. */
  set(routeId: string, limit: Limit): CounterSet {
    const id = JSON.stringify([routeId, limit.name, limit.unit, limit.windowMs, limit.per]);
    let set = this.#sets.get(id);
    if (set === undefined) {
      set = new CounterSet(id, limit, this);
      this.#sets.set(id, set);
    }
    return set;
  }

  add(group: CounterGroup, value: string | null, counter: Counter): Counter {
    if (value === null) group.overflow = counter;
    else group.byValue.set(value, counter);
    this.#entries.push({ counter, group, value });
    return counter;
  }

  /** Looks at the next `count` counters in turn and forgets the idle ones. */
  evictIdle(count: number, nowMs: number): void {
    for (let looked = 0; looked < count && this.#entries.length > 0; looked++) {
      if (this.#cursor >= this.#entries.length) this.#cursor = 0;
      const entry = this.#entries[this.#cursor];
      if (entry?.counter.idle(nowMs)) this.#forget(entry);
      else this.#cursor++;
    }
  }

  /** The last entry takes the place at the cursor. */
  #forget({ group, value }: Entry): void {
    const last = this.#entries.pop();
    if (last !== undefined && this.#cursor < this.#entries.length) this.#entries[this.#cursor] = last;
    if (value === null) group.overflow = null;
    else group.byValue.delete(value);
    if (group.byValue.size > 0 || group.overflow !== null) return;
    const { set } = group;
    set.groups.delete(group.key);
    if (set.groups.size > 0) return;
    set.retired = true;
    this.#sets.delete(set.id);
  }
}
