/** A table taken apart into what travels, is acknowledged and is refused by itself. */
import { sharedEnds } from '../lib/shared-ends.ts';
import { byText } from './order.ts';
import type { ClientKey, Endpoints, GatewaySettings, Route, RouteTable } from './types.ts';

export type EntryKind = 'settings' | 'clientKey' | 'endpoints' | 'route';

/**
 * `key` is what stays the same when the entry changes: a route's `namespace/name`, an endpoints' id, a client key's hash (its
 * Secret may hold several), the empty string for the one settings entry.
 */
export interface EntryName {
  readonly kind: EntryKind;
  readonly key: string;
}

export type Item = GatewaySettings | ClientKey | Endpoints | Route;

/** `item` null: the entry is gone. */
export interface Change extends EntryName {
  readonly item: Item | null;
}

/** The digests of what a pod has, by which a leader that never saw it knows what it lacks. */
export interface Inventory {
  readonly settings: string | null;
  /** Key and digest. */
  readonly clientKeys: readonly (readonly [string, string])[];
  readonly endpoints: readonly (readonly [string, string])[];
  readonly routes: readonly (readonly [string, string])[];
}

export const keyOfRoute = (route: Route): string => route.id;
export const keyOfEndpoints = (endpoints: Endpoints): string => endpoints.id;
export const keyOfClientKey = (key: ClientKey): string => key.sha256;

export function inventoryOf(table: RouteTable): Inventory {
  return {
    settings: table.settings.digest,
    clientKeys: table.clientKeys.map((key) => [key.sha256, key.digest]),
    endpoints: table.endpoints.map((endpoints) => [endpoints.id, endpoints.digest]),
    routes: table.routes.map((route) => [route.id, route.digest]),
  };
}

/** What makes `after` of `before`. Costs a comparison of references for each entry that both share. */
export function tableChanges(before: RouteTable | null, after: RouteTable): readonly Change[] {
  const changes: Change[] = [];
  if (before?.settings.digest !== after.settings.digest) changes.push({ kind: 'settings', key: '', item: after.settings });
  listChanges('clientKey', before?.clientKeys ?? [], after.clientKeys, keyOfClientKey, changes);
  listChanges('endpoints', before?.endpoints ?? [], after.endpoints, keyOfEndpoints, changes);
  listChanges('route', before?.routes ?? [], after.routes, keyOfRoute, changes);
  return changes;
}

/** What makes `after` of what somebody says they have, whatever order they say it in. */
export function changesFrom(have: Inventory, after: RouteTable): readonly Change[] {
  const changes: Change[] = [];
  if (have.settings !== after.settings.digest) changes.push({ kind: 'settings', key: '', item: after.settings });
  changesFromPairs('clientKey', have.clientKeys, after.clientKeys, keyOfClientKey, changes);
  changesFromPairs('endpoints', have.endpoints, after.endpoints, keyOfEndpoints, changes);
  changesFromPairs('route', have.routes, after.routes, keyOfRoute, changes);
  return changes;
}

function changesFromPairs<T extends ClientKey | Endpoints | Route>(
  kind: EntryKind,
  have: readonly (readonly [string, string])[],
  after: readonly T[],
  keyOf: (item: T) => string,
  changes: Change[],
): void {
  const left = new Map(have);
  for (const item of after) {
    const key = keyOf(item);
    if (left.get(key) !== item.digest) changes.push({ kind, key, item });
    left.delete(key);
  }
  for (const key of left.keys()) changes.push({ kind, key, item: null });
}

/** Both in canonical order. */
function listChanges<T extends ClientKey | Endpoints | Route>(
  kind: EntryKind,
  allBefore: readonly T[],
  allAfter: readonly T[],
  keyOf: (item: T) => string,
  changes: Change[],
): void {
  const { head, tail } = sharedEnds(allBefore, allAfter);
  const before = allBefore.slice(head, allBefore.length - tail);
  const after = allAfter.slice(head, allAfter.length - tail);
  let at = 0;
  for (const item of after) {
    let old = before[at];
    if (old === item) {
      at++;
      continue;
    }
    const key = keyOf(item);
    while (old !== undefined && byText(keyOf(old), key) < 0) {
      changes.push({ kind, key: keyOf(old), item: null });
      old = before[++at];
    }
    if (old !== undefined && keyOf(old) === key) {
      at++;
      if (old.digest === item.digest) continue;
    }
    changes.push({ kind, key, item });
  }
  for (const old of before.slice(at)) changes.push({ kind, key: keyOf(old), item: null });
}

/** `list` with some entries replaced, added, or (null) taken out; the same array where that changes nothing. In canonical order. */
export function withChanges<T>(
  list: readonly T[],
  changes: ReadonlyMap<string, T | null>,
  keyOf: (item: T) => string,
): readonly T[] {
  if (changes.size === 0) return list;
  const sorted = [...changes].sort(([a], [b]) => byText(a, b));
  const made: T[] = [];
  let from = 0;
  for (const [key, item] of sorted) {
    const at = position(list, key, keyOf, from);
    for (let i = from; i < at; i++) made.push(list[i] as T);
    const old = list[at];
    from = old !== undefined && keyOf(old) === key ? at + 1 : at;
    if (item !== null) made.push(item);
  }
  for (let i = from; i < list.length; i++) made.push(list[i] as T);
  return made;
}

export function findByKey<T>(list: readonly T[], key: string, keyOf: (item: T) => string): T | undefined {
  const found = list[position(list, key, keyOf)];
  return found !== undefined && keyOf(found) === key ? found : undefined;
}

/** Where `key` is or would be, from `from` on. */
function position<T>(list: readonly T[], key: string, keyOf: (item: T) => string, from = 0): number {
  let low = from;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (byText(keyOf(list[middle] as T), key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
