/** Keeps the Secrets of every gateway's snapshot as its table is, without writing any of them too often. */
import type { Clock } from '../../lib/clock.ts';
import { tableChanges } from '../../routetable/entries.ts';
import { changedParts, partOf, partsOf, type TableParts } from '../../routetable/parts.ts';
import { packPart, shareOf, SNAPSHOT_PARTS, type Share } from '../../routetable/snapshot-pack.ts';
import type { TableOrder } from '../../routetable/stream-messages.ts';
import type { ObjectName, RouteTable } from '../../routetable/types.ts';
import type { LeftOut, SnapshotKeeper } from './delivery.ts';

export interface SnapshotPart {
  readonly gateway: ObjectName;
  readonly part: number;
  readonly order: TableOrder;
  /** Of what is in it, to be stored with it: a part that has it need not be written again, whatever its order. */
  readonly digest: string;
  /** What `SNAPSHOT_KEY` holds: gzip of JSON lines, **with credentials in clear**. */
  readonly bytes: Buffer;
}

export interface SnapshotStore {
  /** By server-side apply, bound to the Lease. A rejection is tried again, with backoff. */
  write(part: SnapshotPart): Promise<void>;
  /** The digests that are stored, by part; absent where there is none. A rejection is tried again too. */
  stored(gateway: ObjectName): Promise<ReadonlyMap<number, string>>;
}

export interface SnapshotOptions {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  onFault(error: unknown, what: string): void;
  /** Of each part. */
  readonly everyMs?: number;
  /** After a change: what is applied together is written together. */
  readonly settleMs?: number;
  /** Until what is stored is compared again. */
  readonly lookEveryMs?: number;
  readonly maxPartBytes?: number;
}

const EVERY_MS = 10_000;
const SETTLE_MS = 500;
/** Somebody may have deleted what nobody watches. */
const LOOK_EVERY_MS = 60_000;
const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;

interface Part {
  /** Monotonic; null: it is as the table is. */
  dueMs: number | null;
  writtenMs: number;
  failures: number;
  /** Of what is stored; null: none, or none that is known. */
  digest: string | null;
  leftOut: readonly LeftOut[];
}

class GatewaySnapshot {
  table: RouteTable;
  sequence: number;
  /** When to ask again what is stored, monotonic; at once for a new leader, who remembers nothing of it. */
  lookMs = 0;
  lookFailures = 0;
  readonly parts: readonly Part[];
  #parts: { readonly of: RouteTable; readonly all: TableParts } | null = null;

  constructor(table: RouteTable, sequence: number) {
    this.table = table;
    this.sequence = sequence;
    this.parts = Array.from({ length: SNAPSHOT_PARTS }, () => ({
      dueMs: 0,
      writtenMs: Number.NEGATIVE_INFINITY,
      failures: 0,
      digest: null,
      leftOut: [],
    }));
  }

  share(part: number): Share | undefined {
    const { table } = this;
    const known = this.#parts;
    const all =
      known === null ? partsOf(table) : changedParts(known.all, known.of === table ? [] : tableChanges(known.of, table));
    this.#parts = { of: table, all };
    const found = all[part];
    return found === undefined ? undefined : shareOf(table, found, part);
  }
}

export class Snapshots implements SnapshotKeeper {
  readonly #options: SnapshotOptions;
  readonly #gateways = new Map<string, GatewaySnapshot>();
  readonly #listeners = new Set<(gateway: string) => void>();
  #epoch: number | null = null;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: SnapshotOptions) {
    this.#options = options;
  }

  lead(epoch: number): void {
    this.#epoch = epoch;
    // What another leader stored meanwhile is not what this one remembers.
    for (const snapshot of this.#gateways.values()) {
      snapshot.lookMs = 0;
      for (const part of snapshot.parts) part.dueMs = 0;
    }
    this.#schedule();
  }

  resign(): void {
    this.#epoch = null;
    clearTimeout(this.#timer);
  }

  publish(table: RouteTable, sequence: number): void {
    const gateway = `${table.gateway.namespace}/${table.gateway.name}`;
    const snapshot = this.#gateways.get(gateway);
    if (snapshot === undefined) {
      this.#gateways.set(gateway, new GatewaySnapshot(table, sequence));
    } else {
      if (snapshot.table === table) return;
      const changes = tableChanges(snapshot.table, table);
      snapshot.table = table;
      snapshot.sequence = sequence;
      const soonMs = this.#options.clock.nowMs() + (this.#options.settleMs ?? SETTLE_MS);
      const everyMs = this.#options.everyMs ?? EVERY_MS;
      for (const { kind, key } of changes) {
        const touched = kind === 'settings' ? snapshot.parts : [snapshot.parts[partOf(key)]];
        for (const part of touched) if (part !== undefined) part.dueMs ??= Math.max(soonMs, part.writtenMs + everyMs);
      }
    }
    this.#schedule();
  }

  forget(gateway: string): void {
    this.#gateways.delete(gateway);
  }

  leftOut(gateway: string): readonly LeftOut[] {
    return this.#gateways.get(gateway)?.parts.flatMap((part) => part.leftOut) ?? [];
  }

  onLeftOut(listener: (gateway: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.resign();
    await this.#running;
  }

  #schedule(): void {
    if (this.#epoch === null || this.#closed || this.#running !== null) return;
    clearTimeout(this.#timer);
    let dueMs = Infinity;
    for (const { lookMs, lookFailures, parts } of this.#gateways.values()) {
      dueMs = Math.min(dueMs, lookMs);
      if (lookFailures === 0) for (const part of parts) dueMs = Math.min(dueMs, part.dueMs ?? Infinity);
    }
    if (dueMs === Infinity) return;
    this.#timer = setTimeout(
      () => {
        this.#running = this.#run().finally(() => {
          this.#running = null;
          this.#schedule();
        });
      },
      Math.max(0, dueMs - this.#options.clock.nowMs()),
    );
    this.#timer.unref();
  }

  /** Writes what is due, one after the other. */
  async #run(): Promise<void> {
    for (const [gateway, snapshot] of this.#gateways) {
      if (!(await this.#look(gateway, snapshot))) continue;
      for (const [index, part] of snapshot.parts.entries()) {
        if (part.dueMs === null || part.dueMs > this.#options.clock.nowMs()) continue;
        if (this.#epoch === null || this.#closed) return;
        try {
          await this.#bring(gateway, snapshot, index, part, this.#epoch);
          part.failures = 0;
        } catch (error) {
          this.#options.onFault(error, `the snapshot of ${gateway}, part ${index}`);
          part.dueMs = this.#options.clock.nowMs() + Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** part.failures++);
        }
      }
    }
  }

  /** Compares what is stored with what is remembered of it, when it is time to. False: it cannot be told, and nothing is written. */
  async #look(gateway: string, snapshot: GatewaySnapshot): Promise<boolean> {
    const { store, clock, lookEveryMs } = this.#options;
    if (snapshot.lookMs > clock.nowMs()) return snapshot.lookFailures === 0;
    const epoch = this.#epoch;
    if (epoch === null || this.#closed) return false;
    try {
      const stored = await store.stored(snapshot.table.gateway);
      if (this.#epoch !== epoch) return false;
      for (const [index, part] of snapshot.parts.entries()) {
        const digest = stored.get(index) ?? null;
        if (digest === part.digest) continue;
        part.digest = digest;
        part.dueMs ??= 0;
      }
      snapshot.lookFailures = 0;
      snapshot.lookMs = clock.nowMs() + (lookEveryMs ?? LOOK_EVERY_MS);
      return true;
    } catch (error) {
      this.#options.onFault(error, `the snapshot of ${gateway}`);
      snapshot.lookMs = clock.nowMs() + Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** snapshot.lookFailures++);
      return false;
    }
  }

  async #bring(gateway: string, snapshot: GatewaySnapshot, index: number, part: Part, epoch: number): Promise<void> {
    const { store, clock, maxPartBytes } = this.#options;
    const share = snapshot.share(index);
    // What changes from here on makes it due again.
    part.dueMs = null;
    if (share === undefined) return;
    // It is stored whole, perhaps by another who led meanwhile.
    if (share.digest === part.digest) return this.#setLeftOut(gateway, part, []);
    const order = { epoch, sequence: snapshot.sequence };
    const packed = await packPart(share, order, Math.round(clock.wallMs()), maxPartBytes);
    // One that is not whole is packed again by the next leader, which has to say what is missing.
    const digest = packed.leftOut.length === 0 ? share.digest : `${share.digest}-${packed.leftOut.length}`;
    await store.write({ gateway: share.gateway, part: index, order, digest, bytes: packed.bytes });
    part.digest = digest;
    part.writtenMs = clock.nowMs();
    this.#setLeftOut(gateway, part, packed.leftOut);
  }

  #setLeftOut(gateway: string, part: Part, leftOut: readonly LeftOut[]): void {
    if (part.leftOut.length === 0 && leftOut.length === 0) return;
    part.leftOut = leftOut;
    for (const listener of this.#listeners) listener(gateway);
  }
}
