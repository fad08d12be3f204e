/**
 * All objects of one moment → one RouteTable a gateway and one status an object. Pure, total and deterministic: the order of its
 * input does not change a byte of its output, and it changes nothing it is given. With a memo, what has not changed since the
 * last call (by object identity) is not compiled again.
 */
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { tableDigest } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import { ROUTE_TABLE_VERSION, type Route, type RouteTable } from '../routetable/types.ts';
import { compileBackend } from './backend.ts';
import { compileGateway, type CompiledGateway } from './gateway.ts';
import { KeyMemo } from './keys.ts';
import { Memories, recall } from './memo.ts';
import { lostNames, type LostName } from './names.ts';
import { competes, compileRoute, finishRoute, type LostAt } from './route.ts';
import { Slots, type Slot } from './slots.ts';
import type { CompileOptions, Snapshot } from './snapshot.ts';
import type { ObjectStatus } from './status.ts';
import { worldOf, type Sources, type World } from './world.ts';

export interface Compilation {
  /**
   * By `namespace/name` of the LLMGateway, in that order. A gateway that cannot be served as it is meant (its status says why) has
   * none, and what it serves already stays. A table that means the same is the same object as in the compile before.
   */
  readonly tables: ReadonlyMap<string, RouteTable>;
  /** By `Kind/namespace/name`: gateways, backends, routes, each sorted. The status of what was not compiled again is the same object as before. */
  readonly statuses: ReadonlyMap<string, ObjectStatus>;
}

/** How often each part was made since the memo was: what has to be done is counted, not timed. */
export interface CompileWork {
  readonly routes: number;
  readonly finishedRoutes: number;
  readonly gateways: number;
  readonly backends: number;
  readonly tables: number;
}

/** What is remembered of the last compile. Belongs to one caller; holds objects only as long as they are in its snapshots. */
export interface CompileMemo {
  readonly work: CompileWork;
}

export function createCompileMemo(): CompileMemo {
  return new Memo();
}

class Memo implements CompileMemo {
  readonly gateways = new Memories<LLMGateway, CompiledGateway>();
  readonly backends = new Memories<LLMBackend, ObjectStatus>();
  readonly keyMemos = new Map<string, KeyMemo>();
  readonly slots = new Slots();
  /** By namespace, the routes among which names were decided. */
  readonly neighbours = new Map<string, readonly Slot[]>();
  readonly tables = new Map<string, RouteTable>();
  sources: Sources | null = null;
  routesMade = 0;
  routesFinished = 0;
  tablesMade = 0;

  get work(): CompileWork {
    return {
      routes: this.routesMade,
      finishedRoutes: this.routesFinished,
      gateways: this.gateways.made,
      backends: this.backends.made,
      tables: this.tablesMade,
    };
  }
}

export function compile(snapshot: Snapshot, options: CompileOptions, memo: CompileMemo = createCompileMemo()): Compilation {
  if (!(memo instanceof Memo)) throw new Error('a compile memo comes from createCompileMemo()');
  const world = worldOf(snapshot, options, memo.sources);
  memo.sources = { snapshot, world };
  const slots = memo.slots.arrange(snapshot.routes);
  for (const slot of slots) {
    const known = slot.compiled;
    slot.compiled = recall(known, world, (read) => compileRoute(slot.route, read));
    if (slot.compiled === known) continue;
    slot.finished = null;
    memo.routesMade++;
  }
  finishRoutes(slots, memo);

  const statuses = new Map<string, ObjectStatus>();
  const tables = compileGateways(world, slots, memo, statuses);
  for (const id of sortedKeys(world.backends)) {
    const backend = world.backends.get(id);
    if (backend !== undefined)
      statuses.set(
        `LLMBackend/${id}`,
        memo.backends.recall(backend, world, (read) => compileBackend(backend, read)),
      );
  }
  for (const { key, finished } of slots) if (finished !== null) statuses.set(key, finished.status);
  return { tables, statuses };
}

/** Decides who owns which name, namespace by namespace where anything has changed, and finishes the routes that this concerns. */
function finishRoutes(slots: readonly Slot[], memo: Memo): void {
  const gone = new Set(memo.neighbours.keys());
  for (let start = 0, end = 0; start < slots.length; start = end) {
    // Sorted by `namespace/name`, so a namespace's routes stand together.
    const namespace = slots[start]?.namespace ?? '';
    let changed = false;
    do changed ||= slots[end]?.finished === null;
    while (slots[++end]?.namespace === namespace);
    gone.delete(namespace);
    const before = memo.neighbours.get(namespace);
    if (!changed && before?.length === end - start && before.every((slot, index) => slot === slots[start + index])) continue;
    const neighbours = slots.slice(start, end);
    memo.neighbours.set(namespace, neighbours);
    finishNeighbours(neighbours, memo);
  }
  for (const namespace of gone) memo.neighbours.delete(namespace);
}

/** The routes of one namespace: only they compete for a name, at each gateway that they share. */
function finishNeighbours(slots: readonly Slot[], memo: Memo): void {
  const members = new Map<string, LLMRoute[]>();
  for (const { route, compiled } of slots) {
    for (const membership of compiled?.value.memberships ?? []) {
      if (compiled === undefined || !competes(compiled.value, membership)) continue;
      const list = members.get(membership.gatewayId);
      if (list === undefined) members.set(membership.gatewayId, [route]);
      else list.push(route);
    }
  }
  const lost = new Map<LLMRoute, Map<string, readonly LostName[]>>();
  for (const [gatewayId, routes] of members) {
    for (const [route, names] of lostNames(routes)) {
      const at = lost.get(route) ?? new Map<string, readonly LostName[]>();
      lost.set(route, at.set(gatewayId, names));
    }
  }
  for (const slot of slots) {
    const lostAt = lost.get(slot.route);
    const fingerprint = lostAt === undefined ? '' : JSON.stringify([...lostAt].sort(([a], [b]) => byText(a, b)));
    if (slot.compiled === undefined || (slot.finished !== null && slot.lost === fingerprint)) continue;
    slot.finished = finishRoute(slot.compiled.value, lostAt ?? NOTHING_LOST);
    slot.lost = fingerprint;
    memo.routesFinished++;
  }
}

const NOTHING_LOST: LostAt = new Map();

function compileGateways(
  world: World,
  slots: readonly Slot[],
  memo: Memo,
  statuses: Map<string, ObjectStatus>,
): ReadonlyMap<string, RouteTable> {
  const tables = new Map<string, RouteTable>();
  for (const id of sortedKeys(world.gateways)) {
    const gateway = world.gateways.get(id);
    if (gateway === undefined) continue;
    const { namespace, name } = gateway.metadata;
    const keyMemo = memo.keyMemos.get(namespace) ?? new KeyMemo();
    memo.keyMemos.set(namespace, keyMemo);
    const { settings, clientKeys, status } = memo.gateways.recall(gateway, world, (read) =>
      compileGateway(gateway, read, keyMemo),
    );
    if (gateway !== world.standIn) statuses.set(`LLMGateway/${id}`, status);
    if (settings === null) continue;
    const routes: Route[] = [];
    for (const { finished } of slots) {
      const entry = finished?.entries.get(id);
      if (entry !== undefined) routes.push(entry);
    }
    const before = memo.tables.get(id);
    if (
      before !== undefined &&
      before.settings.digest === settings.digest &&
      sameEntries(before.clientKeys, clientKeys.keys) &&
      sameEntries(before.routes, routes)
    ) {
      tables.set(id, before);
      continue;
    }
    const identity = { namespace, name };
    const digest = tableDigest(identity, settings, clientKeys.keys, routes);
    tables.set(id, { version: ROUTE_TABLE_VERSION, gateway: identity, settings, clientKeys: clientKeys.keys, routes, digest });
    memo.tablesMade++;
  }
  memo.tables.clear();
  for (const [id, table] of tables) memo.tables.set(id, table);
  return tables;
}

function sameEntries(a: readonly { readonly digest: string }[], b: readonly { readonly digest: string }[]): boolean {
  return a.length === b.length && a.every((entry, index) => entry === b[index] || entry.digest === b[index]?.digest);
}

function sortedKeys(map: ReadonlyMap<string, unknown>): readonly string[] {
  return [...map.keys()].sort(byText);
}
