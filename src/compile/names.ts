/** Which route of a namespace owns a model name. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import type { ModelName } from '../routetable/types.ts';
import { byText } from '../routetable/order.ts';
import { byAge, objectId } from './snapshot.ts';

/** A name that a route asked for and does not get at one gateway. */
export interface LostName {
  readonly name: string;
  /** `namespace/name` of the route that has it. */
  readonly winner: string;
}

/**
 * Decides the names of one gateway's routes of one namespace: the oldest keeps a name, each other loses that name only. Exact
 * names and prefixes are different names. Returns what was lost; whoever lost nothing is not in it.
 */
export function lostNames(routes: readonly LLMRoute[]): ReadonlyMap<LLMRoute, readonly LostName[]> {
  const owners = new Map<string, LLMRoute>();
  let contested = false;
  for (const route of routes) {
    for (const name of route.spec.modelNames) {
      const owner = owners.get(name);
      if (owner !== undefined) contested = true;
      if (owner === undefined || byAge(route, owner) < 0) owners.set(name, route);
    }
  }
  const lost = new Map<LLMRoute, readonly LostName[]>();
  if (!contested) return lost;
  for (const route of routes) {
    const gone = route.spec.modelNames.flatMap((name) => {
      const owner = owners.get(name);
      return owner === undefined || owner === route ? [] : [{ name, winner: objectId(owner) }];
    });
    if (gone.length > 0) lost.set(route, gone);
  }
  return lost;
}

/** As the API writes it (`gpt-4o*`) → as the table has it. */
export function modelName(text: string): ModelName {
  return text.endsWith('*') ? { value: text.slice(0, -1), wildcard: true } : { value: text, wildcard: false };
}

/** Distinct names in canonical order. */
export function modelNames(texts: readonly string[]): readonly ModelName[] {
  return [...new Set(texts)].sort(byText).map(modelName);
}
