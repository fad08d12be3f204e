/**
 * A pod's copy of its table, fed by a leader's stream and by snapshots. Holds the order: what is older than what it has is refused,
 * by whatever way it comes. Refusal is by entry: one that cannot be read keeps its last good version, or is absent.
 */
import { err, ok, type Result } from '../lib/result.ts';
import { ENTRY_DECODERS } from './codec.ts';
import { attempt } from './decoder.ts';
import {
  findByKey,
  inventoryOf,
  keyOfClientKey,
  keyOfEndpoints,
  keyOfRoute,
  tableChanges,
  withChanges,
  type EntryKind,
  type Inventory,
} from './entries.ts';
import { changedParts, digestOfParts, partOf, partsOf, type TableParts } from './parts.ts';
import { SNAPSHOT_PARTS, type PartContents } from './snapshot-pack.ts';
import type { EntryLine, Nack, TableOrder } from './stream-messages.ts';
import {
  ROUTE_TABLE_VERSION,
  type ClientKey,
  type Endpoints,
  type GatewaySettings,
  type ObjectName,
  type Route,
  type RouteTable,
} from './types.ts';

export const BEFORE_ALL: TableOrder = { epoch: 0, sequence: 0 };

/** Negative where `a` comes before `b`. */
export function compareOrder(a: TableOrder, b: TableOrder): number {
  return a.epoch - b.epoch || a.sequence - b.sequence;
}

/** A route that could be read and not be made ready for requests. */
export interface RefusedRoute {
  readonly id: string;
  /** For a person; free of credentials. */
  readonly reason: string;
  /** The version of it that serves on; null: none did. */
  readonly kept: Route | null;
}

/** What a stream has brought since its last commit. `null`: gone. */
interface Staged {
  settings: GatewaySettings | null;
  readonly clientKeys: Map<string, ClientKey | null>;
  readonly endpoints: Map<string, Endpoints | null>;
  readonly routes: Map<string, Route | null>;
  /** By `kind key`; null: not refused any more. */
  readonly nacks: Map<string, Nack | null>;
}

export class Replica {
  #gateway: ObjectName | null = null;
  #settings: GatewaySettings | null = null;
  /** Those that the current ones replaced. */
  #settingsBefore: GatewaySettings | null = null;
  #clientKeys: readonly ClientKey[] = [];
  #endpoints: readonly Endpoints[] = [];
  #routes: readonly Route[] = [];
  #table: RouteTable | null = null;
  /** A table in parts, the last one that was asked for; null: none was yet. */
  #parts: { readonly of: RouteTable; readonly all: TableParts } | null = null;
  readonly #nacks = new Map<string, Nack>();
  /** Of the share of each part, which a snapshot may bring forward by itself. */
  readonly #orders: TableOrder[] = Array.from({ length: SNAPSHOT_PARTS }, () => BEFORE_ALL);
  #settingsOrder = BEFORE_ALL;
  #staged: Staged = nothingStaged();
  #epoch = 0;
  /** Epoch of the stream that is being read. */
  #streamEpoch = 0;

  /** null: there were no settings that could be read yet. */
  get table(): RouteTable | null {
    return this.#table;
  }

  /** Of the newest part. */
  get order(): TableOrder {
    return this.#orders.reduce((newest, order) => (compareOrder(order, newest) > 0 ? order : newest), this.#settingsOrder);
  }

  /** The highest epoch that was seen of anybody. */
  get seenEpoch(): number {
    return this.#epoch;
  }

  get nacks(): readonly Nack[] {
    return [...this.#nacks.values()];
  }

  /** What need not be sent again. An entry that was refused is not in it in the version that was. */
  get inventory(): Inventory | null {
    return this.#table === null ? null : inventoryOf(this.#table);
  }

  /** A leader of this epoch has been heard of. */
  sawEpoch(epoch: number): void {
    if (epoch > this.#epoch) this.#epoch = epoch;
  }

  /** A stream begins. The error: it must not be read, its leader is one of the past. */
  begin(epoch: number, gateway: ObjectName): Result<null, string> {
    if (epoch < this.#epoch) return err(`its leader is of epoch ${epoch}, one of epoch ${this.#epoch} was seen already`);
    this.#epoch = epoch;
    this.#streamEpoch = epoch;
    this.#staged = nothingStaged();
    if (this.#gateway !== null && (this.#gateway.namespace !== gateway.namespace || this.#gateway.name !== gateway.name))
      this.#forget();
    this.#gateway = gateway;
    return ok(null);
  }

  entry(line: EntryLine): void {
    stage(this.#staged, line);
  }

  gone(kind: string, key: string): void {
    const { clientKeys, endpoints, routes, nacks } = this.#staged;
    if (kind === 'clientKey') clientKeys.set(key, null);
    else if (kind === 'endpoints') endpoints.set(key, null);
    else if (kind === 'route') routes.set(key, null);
    nacks.set(`${kind} ${key}`, null);
  }

  /** What was staged is the table now. The error: the stream contradicts what is known, its leader must not be followed. */
  commit(sequence: number, digest: string): Result<null, string> {
    const order = { epoch: this.#streamEpoch, sequence };
    const { order: known } = this;
    if (compareOrder(order, known) < 0)
      return err(`it is at ${order.epoch}.${order.sequence}, and ${known.epoch}.${known.sequence} is served already`);
    const staged = this.#staged;
    this.#staged = nothingStaged();
    this.#orders.fill(order);
    this.#settingsOrder = order;
    this.#take(staged, digest);
    return ok(null);
  }

  /** Whether what was committed is what its sender meant. Costs a hash over all entries the first time, then over those that changed. */
  verify(): boolean {
    const { table } = this;
    if (table === null || this.#nacks.size > 0) return true;
    return this.#ownDigest(table) === table.digest;
  }

  /** Takes parts of a snapshot, each where it is newer than what is known of its share. Returns whether any was. */
  load(parts: readonly PartContents[]): boolean {
    const staged = nothingStaged();
    let took = false;
    for (const { head, entries } of parts) {
      this.sawEpoch(head.order.epoch);
      this.#gateway ??= head.gateway;
      const newer = compareOrder(head.order, this.#orders[head.part] ?? BEFORE_ALL) > 0;
      if (newer) {
        took = true;
        this.#orders[head.part] = head.order;
        for (const { sha256 } of this.#clientKeys) if (partOf(sha256) === head.part) staged.clientKeys.set(sha256, null);
        for (const { id } of this.#endpoints) if (partOf(id) === head.part) staged.endpoints.set(id, null);
        for (const { id } of this.#routes) if (partOf(id) === head.part) staged.routes.set(id, null);
        for (const [name, { kind, key }] of this.#nacks)
          if (kind !== 'settings' && partOf(key) === head.part) staged.nacks.set(name, null);
      }
      const newerSettings = compareOrder(head.order, this.#settingsOrder) > 0;
      for (const entry of entries) {
        if (entry.kind === 'settings' ? newerSettings : newer) stage(staged, entry);
      }
      if (newerSettings) this.#settingsOrder = head.order;
    }
    if (took) this.#take(staged, null);
    return took;
  }

  /** What was taken last has settings that cannot be used, which only their use has shown. Those before them come back. */
  refuseSettings(reason: string): void {
    const refused = this.#settings;
    if (refused === null || this.#gateway === null) return;
    const { namespace, name } = this.#gateway;
    const kept = this.#settingsBefore !== null;
    const { digest } = refused;
    this.#nacks.set('settings ', { kind: 'settings', key: '', digest, id: `${namespace}/${name}`, reason, kept });
    this.#settings = this.#settingsBefore;
    this.#table = null;
    this.#take(nothingStaged(), null);
  }

  /** The same of some of its routes: each is what `kept` says again, or absent. */
  refuseRoutes(refused: readonly RefusedRoute[]): void {
    const staged = nothingStaged();
    for (const { id, reason, kept } of refused) {
      const digest = findByKey(this.#routes, id, keyOfRoute)?.digest ?? '';
      staged.routes.set(id, kept);
      this.#nacks.set(`route ${id}`, { kind: 'route', key: id, digest, id, reason, kept: kept !== null });
    }
    this.#take(staged, null);
  }

  /** `digest` null: the table is one that no leader has named. */
  #take(staged: Staged, digest: string | null): void {
    for (const [name, nack] of staged.nacks) {
      if (nack === null) {
        this.#nacks.delete(name);
        continue;
      }
      // An entry that is refused stays as it was.
      const { kind, key } = nack;
      let kept = false;
      if (kind === 'settings') kept = this.#settings !== null;
      else if (kind === 'clientKey') kept = findByKey(this.#clientKeys, key, keyOfClientKey) !== undefined;
      else if (kind === 'endpoints') kept = findByKey(this.#endpoints, key, keyOfEndpoints) !== undefined;
      else if (kind === 'route') kept = findByKey(this.#routes, key, keyOfRoute) !== undefined;
      if (kind === 'clientKey') staged.clientKeys.delete(key);
      else if (kind === 'endpoints') staged.endpoints.delete(key);
      else if (kind === 'route') staged.routes.delete(key);
      this.#nacks.set(name, { ...nack, kept });
    }
    if (staged.settings !== null) {
      this.#settingsBefore = this.#settings;
      this.#settings = staged.settings;
    }
    this.#clientKeys = withChanges(this.#clientKeys, staged.clientKeys, keyOfClientKey);
    this.#endpoints = withChanges(this.#endpoints, staged.endpoints, keyOfEndpoints);
    this.#routes = withChanges(this.#routes, staged.routes, keyOfRoute);
    if (this.#gateway === null || this.#settings === null) return;
    const table: RouteTable = {
      version: ROUTE_TABLE_VERSION,
      gateway: this.#gateway,
      settings: this.#settings,
      clientKeys: this.#clientKeys,
      routes: this.#routes,
      endpoints: this.#endpoints,
      digest: digest ?? '',
    };
    this.#table = digest === null || this.#nacks.size > 0 ? { ...table, digest: this.#ownDigest(table) } : table;
  }

  #ownDigest(table: RouteTable): string {
    const known = this.#parts;
    const all = known === null ? partsOf(table) : changedParts(known.all, tableChanges(known.of, table));
    this.#parts = { of: table, all };
    return digestOfParts(table.gateway, table.settings, all);
  }

  #forget(): void {
    this.#settings = null;
    this.#clientKeys = [];
    this.#endpoints = [];
    this.#routes = [];
    this.#parts = null;
    this.#nacks.clear();
  }
}

function nothingStaged(): Staged {
  return { settings: null, clientKeys: new Map(), endpoints: new Map(), routes: new Map(), nacks: new Map() };
}

/** Reads one entry; the last one of a name counts. */
function stage(staged: Staged, { kind, key, digest, value }: EntryLine): void {
  const name = `${kind} ${key}`;
  if (!isEntryKind(kind)) {
    staged.nacks.set(name, refusal(kind, key, digest, value, `entries of the kind ${JSON.stringify(kind)} are not known here`));
    return;
  }
  // Whatever was staged of it before is not what it is now.
  if (kind === 'clientKey') staged.clientKeys.delete(key);
  else if (kind === 'endpoints') staged.endpoints.delete(key);
  else if (kind === 'route') staged.routes.delete(key);
  else staged.settings = null;
  const why = decodeInto(staged, kind, key, value);
  staged.nacks.set(name, why === null ? null : refusal(kind, key, digest, value, why));
}

/** null: it is taken; else why not. */
function decodeInto(staged: Staged, kind: EntryKind, key: string, value: unknown): string | null {
  switch (kind) {
    case 'settings': {
      const found = attempt(ENTRY_DECODERS.settings, value);
      if (!found.ok) return found.error;
      staged.settings = found.value;
      return null;
    }
    case 'clientKey': {
      const found = attempt(ENTRY_DECODERS.clientKey, value);
      if (!found.ok) return found.error;
      if (found.value.sha256 !== key) return 'sha256: it is not the key that the entry is sent under';
      staged.clientKeys.set(key, found.value);
      return null;
    }
    case 'endpoints': {
      const found = attempt(ENTRY_DECODERS.endpoints, value);
      if (!found.ok) return found.error;
      if (found.value.id !== key) return 'id: it is not the key that the entry is sent under';
      staged.endpoints.set(key, found.value);
      return null;
    }
    case 'route': {
      const found = attempt(ENTRY_DECODERS.route, value);
      if (!found.ok) return found.error;
      if (found.value.id !== key) return 'id: it is not the key that the entry is sent under';
      staged.routes.set(key, found.value);
      return null;
    }
  }
}

function isEntryKind(kind: string): kind is EntryKind {
  return Object.hasOwn(ENTRY_DECODERS, kind);
}

function refusal(kind: string, key: string, digest: string, value: unknown, reason: string): Nack {
  const id: unknown = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined;
  return { kind, key, digest, id: typeof id === 'string' ? id : key, reason, kept: false };
}
