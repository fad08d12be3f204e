/**
 * All objects of one moment → one RouteTable a gateway and one status an object. Pure, total and deterministic: the order of its
 * input does not change a byte of its output, and it changes nothing it is given. With a memo, what has not changed since the
 * last call (by object identity) is not compiled again.
 */
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { digestOf, tableDigest } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import { ROUTE_TABLE_VERSION, type Route, type RouteTable } from '../routetable/types.ts';
import { compileBackend } from './backend.ts';
import { compileGateway, type CompiledGateway } from './gateway.ts';
import { KeyMemo } from './keys.ts';
import { LookMemo } from './memo.ts';
import { lostNames, type LostName } from './names.ts';
import { competes, compileRoute, finishRoute, type CompiledRoute, type FinishedRoute, type LostAt } from './route.ts';
import { objectId, type CompileOptions, type Snapshot } from './snapshot.ts';
import type { ObjectStatus } from './status.ts';
import { sameItems, worldOf, type Sources, type World } from './world.ts';

export interface Compilation {
  /**
   * By `namespace/name` of the LLMGateway, in that order. A gateway that cannot be served as it is meant (its status says why) has
   * none, and what it serves already stays. An unchanged table is the same object as in the compile before.
   */
  readonly tables: ReadonlyMap<string, RouteTable>;
  /** By `Kind/namespace/name`: gateways, backends, routes, each sorted. An unchanged status is the same object as before. */
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

const NEVER = -1;

/** One route among the others, from one compile to the next. */
interface Slot {
  readonly route: LLMRoute;
  readonly key: string;
  compiled: CompiledRoute | null;
  /** What was lost when `finished` was made: null where nothing was, as almost always. */
  lost: string | null;
  finished: FinishedRoute | null;
  /** The number of the compile that last had this route. */
  seen: number;
}

class Memo implements CompileMemo {
  readonly routeMemo = new LookMemo<LLMRoute, CompiledRoute>();
  readonly gatewayMemo = new LookMemo<LLMGateway, CompiledGateway>();
  readonly backendMemo = new LookMemo<LLMBackend, ObjectStatus>();
  readonly keyMemos = new Map<string, KeyMemo>();
  readonly slotOf = new WeakMap<LLMRoute, Slot>();
  readonly tables = new Map<string, RouteTable>();
  slots: readonly Slot[] = [];
  sources: Sources | null = null;
  turn = 0;
  finishedRoutes = 0;
  tablesMade = 0;

  get work(): CompileWork {
    return {
      routes: this.routeMemo.made,
      finishedRoutes: this.finishedRoutes,
      gateways: this.gatewayMemo.made,
      backends: this.backendMemo.made,
      tables: this.tablesMade,
    };
  }
}

export function compile(snapshot: Snapshot, options: CompileOptions, memo: CompileMemo = createCompileMemo()): Compilation {
  if (!(memo instanceof Memo)) throw new Error('a compile memo comes from createCompileMemo()');
  const world = worldOf(snapshot, options, memo.sources);
  memo.sources = { snapshot, world };
  memo.slots = sortedSlots(snapshot.routes, memo);

  const members = new Map<string, Slot[]>();
  for (const slot of memo.slots) {
    const compiled = memo.routeMemo.get(slot.route, world, (read) => compileRoute(slot.route, read));
    if (compiled !== slot.compiled) {
      slot.compiled = compiled;
      slot.finished = null;
    }
    for (const membership of compiled.memberships) {
      if (!competes(compiled, membership)) continue;
      const list = members.get(membership.gatewayId);
      if (list === undefined) members.set(membership.gatewayId, [slot]);
      else list.push(slot);
    }
  }
  finishRoutes(memo, members);

  const statuses = new Map<string, ObjectStatus>();
  const tables = compileGateways(world, memo, members, statuses);
  for (const id of sortedKeys(world.backends)) {
    const backend = world.backends.get(id);
    if (backend !== undefined) statuses.set(`LLMBackend/${id}`, memo.backendMemo.get(backend, world, (read) => compileBackend(backend, read)));
  }
  for (const { key, finished } of memo.slots) if (finished !== null) statuses.set(key, finished.status);
  return { tables, statuses };
}

const NOTHING_LOST: LostAt = new Map();

/** Decides who owns which name at each gateway, and finishes the routes for which that, or the route itself, has changed. */
function finishRoutes(memo: Memo, members: ReadonlyMap<string, readonly Slot[]>): void {
  const lost = new Map<LLMRoute, Map<string, readonly LostName[]>>();
  for (const [gatewayId, slots] of members) {
    for (const [route, names] of lostNames(slots.map((slot) => slot.route))) {
      const at = lost.get(route) ?? new Map<string, readonly LostName[]>();
      lost.set(route, at.set(gatewayId, names));
    }
  }
  for (const slot of memo.slots) {
    const lostAt = lost.get(slot.route);
    const fingerprint = lostAt === undefined ? null : JSON.stringify([...lostAt].sort(([a], [b]) => byText(a, b)));
    if (slot.compiled === null || (slot.finished !== null && slot.lost === fingerprint)) continue;
    slot.finished = finishRoute(slot.compiled, lostAt ?? NOTHING_LOST);
    slot.lost = fingerprint;
    memo.finishedRoutes++;
  }
}

function compileGateways(world: World, memo: Memo, members: ReadonlyMap<string, readonly Slot[]>, statuses: Map<string, ObjectStatus>): ReadonlyMap<string, RouteTable> {
  const tables = new Map<string, RouteTable>();
  for (const id of sortedKeys(world.gateways)) {
    const gateway = world.gateways.get(id);
    if (gateway === undefined) continue;
    const { namespace, name } = gateway.metadata;
    const keyMemo = memo.keyMemos.get(namespace) ?? new KeyMemo();
    memo.keyMemos.set(namespace, keyMemo);
    const { settings, clientKeys, status } = memo.gatewayMemo.get(gateway, world, (read) => compileGateway(gateway, read, keyMemo));
    if (gateway !== world.standIn) statuses.set(`LLMGateway/${id}`, status);
    if (settings === null) continue;
    const routes: Route[] = [];
    for (const { finished } of members.get(id) ?? []) {
      const entry = finished?.entries.get(id);
      if (entry !== undefined) routes.push(entry);
    }
    const before = memo.tables.get(id);
    if (before !== undefined && before.settings === settings && sameItems(before.clientKeys, clientKeys.keys) && sameItems(before.routes, routes)) {
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

/** One slot a route, by `namespace/name`. Those of the last compile are sorted already: only new ones are put in their place. */
function sortedSlots(routes: readonly LLMRoute[], memo: Memo): readonly Slot[] {
  const turn = ++memo.turn;
  const added: Slot[] = [];
  for (const route of routes) {
    let slot = memo.slotOf.get(route);
    if (slot === undefined) {
      slot = { route, key: `LLMRoute/${objectId(route)}`, compiled: null, lost: null, finished: null, seen: -1 };
      memo.slotOf.set(route, slot);
    }
    if (slot.seen === turn) continue;
    if (slot.seen !== turn - 1) added.push(slot);
    slot.seen = turn;
  }
  const kept = memo.slots.filter((slot) => slot.seen === turn);
  added.sort((a, b) => byText(a.key, b.key));
  const merged: Slot[] = [];
  let next = 0;
  for (const slot of kept) {
    for (let candidate = added[next]; candidate !== undefined && candidate.key < slot.key; candidate = added[++next]) place(merged, candidate);
    place(merged, slot);
  }
  for (const candidate of added.slice(next)) place(merged, candidate);
  return merged;
}

/** Of two routes of one name one is taken, the same whatever the order they came in; the other is new again at the next compile. */
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

function sortedKeys(map: ReadonlyMap<string, unknown>): readonly string[] {
  return [...map.keys()].sort(byText);
}
