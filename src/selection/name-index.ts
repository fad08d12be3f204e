import { ShardedMap } from '../lib/sharded-map.ts';
import type { Route } from '../routetable/types.ts';

/** Names of routes that admit the same callers. Where several routes have one, the first by id answers to it. */
export class NameIndex {
  static readonly EMPTY: NameIndex = new NameIndex(new ShardedMap(), new ShardedMap(), new Map());
  readonly exact: ShardedMap<readonly Route[]>;
  readonly prefixes: ShardedMap<readonly Route[]>;
  /** How many prefixes have each length. */
  readonly #counts: ReadonlyMap<number, number>;
  /** Of the prefixes, distinct, longest first: a lookup costs one map access for each, however many prefixes there are. */
  readonly #lengths: readonly number[];

  constructor(exact: ShardedMap<readonly Route[]>, prefixes: ShardedMap<readonly Route[]>, counts: ReadonlyMap<number, number>) {
    this.exact = exact;
    this.prefixes = prefixes;
    this.#counts = counts;
    this.#lengths = [...counts.keys()].sort((a, b) => b - a);
  }

  get empty(): boolean {
    return this.exact.size + this.prefixes.size === 0;
  }

  edited(edit: { readonly removed: readonly Route[]; readonly added: readonly Route[] } | undefined): NameIndex {
    if (edit === undefined) return this;
    const exact = this.exact.edit();
    const prefixes = this.prefixes.edit();
    const counts = new Map(this.#counts);
    const count = ({ length }: string, by: 1 | -1): void => {
      const now = (counts.get(length) ?? 0) + by;
      if (now === 0) counts.delete(length);
      else counts.set(length, now);
    };
    for (const route of edit.removed) {
      for (const { value, wildcard } of route.modelNames) {
        const names = wildcard ? prefixes : exact;
        const before = names.get(value);
        if (before === undefined) continue;
        const left = before.filter(({ id }) => id !== route.id);
        if (left.length > 0) {
          names.set(value, left);
        } else {
          names.delete(value);
          if (wildcard) count(value, -1);
        }
      }
    }
    for (const route of edit.added) {
      for (const { value, wildcard } of route.modelNames) {
        const names = wildcard ? prefixes : exact;
        const before = names.get(value);
        if (before === undefined) {
          names.set(value, [route]);
          if (wildcard) count(value, 1);
        } else if (!before.includes(route)) {
          names.set(value, insertedById(before, route));
        }
      }
    }
    return new NameIndex(exact.done(), prefixes.done(), counts);
  }

  longestPrefix(model: string): { readonly length: number; readonly route: Route } | undefined {
    for (const length of this.#lengths) {
      if (length > model.length) continue;
      const route = this.prefixes.get(model.slice(0, length))?.[0];
      if (route !== undefined) return { length, route };
    }
    return undefined;
  }
}

/** A list that is sorted by id, with one more: a name that thousands of teams use must not be sorted for each of them. */
function insertedById(routes: readonly Route[], route: Route): readonly Route[] {
  let low = 0;
  for (let high = routes.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((routes[middle]?.id ?? '') < route.id) low = middle + 1;
    else high = middle;
  }
  return routes.toSpliced(low, 0, route);
}
