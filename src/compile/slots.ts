/** The routes of a compile in canonical order, each with what is remembered of it from one compile to the next. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { sharedEnds } from '../lib/shared-ends.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { Memory } from './memo.ts';
import type { Quotas } from './quotas-of.ts';
import type { CompiledRoute, FinishedRoute, LimitsAt } from './route.ts';
import { objectId } from './snapshot.ts';
import type { SoundVersion } from './sound-route.ts';

export interface Slot {
  readonly route: LLMRoute;
  /** `LLMRoute/namespace/name`. */
  readonly key: string;
  /** One string object a namespace, so that comparing them is comparing pointers. */
  readonly namespace: string;
  /** Its value is null where our own code failed on it. */
  compiled: Memory<CompiledRoute | null> | undefined;
  /** What quotas say of it, where `compiled` has a value. */
  limited: Memory<LimitsAt, Quotas> | undefined;
  /** Made of `compiled`, `limited` and of the names that were lost; null until then. */
  finished: FinishedRoute | null;
  /** What was lost when `finished` was made; empty where nothing was, as almost always. */
  lost: string;
  /** The last version of the route, this one included, that nothing of ours failed on; null: none was seen. */
  sound: SoundVersion | null;
  /** The number of the arrangement that last had this route. */
  seen: number;
}

export interface Arrangement {
  /** The very same list as in the last call where nothing has come or gone. */
  readonly sorted: readonly Slot[];
  /** Those that the last call did not have, and those that only it had. */
  readonly added: readonly Slot[];
  readonly removed: readonly Slot[];
}

const NEVER = -1;
/** Up to so many routes that came or went are put in their places one by one. */
const FEW = 64;

export class Slots {
  readonly #slotOf = new WeakMap<LLMRoute, Slot>();
  readonly #namespaces = new Map<string, string>();
  #turn = 0;
  #routes: readonly LLMRoute[] = [];
  #sorted: readonly Slot[] = [];

  /** One slot a route, sorted by key. Of two routes of one name one is taken, the same whatever their order. */
  arrange(routes: readonly LLMRoute[]): Arrangement {
    const edited = this.#edit(routes);
    if (edited !== null) return edited;
    const before = this.#sorted;
    const turn = ++this.#turn;
    const added: Slot[] = [];
    for (const route of routes) {
      const slot = this.#find(route);
      if (slot.seen === turn) continue;
      if (slot.seen !== turn - 1) added.push(slot);
      slot.seen = turn;
    }
    this.#routes = routes;
    const kept = before.filter((slot) => slot.seen === turn);
    if (added.length > 0 || kept.length < before.length) this.#sorted = merged(kept, added);
    const present = (slot: Slot): boolean => slot.seen === turn;
    return { sorted: this.#sorted, added: added.filter(present), removed: before.filter((slot) => !present(slot)) };
  }

  /** Where a few routes differ from the last call's, only those are touched; null: it is not so. */
  #edit(routes: readonly LLMRoute[]): Arrangement | null {
    const before = this.#routes;
    // With as many slots as routes there are no two of one name.
    if (before.length !== this.#sorted.length) return null;
    const { head, tail } = sharedEnds(before, routes);
    const gone = before.slice(head, before.length - tail);
    const come = routes.slice(head, routes.length - tail);
    if (gone.length + come.length > FEW) return null;
    if (gone.length + come.length === 0) return { sorted: this.#sorted, added: [], removed: [] };
    const sorted = [...this.#sorted];
    const removed = gone.map((route) => this.#find(route));
    for (const slot of removed) sorted.splice(placeOf(sorted, slot.key), 1);
    const added: Slot[] = [];
    for (const route of come) {
      const slot = this.#find(route);
      const at = placeOf(sorted, slot.key);
      // A rival, or the same route twice: nothing was changed yet.
      if (sorted[at]?.key === slot.key) return null;
      sorted.splice(at, 0, slot);
      added.push(slot);
    }
    for (const slot of removed) slot.seen = NEVER;
    for (const slot of added) slot.seen = this.#turn;
    this.#routes = routes;
    this.#sorted = sorted;
    return { sorted, added, removed };
  }

  #find(route: LLMRoute): Slot {
    const known = this.#slotOf.get(route);
    if (known !== undefined) return known;
    const { namespace } = route.metadata;
    const interned = this.#namespaces.get(namespace) ?? namespace;
    this.#namespaces.set(interned, interned);
    const slot: Slot = {
      route,
      key: `LLMRoute/${objectId(route)}`,
      namespace: interned,
      compiled: undefined,
      limited: undefined,
      finished: null,
      lost: '',
      sound: null,
      seen: NEVER,
    };
    this.#slotOf.set(route, slot);
    return slot;
  }
}

/** Where the slot of this key is, or would be. */
export function placeOf(sorted: readonly Slot[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byText(sorted[middle]?.key ?? '', key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merged(kept: readonly Slot[], added: Slot[]): readonly Slot[] {
  added.sort((a, b) => byText(a.key, b.key));
  const sorted: Slot[] = [];
  let next = 0;
  for (const slot of kept) {
    for (let candidate = added[next]; candidate !== undefined && candidate.key < slot.key; candidate = added[++next])
      place(sorted, candidate);
    place(sorted, slot);
  }
  for (const candidate of added.slice(next)) place(sorted, candidate);
  return sorted;
}

/** The loser of two routes of one name counts as never seen, so that it is new again at the next arrangement. */
function place(sorted: Slot[], slot: Slot): void {
  const last = sorted.at(-1);
  if (last === undefined || last.key !== slot.key) {
    sorted.push(slot);
    return;
  }
  const wins = digestOf(slot.route) < digestOf(last.route);
  if (wins) sorted[sorted.length - 1] = slot;
  (wins ? last : slot).seen = NEVER;
}
