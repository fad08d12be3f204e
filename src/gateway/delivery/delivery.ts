/**
 * Where a gateway pod's table comes from: the leader's stream; for a cold start while there is none, the snapshot. Whatever becomes
 * of either, what is served goes on being served, and nothing goes backwards.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import { BEFORE_ALL, compareOrder, Replica, type RefusedRoute } from '../../routetable/replica.ts';
import {
  type ExhaustedBudget,
  type Load,
  type Nack,
  SPOKEN_VERSIONS,
  STREAM_PATH,
  type StreamRequest,
  type TableOrder,
  type UpstreamReport,
} from '../../routetable/stream-messages.ts';
import type { RouteTable } from '../../routetable/types.ts';
import { OperatorLink } from './operator-link.ts';
import { Reporter } from './reporter.ts';
import { readSnapshot } from './snapshot-files.ts';
import { readStream } from './table-stream.ts';

export interface DeliveryOptions {
  readonly url: URL;
  readonly caFile: string;
  readonly tokenFile: string;
  /** null: there is none. */
  readonly snapshotDir: string | null;
  /** Of the software. */
  readonly version: string;
  readonly clock: Clock;
  /** [0, 1) */
  random(): number;
  readonly target: DeliveryTarget;
  /** What is worth a line of the log. */
  onEvent(event: DeliveryEvent): void;
  readonly timing?: Partial<DeliveryTiming>;
}

/** Who serves what is delivered. */
export interface DeliveryTarget {
  /**
   * Throws where the table's settings cannot be used; then what was served before still is. Returns the routes that are not served
   * as the table has them.
   */
  apply(table: RouteTable, refusedEntries: number): readonly RefusedRoute[];
  /** So many pods of this gateway are ready, this one included: told again and again while there is a leader that knows. */
  countPods(readyPods: number): void;
  /** Whether it serves clients now. */
  readonly serving: boolean;
  upstreams(): readonly UpstreamReport[];
  /** Why limits are not shared as the settings have it, free of secrets; null: they are, or are not to be. */
  limitsProblem(): string | null;
  load(): Load;
  exhaustedBudgets(): readonly ExhaustedBudget[];
}

export interface DeliveryEvent {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface DeliveryTiming {
  /** How long a cold start waits for a leader before it goes by the snapshot. */
  readonly snapshotAfterMs: number;
  /** The same where nobody answers at all, or whoever does is no leader: how long that must have lasted. */
  readonly noLeaderAfterMs: number;
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
  /** While there is no leader. */
  readonly rereadSnapshotMs: number;
  /** After a commit; the check costs a hash over all entries. */
  readonly verifyAfterMs: number;
}

const TIMING: DeliveryTiming = {
  snapshotAfterMs: 3_000,
  noLeaderAfterMs: 250,
  backoffMs: 100,
  backoffMaxMs: 3_000,
  rereadSnapshotMs: 10_000,
  verifyAfterMs: 1_000,
};

/** Once may be by chance. */
const NO_LEADER_AFTER_FAILURES = 2;

export type ConfigSource = 'None' | 'Snapshot' | 'Stream';

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #timing: DeliveryTiming;
  readonly #link: OperatorLink;
  readonly #reporter: Reporter;
  readonly #replica = new Replica();
  readonly #abort = new AbortController();
  #source: ConfigSource = 'None';
  /** Wall clock; when what is served was known to be what the leader means. */
  #asOfMs = 0;
  #writtenMs = 0;
  #connected = false;
  #reconnects = 0;
  #snapshotLoaded = false;
  #problem = 'the operator has not been reached yet';
  #lastProblem = '';
  #streamEpoch = 0;
  /** What a stream last brought. */
  #committed = BEFORE_ALL;
  #endStream: AbortController | null = null;
  #sendAll = false;
  #verify: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#timing = { ...TIMING, ...options.timing };
    this.#link = new OperatorLink(options);
    this.#reporter = new Reporter({
      link: this.#link,
      firstNumber: Math.round(options.clock.wallMs()),
      collect: () => ({
        seenEpoch: this.#replica.seenEpoch,
        acked: this.#acked(),
        digest: this.#replica.table?.digest ?? '',
        ready: this.ready && options.target.serving,
        version: options.version,
        nacks: this.#replica.nacks,
        upstreams: options.target.upstreams(),
        limitsProblem: options.target.limitsProblem(),
        load: options.target.load(),
        exhausted: options.target.exhaustedBudgets(),
      }),
      onEpoch: (epoch) => this.#sawEpoch(epoch),
      onProblem: (why) => this.#tell('warn', why),
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  get source(): ConfigSource {
    return this.#source;
  }

  /** A table is served that a leader gave, or none was to be had and the snapshot's is. */
  get ready(): boolean {
    return this.#source !== 'None';
  }

  /** A stream is open, and all that came over it is served. */
  get connected(): boolean {
    return this.#connected;
  }

  /** How often a stream had to be opened again. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** Of what is served: since a leader last said that this is the table. */
  get ageMs(): number {
    return this.#source === 'None' ? 0 : Math.max(0, this.#options.clock.wallMs() - this.#asOfMs);
  }

  get order(): TableOrder {
    return this.#replica.order;
  }

  get nacks(): readonly Nack[] {
    return this.#replica.nacks;
  }

  /** For a person who asks why the pod is not ready, or how old what it serves is. */
  describe(): string {
    const age = `${Math.round(this.ageMs / 1_000)} s old`;
    switch (this.#source) {
      case 'None':
        return `no configuration yet: ${this.#problem}${this.#snapshotLoaded ? '' : '; there is no snapshot'}`;
      case 'Snapshot':
        return `configuration from the snapshot, ${age}: ${this.#problem}`;
      case 'Stream':
        return this.#connected
          ? `configuration ${this.order.epoch}.${this.order.sequence} of the operator, ${age}`
          : `configuration ${this.order.epoch}.${this.order.sequence}, ${age}: ${this.#problem}`;
    }
  }

  /** Health or readiness has changed: the leader is told. */
  changed(): void {
    this.#reporter.changed();
  }

  /** The pod ends: it says so, and takes nothing more. */
  async close(): Promise<void> {
    await this.#reporter.leave();
    this.#abort.abort();
    this.#endStream?.abort();
    clearTimeout(this.#verify);
    this.#reporter.close();
    this.#link.close();
    await this.#running;
  }

  #acked(): TableOrder | null {
    // A sequence of another leader means nothing to this one, and a snapshot's parts are not all of a table.
    return this.#source === 'Stream' && this.#committed.epoch === this.#streamEpoch ? this.#committed : null;
  }

  async #run(): Promise<void> {
    const startedMs = this.#options.clock.nowMs();
    await this.#loadSnapshot();
    const useSnapshotAt = (ms: number): NodeJS.Timeout =>
      setTimeout(() => this.#useSnapshot(), Math.max(0, startedMs + ms - this.#options.clock.nowMs()));
    let coldStart = useSnapshotAt(this.#timing.snapshotAfterMs);
    const reread = setInterval(() => void this.#rereadSnapshot(), this.#timing.rereadSnapshotMs);
    try {
      let failures = 0;
      while (!this.#abort.signal.aborted) {
        const committed = await this.#connect();
        if (this.#abort.signal.aborted) return;
        failures = committed ? 0 : failures + 1;
        this.#reconnects++;
        if (failures === NO_LEADER_AFTER_FAILURES) {
          clearTimeout(coldStart);
          coldStart = useSnapshotAt(Math.min(this.#timing.noLeaderAfterMs, this.#timing.snapshotAfterMs));
        }
        await this.#wait(this.#backoff(failures));
      }
    } finally {
      clearTimeout(coldStart);
      clearInterval(reread);
    }
  }

  #backoff(failures: number): number {
    const { backoffMs, backoffMaxMs } = this.#timing;
    const upTo = Math.min(backoffMaxMs, backoffMs * 2 ** failures);
    // From half of it on: pods that lost a leader together do not come to the next one together.
    return upTo * (0.5 + this.#options.random() / 2);
  }

  /** One stream from its beginning to its end. Returns whether it brought the table up to date. */
  async #connect(): Promise<boolean> {
    const replica = this.#replica;
    const controller = new AbortController();
    this.#endStream = controller;
    let committed = false;
    const wanted: StreamRequest = {
      speaks: SPOKEN_VERSIONS,
      version: this.#options.version,
      seenEpoch: replica.seenEpoch,
      have: this.#sendAll ? null : replica.inventory,
    };
    try {
      const response = await this.#link.post(STREAM_PATH, wanted, { stream: true, signal: controller.signal });
      const { why, planned } = await readStream(response, replica, {
        onHello: (epoch) => {
          this.#streamEpoch = epoch;
          this.#reporter.begin();
        },
        onReadyPods: (count) => this.#options.target.countPods(count),
        onCommit: () => {
          committed = true;
          this.#taken();
        },
        onCurrent: () => {
          this.#asOfMs = this.#options.clock.wallMs();
        },
      });
      if (!planned) this.#failed(why);
    } catch (error) {
      this.#failed(causeOf(error));
    } finally {
      this.#connected = false;
      this.#reporter.pause();
      clearTimeout(this.#verify);
    }
    return committed;
  }

  #taken(): void {
    this.#committed = this.#replica.order;
    const first = !this.#connected;
    this.#connected = true;
    this.#sendAll = false;
    const served = this.#apply();
    if (served) this.#source = 'Stream';
    if (first) {
      this.#lastProblem = '';
      this.#tell('info', 'configuration from the operator', { ...this.order });
    }
    this.#reporter.changed();
    clearTimeout(this.#verify);
    this.#verify = setTimeout(() => this.#check(), this.#timing.verifyAfterMs);
  }

  /** A copy that is not what its leader means is asked for anew. */
  #check(): void {
    if (this.#replica.verify()) return;
    this.#tell('warn', 'the configuration is not what its digest says; it is asked for again');
    this.#sendAll = true;
    this.#endStream?.abort();
  }

  /** Returns whether there is a table. */
  #apply(): boolean {
    const { target } = this.#options;
    const replica = this.#replica;
    if (replica.table === null) {
      this.#problem = replica.nacks.map(({ kind, reason }) => `${kind}: ${reason}`).join('; ') || 'it has no settings';
      return false;
    }
    let refused: readonly RefusedRoute[];
    try {
      refused = target.apply(replica.table, replica.nacks.length);
    } catch (error) {
      this.#tell('warn', 'the settings cannot be used; those before them are', { why: causeOf(error) });
      replica.refuseSettings(causeOf(error));
      if (replica.table === null) return false;
      refused = target.apply(replica.table, replica.nacks.length);
    }
    if (refused.length > 0) {
      replica.refuseRoutes(refused);
      target.apply(replica.table, replica.nacks.length);
    }
    return true;
  }

  #sawEpoch(epoch: number): void {
    this.#replica.sawEpoch(epoch);
    // The stream is of a leader that is none any more: it may not know yet.
    if (epoch > this.#streamEpoch) this.#endStream?.abort();
  }

  async #loadSnapshot(): Promise<boolean> {
    const { snapshotDir } = this.#options;
    if (snapshotDir === null) return false;
    const { parts, problems } = await readSnapshot(snapshotDir);
    for (const problem of problems) this.#tell('warn', 'a part of the snapshot is refused', { problem });
    const took = this.#replica.load(parts);
    if (took) this.#snapshotLoaded = true;
    for (const { head } of parts) this.#writtenMs = Math.max(this.#writtenMs, head.writtenMs);
    return took;
  }

  /** The cold start's wait for a leader is over. */
  #useSnapshot(): void {
    if (this.#source !== 'None' || !this.#snapshotLoaded || this.#abort.signal.aborted) return;
    if (!this.#apply()) return;
    this.#source = 'Snapshot';
    this.#asOfMs = this.#writtenMs;
    this.#tell('warn', 'configuration from the snapshot', { ageMs: Math.round(this.ageMs), why: this.#problem });
    this.#reporter.changed();
  }

  /** What a leader writes is news for a pod that does not reach it, once the kubelet has brought it. */
  async #rereadSnapshot(): Promise<void> {
    if (this.#connected || this.#abort.signal.aborted) return;
    const before = this.#replica.order;
    const took = await this.#loadSnapshot();
    if (!took || this.#connected) return;
    if (this.#source === 'None') {
      this.#useSnapshot();
      return;
    }
    if (!this.#apply()) return;
    this.#asOfMs = Math.max(this.#asOfMs, this.#writtenMs);
    if (compareOrder(before, BEFORE_ALL) > 0) this.#tell('info', 'newer configuration from the snapshot', { ...this.order });
  }

  #failed(why: string): void {
    if (this.#abort.signal.aborted) return;
    this.#problem = why;
    // The same one again and again is told once.
    if (why === this.#lastProblem) return;
    this.#lastProblem = why;
    this.#tell('warn', 'no configuration from the operator', { why });
  }

  #tell(level: DeliveryEvent['level'], message: string, details?: DeliveryEvent['details']): void {
    this.#options.onEvent(details === undefined ? { level, message } : { level, message, details });
  }

  async #wait(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#abort.signal });
    } catch {
      // It ends.
    }
  }
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
