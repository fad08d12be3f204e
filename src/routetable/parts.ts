/**
 * A table in parts: each entry belongs to one by a hash of its key. The digest of a table is that of its parts' digests, so that an
 * edit among thousands of entries costs the part that it is in, and a snapshot is written part by part.
 */
import { hash } from 'node:crypto';

import { keyOfClientKey, keyOfEndpoints, keyOfRoute, withChanges, type Change } from './entries.ts';
import type { ClientKey, Endpoints, GatewaySettings, ObjectName, Route, RouteTable } from './types.ts';

/** For all time: pods and snapshots of other versions count on it. */
export const TABLE_PARTS = 16;

/** What a table has besides its settings, each list in canonical order. */
export type TableEntries = Pick<RouteTable, 'clientKeys' | 'endpoints' | 'routes'>;

/** The entries of one part. */
export interface TablePart extends TableEntries {
  /** Of these, whatever the gateway and its settings. */
  readonly digest: string;
}

/** By number. */
export type TableParts = readonly TablePart[];

/** Which part has the entry of this key: the same for all time, whatever else there is. */
export function partOf(key: string): number {
  return Number.parseInt(hash('sha256', key, 'hex').slice(0, 4), 16) % TABLE_PARTS;
}

/** Costs a hash for each entry. */
export function partsOf(table: TableEntries): TableParts {
  const clientKeys = spread(table.clientKeys, keyOfClientKey);
  const endpoints = spread(table.endpoints, keyOfEndpoints);
  const routes = spread(table.routes, keyOfRoute);
  return Array.from({ length: TABLE_PARTS }, (_, part) =>
    partWith({ clientKeys: clientKeys[part] ?? [], endpoints: endpoints[part] ?? [], routes: routes[part] ?? [] }),
  );
}

interface PartChanges {
  readonly clientKeys: Map<string, ClientKey | null>;
  readonly endpoints: Map<string, Endpoints | null>;
  readonly routes: Map<string, Route | null>;
}

/** The parts after these changes; one that no change is in is the same object as before. */
export function changedParts(before: TableParts, changes: readonly Change[]): TableParts {
  const byPart = new Map<number, PartChanges>();
  for (const change of changes) {
    if (change.kind === 'settings') continue;
    const number = partOf(change.key);
    let part = byPart.get(number);
    if (part === undefined) byPart.set(number, (part = { clientKeys: new Map(), endpoints: new Map(), routes: new Map() }));
    put(part, change);
  }
  if (byPart.size === 0) return before;
  return before.map((part, number) => {
    const changed = byPart.get(number);
    if (changed === undefined) return part;
    return partWith({
      clientKeys: withChanges(part.clientKeys, changed.clientKeys, keyOfClientKey),
      endpoints: withChanges(part.endpoints, changed.endpoints, keyOfEndpoints),
      routes: withChanges(part.routes, changed.routes, keyOfRoute),
    });
  });
}

/** What a change's kind says of its item. */
function put({ clientKeys, endpoints, routes }: PartChanges, { kind, key, item }: Change): void {
  switch (kind) {
    case 'clientKey':
      clientKeys.set(key, item as ClientKey | null);
      return;
    case 'endpoints':
      endpoints.set(key, item as Endpoints | null);
      return;
    case 'route':
      routes.set(key, item as Route | null);
      return;
    case 'settings':
      return;
  }
}

/** The digest of a whole table. */
export function digestOfParts(gateway: ObjectName, settings: GatewaySettings, parts: TableParts): string {
  let text = `${gateway.namespace}/${gateway.name}\n${settings.digest}\n`;
  for (const { digest } of parts) text += `${digest}\n`;
  return hash('sha256', text, 'hex');
}

/** Of what a part means at its gateway: equal digests, equal meaning. */
export function shareDigest(gateway: ObjectName, settings: GatewaySettings, part: TablePart): string {
  return digestOfParts(gateway, settings, [part]);
}

/** From nothing. */
export function tableDigest(gateway: ObjectName, settings: GatewaySettings, entries: TableEntries): string {
  return digestOfParts(gateway, settings, partsOf(entries));
}

function partWith({ clientKeys, endpoints, routes }: TableEntries): TablePart {
  let text = '';
  for (const key of clientKeys) text += `${key.digest}\n`;
  text += '\n';
  for (const route of routes) text += `${route.id} ${route.digest}\n`;
  // Nothing where there are none: a reader from before there were any comes to the same digest.
  for (const { id, digest } of endpoints) text += `\n${id} ${digest}`;
  return { clientKeys, endpoints, routes, digest: hash('sha256', text, 'hex') };
}

function spread<T>(items: readonly T[], keyOf: (item: T) => string): readonly (readonly T[])[] {
  const parts: T[][] = Array.from({ length: TABLE_PARTS }, () => []);
  for (const item of items) parts[partOf(keyOf(item))]?.push(item);
  return parts;
}
