/** The routes of a compile in canonical order, each with what is remembered of it from one compile to the next. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { Memory } from './memo.ts';
import type { CompiledRoute, FinishedRoute } from './route.ts';
import { objectId } from './snapshot.ts';

export interface Slot {
  readonly route: LLMRoute;
  /** `LLMRoute/namespace/name`. */
  readonly key: string;
  /** One string object a namespace, so that comparing them is comparing pointers. */
  readonly namespace: string;
  compiled: Memory<CompiledRoute> | undefined;
  /** Made of `compiled` and of the names that were lost; null until then. */
  finished: FinishedRoute | null;
  /** What was lost when `finished` was made; empty where nothing was, as almost always. */
  lost: string;
  /** The number of the arrangement that last had this route. */
  seen: number;
}

const NEVER = -1;

export class Slots {
  readonly #slotOf = new WeakMap<LLMRoute, Slot>();
  readonly #namespaces = new Map<string, string>();
  #turn = 0;
  #routes: readonly LLMRoute[] = [];
  /** By the same index as `#routes`. */
  #given: readonly Slot[] = [];
  #sorted: readonly Slot[] = [];

  /**
   * One slot a route, sorted by key. Those of the last call are sorted already, so only new ones are put in their place; the same
   * list comes back where nothing has come or gone. Of two routes of one name one is taken, the same whatever their order.
   */
  arrange(routes: readonly LLMRoute[]): readonly Slot[] {
    const turn = ++this.#turn;
    const added: Slot[] = [];
    const given = routes.map((route, index) => {
      // A list mostly has its objects where they were: that is found without a look into the map.
      const before = this.#routes[index] === route ? this.#given[index] : undefined;
      const slot = before ?? this.#find(route);
      if (slot.seen !== turn) {
        if (slot.seen !== turn - 1) added.push(slot);
        slot.seen = turn;
      }
      return slot;
    });
    this.#routes = routes;
    this.#given = given;
    const kept = this.#sorted.filter((slot) => slot.seen === turn);
    if (added.length > 0 || kept.length < this.#sorted.length) this.#sorted = merged(kept, added);
    return this.#sorted;
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
      finished: null,
      lost: '',
      seen: NEVER,
    };
    this.#slotOf.set(route, slot);
    return slot;
  }
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
