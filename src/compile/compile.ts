/**
 * All objects of one moment → one RouteTable a gateway and one status an object. Pure, total and deterministic: the order of its
 * input does not change a byte of its output, and it changes nothing it is given. With a memo, what has not changed since the
 * last call (by object identity) is not compiled again.
 */
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { sharedEnds } from '../lib/shared-ends.ts';
import { findByKey, keyOfRoute, tableChanges, withChanges } from '../routetable/entries.ts';
import { byText } from '../routetable/order.ts';
import { changedParts, digestOfParts, partsOf, type TableEntries, type TableParts } from '../routetable/parts.ts';
import {
  ROUTE_TABLE_VERSION,
  type GatewaySettings,
  type Limit,
  type ObjectName,
  type Route,
  type RouteTable,
} from '../routetable/types.ts';
import { compileBackend } from './backend.ts';
import { EndpointUses } from './endpoints.ts';
import { compileGateway, type CompiledGateway } from './gateway.ts';
import { KeyMemo } from './keys.ts';
import { Memories, recall, type Memory, type Read } from './memo.ts';
import { lostNames, type LostName } from './names.ts';
import { quotaLimits, QuotaStatuses, SoundQuotas, type CompiledQuota, type ServedAt } from './quota.ts';
import {
  competes,
  compileRoute,
  finishRoute,
  type CompiledRoute,
  type FinishedRoute,
  type LimitsAt,
  type LostAt,
} from './route.ts';
import { quotasOf, type Quotas } from './quotas-of.ts';
import { Quarantine, quarantinedStatus, type CompileFault } from './quarantine.ts';
import { placeOf, Slots, type Arrangement, type Slot } from './slots.ts';
import { objectId, type CompileOptions, type Snapshot } from './snapshot.ts';
import { isOfSame, keysOfSound, type SoundGateway } from './sound-gateway.ts';
import { soundIn, soundVersion } from './sound-route.ts';
import type { ObjectStatus } from './status.ts';
import { worldOf, type Sources, type World } from './world.ts';

export interface Compilation {
  /**
   * By `namespace/name` of the LLMGateway, in that order. A gateway that cannot be served as it is meant (its status says why) has
   * none. A table that means the same is the same object as in the compile before.
   */
  readonly tables: ReadonlyMap<string, RouteTable>;
  /**
   * Of those that have none and had one with this memo: the settings of then with the routes and client keys of now. What was revoked
   * must not be served on until a certificate is back.
   */
  readonly heldTables: ReadonlyMap<string, RouteTable>;
  /** By `Kind/namespace/name`: gateways, backends, quotas, routes, each sorted. Costs a walk over all of them at the first call. */
  readonly statuses: ReadonlyMap<string, ObjectStatus>;
  /** The same of one object; undefined: it is not in the snapshot. */
  statusOf(key: string): ObjectStatus | undefined;
  /** All keys of `statuses` that are new or have another status than the compile before with this memo gave, and maybe others. */
  readonly changed: readonly string[];
  /**
   * Objects that could not be compiled in this call. Of a route the last version that could, with this memo, is served on; without
   * one, the others are as if it were not there.
   */
  readonly faults: readonly CompileFault[];
}

/** How often each part was made since the memo was: what has to be done is counted, not timed. */
export interface CompileWork {
  readonly routes: number;
  readonly finishedRoutes: number;
  readonly gateways: number;
  readonly backends: number;
  readonly quotas: number;
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
  readonly compiledQuotas = new Memories<LLMQuota, CompiledQuota>();
  readonly soundQuotas = new SoundQuotas();
  readonly quotaStatuses = new QuotaStatuses();
  readonly keyMemos = new Map<string, KeyMemo>();
  readonly slots = new Slots();
  readonly soundGateways = new Map<string, SoundGateway>();
  readonly tables = new Map<string, MadeTable>();
  sources: Sources | null = null;
  quotas: Quotas | null = null;
  /** Of gateways, backends and quotas, as the last compile told them. */
  statuses: ReadonlyMap<string, ObjectStatus> = new Map();
  outcomes: Outcomes = NO_OUTCOMES;
  routesMade = 0;
  routesFinished = 0;
  tablesMade = 0;

  get work(): CompileWork {
    return {
      routes: this.routesMade,
      finishedRoutes: this.routesFinished,
      gateways: this.gateways.made,
      backends: this.backends.made,
      quotas: this.compiledQuotas.made,
      tables: this.tablesMade,
    };
  }
}

interface MadeTable {
  readonly table: RouteTable;
  readonly parts: TableParts;
  readonly uses: EndpointUses;
}

export function compile(snapshot: Snapshot, options: CompileOptions, memo: CompileMemo = createCompileMemo()): Compilation {
  if (!(memo instanceof Memo)) throw new Error('a compile memo comes from createCompileMemo()');
  const world = worldOf(snapshot, options, memo.sources);
  const sameWorld = memo.sources?.world === world;
  memo.sources = { snapshot, world };
  const arranged = memo.slots.arrange(snapshot.routes);
  const quarantine = new Quarantine();
  inherit(arranged);
  const quotas = quotasOf(snapshot.quotas ?? [], world.standIn, memo.quotas);
  const sameQuotas = memo.quotas === quotas;
  memo.quotas = quotas;
  if (!sameQuotas) memo.soundQuotas.prune(quotas.byId);
  const made = compileRoutes(sameWorld ? arranged.added : arranged.sorted, world, memo, quarantine);
  const compiledQuota = (quota: LLMQuota): CompiledQuota =>
    memo.compiledQuotas.recall(quota, world, () => memo.soundQuotas.compile(quota, quarantine));
  // One that comes back may have been away while quotas changed.
  const toLimit = sameQuotas ? new Set([...made, ...arranged.added]) : arranged.sorted;
  const limited = limitRoutes(toLimit, quotas, (quota) => compiledQuota(quota).limits);
  const finished = finishRoutes(arranged, [...made, ...limited], memo, quarantine);

  const statuses = new Map<string, ObjectStatus>();
  const { tables, heldTables } = compileGateways(world, arranged, finished, memo, statuses, quarantine);
  for (const id of sortedKeys(world.backends)) {
    const backend = world.backends.get(id);
    if (backend === undefined) continue;
    const key = `LLMBackend/${id}`;
    const status = memo.backends.recall(backend, world, (read) =>
      quarantine.guard(
        key,
        () => compileBackend(backend, read),
        () => quarantinedStatus(backend, 'whether a route can be served with it, its own status says'),
      ),
    );
    statuses.set(key, status);
  }
  const servedAt: ServedAt = (routeId) => {
    const slot = arranged.sorted[placeOf(arranged.sorted, `LLMRoute/${routeId}`)];
    if (slot?.key !== `LLMRoute/${routeId}`) return undefined;
    const memberships = standing(slot)?.memberships ?? [];
    return new Set(memberships.filter(({ refused }) => refused === null).map(({ parentRef }) => parentRef.namespace));
  };
  for (const id of sortedKeys(quotas.byId)) {
    const quota = quotas.byId.get(id);
    if (quota === undefined) continue;
    const key = `LLMQuota/${id}`;
    statuses.set(
      key,
      quarantine.guard(
        key,
        () => memo.quotaStatuses.of(quota, compiledQuota(quota), quotas, world, servedAt),
        () => quarantinedStatus(quota, 'whether it limits a route is not known'),
      ),
    );
  }
  const changed: string[] = [];
  for (const [key, status] of statuses) if (memo.statuses.get(key) !== status) changed.push(key);
  for (const { key } of finished) changed.push(key);
  memo.statuses = statuses;
  memo.outcomes = outcomesOf(arranged.sorted, finished, memo.outcomes);
  return new Outcome({ tables, heldTables }, changed, quarantine.faults, statuses, memo.outcomes);
}

/** What each slot of `sorted` was finished as, by the same index: later compiles finish slots anew. */
interface Outcomes {
  readonly sorted: readonly Slot[];
  readonly finished: readonly (FinishedRoute | null)[];
}

const NO_OUTCOMES: Outcomes = { sorted: [], finished: [] };

/** Looks at the slots that came or are finished anew; those of the others are copied without a look at each. */
function outcomesOf(sorted: readonly Slot[], anew: ReadonlySet<Slot>, before: Outcomes): Outcomes {
  const { head, tail } = sharedEnds(before.sorted, sorted);
  const end = sorted.length - tail;
  const finished = [
    ...before.finished.slice(0, head),
    ...sorted.slice(head, end).map((slot) => slot.finished),
    ...before.finished.slice(before.finished.length - tail),
  ];
  for (const slot of anew) {
    const at = placeOf(sorted, slot.key);
    if (sorted[at] === slot) finished[at] = slot.finished;
  }
  return { sorted, finished };
}

type Tables = Pick<Compilation, 'tables' | 'heldTables'>;

class Outcome implements Compilation {
  readonly tables: ReadonlyMap<string, RouteTable>;
  readonly heldTables: ReadonlyMap<string, RouteTable>;
  readonly changed: readonly string[];
  readonly faults: readonly CompileFault[];
  readonly #others: ReadonlyMap<string, ObjectStatus>;
  readonly #routes: Outcomes;
  #statuses: ReadonlyMap<string, ObjectStatus> | null = null;

  constructor(
    { tables, heldTables }: Tables,
    changed: readonly string[],
    faults: readonly CompileFault[],
    others: ReadonlyMap<string, ObjectStatus>,
    routes: Outcomes,
  ) {
    this.tables = tables;
    this.heldTables = heldTables;
    this.changed = changed;
    this.faults = faults;
    this.#others = others;
    this.#routes = routes;
  }

  statusOf(key: string): ObjectStatus | undefined {
    const { sorted, finished } = this.#routes;
    const at = placeOf(sorted, key);
    return sorted[at]?.key === key ? finished[at]?.status : this.#others.get(key);
  }

  get statuses(): ReadonlyMap<string, ObjectStatus> {
    if (this.#statuses === null) {
      const statuses = new Map(this.#others);
      const { sorted, finished } = this.#routes;
      for (const [index, { key }] of sorted.entries()) {
        const status = finished[index]?.status;
        if (status !== undefined) statuses.set(key, status);
      }
      this.#statuses = statuses;
    }
    return this.#statuses;
  }
}

/** An edit is another object of the same identity: what the one before it was is kept, should our code fail on this one. */
function inherit({ added, removed }: Arrangement): void {
  if (removed.length === 0 || added.length === 0) return;
  const before = new Map(removed.map((slot) => [slot.key, slot]));
  for (const slot of added) {
    const old = before.get(slot.key);
    if (old !== undefined && old.route.metadata.uid === slot.route.metadata.uid) slot.sound = old.sound;
  }
}

/** What the route is compiled to: where our code failed on it, what it last was. */
function standing({ compiled, sound }: Slot): CompiledRoute | null {
  return compiled?.value ?? (sound === null || sound.isRevoked ? null : sound.compiled);
}

/** Returns those that had to be compiled. */
function compileRoutes(slots: readonly Slot[], world: World, memo: Memo, quarantine: Quarantine): readonly Slot[] {
  const made: Slot[] = [];
  for (const slot of slots) {
    const { compiled: known, sound, key, route } = slot;
    const compiled = (version: LLMRoute, read: Read): CompiledRoute | null =>
      quarantine.guard(
        key,
        () => compileRoute(version, read),
        () => null,
      );
    const memory = recall(known, world, (read) => compiled(route, read));
    slot.compiled = memory;
    if (memory.value === null && sound !== null) slot.sound = soundIn(world, sound, { route, memory }, compiled);
    if (memory === known && slot.sound === sound) continue;
    slot.finished = null;
    slot.limited = undefined;
    made.push(slot);
  }
  memo.routesMade += made.length;
  return made;
}

/** Returns those of which quotas say something else than before, or for the first time. */
function limitRoutes(slots: Iterable<Slot>, quotas: Quotas, limitsOf: (quota: LLMQuota) => readonly Limit[]): readonly Slot[] {
  const limited: Slot[] = [];
  for (const slot of slots) {
    const { limited: known } = slot;
    const value = standing(slot);
    if (value === null) continue;
    const limitsAt = (read: Read<Quotas>): LimitsAt =>
      new Map(value.memberships.map(({ gatewayId, gateway }) => [gatewayId, quotaLimits(value.route, gateway, read, limitsOf)]));
    slot.limited = recall(known, quotas, limitsAt);
    if (slot.limited === known) continue;
    slot.finished = null;
    limited.push(slot);
  }
  return limited;
}

/**
 * Decides who owns which name in the namespaces where anything has changed, and finishes the routes that this concerns: those that
 * are returned, with what came back unchanged from an earlier compile.
 */
function finishRoutes(
  { sorted, added, removed }: Arrangement,
  made: readonly Slot[],
  memo: Memo,
  quarantine: Quarantine,
): ReadonlySet<Slot> {
  const finished = new Set(added);
  const namespaces = new Set([...added, ...removed, ...made].map(({ namespace }) => namespace));
  for (const namespace of namespaces) {
    // Sorted by `namespace/name`, so a namespace's routes stand together.
    const start = placeOf(sorted, `LLMRoute/${namespace}/`);
    let end = start;
    while (sorted[end]?.namespace === namespace) end++;
    finishNeighbours(sorted.slice(start, end), memo, quarantine, finished);
  }
  return finished;
}

/** The routes of one namespace: only they compete for a name, at each gateway that they share. */
function finishNeighbours(slots: readonly Slot[], memo: Memo, quarantine: Quarantine, finished: Set<Slot>): void {
  const members = new Map<string, LLMRoute[]>();
  for (const slot of slots) {
    const value = standing(slot);
    for (const membership of value?.memberships ?? []) {
      if (value === null || !competes(value, membership)) continue;
      const list = members.get(membership.gatewayId);
      if (list === undefined) members.set(membership.gatewayId, [value.route]);
      else list.push(value.route);
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
    const lostAt = lost.get(standing(slot)?.route ?? slot.route);
    const fingerprint = lostAt === undefined ? '' : JSON.stringify([...lostAt].sort(([a], [b]) => byText(a, b)));
    if (slot.compiled === undefined || (slot.finished !== null && slot.lost === fingerprint)) continue;
    slot.finished = finishSlot(slot, slot.compiled, lostAt ?? NOTHING_LOST, quarantine);
    slot.lost = fingerprint;
    finished.add(slot);
    memo.routesFinished++;
  }
}

function finishSlot(slot: Slot, memory: Memory<CompiledRoute | null>, lostAt: LostAt, quarantine: Quarantine): FinishedRoute {
  const { value } = memory;
  const limitsAt = slot.limited?.value ?? NO_LIMITS;
  const finished =
    value === null
      ? null
      : quarantine.guard(
          slot.key,
          () => finishRoute(value, lostAt, limitsAt),
          () => null,
        );
  if (value !== null && finished !== null) {
    slot.sound = soundVersion(memory, value, finished.entries);
    return finished;
  }
  const { route, sound } = slot;
  const none = { status: quarantinedStatus(route, 'no version of it is served'), entries: NO_ENTRIES };
  if (sound === null || sound.isRevoked) return none;
  const entries = quarantine.guard(
    slot.key,
    () => finishRoute(sound.compiled, lostAt, limitsAt).entries,
    () => sound.entries,
  );
  if (entries.size === 0) return none;
  const generation = sound.compiled.route.metadata.generation ?? 'unknown';
  return { status: quarantinedStatus(route, `generation ${generation}, the last that could be compiled, is served on`), entries };
}

const NOTHING_LOST: LostAt = new Map();
const NO_LIMITS: LimitsAt = new Map();
const NO_ENTRIES: FinishedRoute['entries'] = new Map();

function compileGateways(
  world: World,
  { sorted, removed }: Arrangement,
  finished: ReadonlySet<Slot>,
  memo: Memo,
  statuses: Map<string, ObjectStatus>,
  quarantine: Quarantine,
): Tables {
  const made = new Map<string, MadeTable>();
  const held = new Set<string>();
  for (const id of sortedKeys(world.gateways)) {
    const gateway = world.gateways.get(id);
    if (gateway === undefined) continue;
    const { namespace, name } = gateway.metadata;
    const keyMemo = memo.keyMemos.get(namespace) ?? new KeyMemo();
    memo.keyMemos.set(namespace, keyMemo);
    const { settings, clientKeys, status } = memo.gateways.recall(gateway, world, (read) =>
      quarantine.guard(
        `LLMGateway/${id}`,
        () => compileGateway(gateway, read, keyMemo),
        () => ({ settings: null, clientKeys: NO_KEYS, status: quarantinedStatus(gateway, 'what its pods serve stays') }),
      ),
    );
    if (gateway !== world.standIn) statuses.set(`LLMGateway/${id}`, status);
    if (settings !== null) memo.soundGateways.set(id, { gateway, settings });
    const sound = memo.soundGateways.get(id);
    if (sound === undefined || !isOfSame(sound, gateway)) continue;
    if (settings === null) held.add(id);
    const before = memo.tables.get(id);
    const keys =
      settings !== null
        ? clientKeys.keys
        : quarantine.guard(
            `LLMGateway/${id}`,
            () => keysOfSound(sound, gateway, before?.table.clientKeys ?? null, world, keyMemo),
            () => null,
          );
    if (keys === null) continue;
    const routes = before === undefined ? routesAt(id, sorted) : editedRoutes(id, before.table.routes, removed, finished);
    const uses = before?.uses ?? new EndpointUses();
    uses.replace(before?.table.routes ?? [], routes);
    const endpoints = uses.endpoints(world.endpoints);
    const table = tableOf({ namespace, name }, sound.settings, { clientKeys: keys, endpoints, routes }, uses, before);
    if (table !== before) memo.tablesMade++;
    made.set(id, table);
  }
  for (const id of memo.soundGateways.keys()) if (!world.gateways.has(id)) memo.soundGateways.delete(id);
  memo.tables.clear();
  for (const [id, table] of made) memo.tables.set(id, table);
  const tablesOf = (isHeld: boolean): ReadonlyMap<string, RouteTable> =>
    new Map([...made].flatMap(([id, { table }]) => (held.has(id) === isHeld ? [[id, table]] : [])));
  return { tables: tablesOf(false), heldTables: tablesOf(true) };
}

const NO_KEYS: CompiledGateway['clientKeys'] = { keys: [], warnings: [] };

function routesAt(gatewayId: string, sorted: readonly Slot[]): readonly Route[] {
  return sorted.flatMap(({ finished }) => finished?.entries.get(gatewayId) ?? []);
}

/** What was made of the routes that came, went or are finished anew takes the place of what was there. */
function editedRoutes(
  gatewayId: string,
  before: readonly Route[],
  removed: readonly Slot[],
  finished: ReadonlySet<Slot>,
): readonly Route[] {
  const changes = new Map<string, Route | null>();
  for (const { route } of removed) changes.set(objectId(route), null);
  for (const { route, finished: made } of finished) changes.set(objectId(route), made?.entries.get(gatewayId) ?? null);
  // What means the same stays the object that it was.
  for (const [id, route] of changes) if (findByKey(before, id, keyOfRoute)?.digest === route?.digest) changes.delete(id);
  return withChanges(before, changes, keyOfRoute);
}

/** The table before where it means the same. */
function tableOf(
  gateway: ObjectName,
  settings: GatewaySettings,
  { clientKeys, endpoints, routes }: TableEntries,
  uses: EndpointUses,
  before: MadeTable | undefined,
): MadeTable {
  const make = (parts: TableParts): MadeTable => {
    const digest = digestOfParts(gateway, settings, parts);
    return { table: { version: ROUTE_TABLE_VERSION, gateway, settings, clientKeys, routes, endpoints, digest }, parts, uses };
  };
  if (before === undefined) return make(partsOf({ clientKeys, endpoints, routes }));
  const { table, parts } = before;
  const changes = tableChanges(table, { ...table, settings, clientKeys, endpoints, routes });
  return changes.length === 0 ? before : make(changedParts(parts, changes));
}

function sortedKeys(map: ReadonlyMap<string, unknown>): readonly string[] {
  return [...map.keys()].sort(byText);
}
