/**
 * Brings the status of objects on the API server to what it is to be: level-based, bound to the resourceVersion that it was decided
 * on, capped for the whole cluster, and silent where nothing has changed.
 *
 * A change is followed by two writes at most: what comes true at once is written as it is; what is under way (some pods serve it,
 * others not yet) is given a moment, written once, and then only when it is decided or has hung for long.
 */
import type { KubeFailure, KubeResult } from '../../kube/outcome.ts';
import { refOf, type KubeObject, type ObjectRef } from '../../kube/objects.ts';
import type { Timers } from '../../lib/timers.ts';
import type { OwnKind } from '../gather/gather.ts';
import { Turns } from '../gather/turns.ts';
import { statusToWrite } from './observed.ts';
import type { DesiredStatus } from './route-status.ts';

/** How an object stands, as the store last saw it. */
export interface Standing {
  readonly resourceVersion: string;
  readonly status: unknown;
}

export interface Wish {
  readonly desired: DesiredStatus & Readonly<Record<string, unknown>>;
  /** `waiting`: it is about to change by itself, and was not told yet. `hanging`: that was told. `decided`: as it is. */
  readonly stage: 'decided' | 'waiting' | 'hanging';
}

export interface StatusWriterOptions {
  readonly timers: Timers;
  /** Bound to the resourceVersion; by a client that refuses to write where this process no longer leads. */
  patch(
    kind: OwnKind,
    ref: ObjectRef,
    resourceVersion: string,
    status: Readonly<Record<string, unknown>>,
  ): Promise<KubeResult<KubeObject>>;
  standing(kind: OwnKind, id: string): Standing | null;
  /** null: nothing is to be said of it, or not yet. */
  wish(kind: OwnKind, id: string, standing: Standing): Wish | null;
  /** After the write: what stood there and what stands there now. */
  onWritten(kind: OwnKind, id: string, before: unknown, after: unknown): void;
  onFailure(kind: OwnKind, id: string, failure: KubeFailure): void;
  readonly perSecond?: number;
}

/** Members of `status` that the operator owns, by kind; what else stands there is not touched. */
const OWN_MEMBERS: Readonly<Record<OwnKind, readonly string[]>> = {
  LLMRoute: ['observedGeneration', 'endpoint', 'models', 'conditions', 'parents', 'backends'],
  LLMGateway: ['observedGeneration', 'replicas', 'programmed', 'endpoint', 'conditions'],
  LLMBackend: ['observedGeneration', 'state', 'reason', 'since', 'conditions'],
  LLMQuota: ['observedGeneration', 'conditions'],
};

/** Gathers what happens together: Accepted, and a pod's word a millisecond later, are one write. */
const SETTLE_MS = 20;
const WAITING_MS = 500;
const HANGING_MS = 30_000;
const IN_FLIGHT = 8;
/** What may go out at once after a pause: this share of what goes out in a second. */
const BURST_SHARE = 5;
/** So many are looked at before other work has its turn. */
const LOOKED_AT_A_TURN = 100;
const RETRY_MS = [100, 500, 2_000, 10_000];

interface Item {
  readonly key: string;
  readonly kind: OwnKind;
  readonly id: string;
  /** Since when it is, or may be, other than it should be; null: it is not. */
  sinceMs: number | null;
  queued: boolean;
  writing: boolean;
  failures: number;
  cancel: (() => void) | null;
  /** What was written last, until the store has caught up. */
  written: { readonly over: string; readonly standing: Standing } | null;
  /** What the API server took and did not store, because the installed CRD has no such field: it would never stand there. */
  vain: { readonly resourceVersion: string; readonly desired: string } | null;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #perSecond: number;
  readonly #items = new Map<string, Item>();
  readonly #queue = new Turns<Item>();
  #tokens: number;
  #tokensAtMs: number;
  #inFlight = 0;
  #wake: (() => void) | null = null;
  #wakeAtMs = 0;
  #active = false;
  #writes = 0;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#perSecond = options.perSecond ?? 50;
    this.#tokens = this.#perSecond / BURST_SHARE;
    this.#tokensAtMs = options.timers.nowMs();
  }

  /** Status writes that went through. */
  get writes(): number {
    return this.#writes;
  }

  /** How many objects wait to be looked at or written. */
  get depth(): number {
    return this.#queue.size;
  }

  /** Writes from now on; before, `touch` means nothing. */
  start(): void {
    this.#active = true;
  }

  /** Nothing is written after it; a write under way is the guard's to refuse. */
  stop(): void {
    this.#active = false;
    this.#wake?.();
    this.#wake = null;
    for (const item of this.#items.values()) item.cancel?.();
    this.#items.clear();
    while (this.#queue.shift() !== undefined);
  }

  /**
   * Something that its status depends on may have changed. It is looked at a moment later, once for all that happens until then: an
   * edit and the word of each pod about it come within milliseconds, in which the machine has requests to serve.
   */
  touch(kind: OwnKind, id: string): void {
    if (!this.#active) return;
    const key = `${kind}/${id}`;
    let item = this.#items.get(key);
    if (item === undefined) {
      item = {
        key,
        kind,
        id,
        sinceMs: null,
        queued: false,
        writing: false,
        failures: 0,
        cancel: null,
        written: null,
        vain: null,
      };
      this.#items.set(key, item);
    }
    item.sinceMs ??= this.#options.timers.nowMs();
    this.#enqueue(item);
    this.#schedule(SETTLE_MS);
  }

  #enqueue(item: Item): void {
    item.cancel?.();
    item.cancel = null;
    if (item.queued) return;
    item.queued = true;
    this.#queue.push(item.id.slice(0, item.id.indexOf('/')), item);
  }

  #schedule(ms: number): void {
    if (!this.#active) return;
    const atMs = this.#options.timers.nowMs() + ms;
    if (this.#wake !== null) {
      if (this.#wakeAtMs <= atMs) return;
      this.#wake();
    }
    this.#wakeAtMs = atMs;
    this.#wake = this.#options.timers.after(ms, () => {
      this.#wake = null;
      this.#run();
    });
  }

  #run(): void {
    const nowMs = this.#options.timers.nowMs();
    this.#tokens = Math.min(this.#perSecond / BURST_SHARE, this.#tokens + ((nowMs - this.#tokensAtMs) * this.#perSecond) / 1_000);
    this.#tokensAtMs = nowMs;
    for (let looked = 0; looked < LOOKED_AT_A_TURN && this.#queue.size > 0; looked++) {
      if (this.#tokens < 1) {
        this.#schedule(Math.ceil(1_000 / this.#perSecond));
        return;
      }
      if (this.#inFlight >= IN_FLIGHT) return;
      const item = this.#queue.shift();
      if (item === undefined) return;
      item.queued = false;
      if (!item.writing) this.#look(item, nowMs);
    }
    if (this.#queue.size > 0) this.#schedule(0);
  }

  #look(item: Item, nowMs: number): void {
    const seen = this.#options.standing(item.kind, item.id);
    if (seen === null) {
      this.#items.delete(item.key);
      return;
    }
    if (item.written !== null && item.written.over !== seen.resourceVersion) item.written = null;
    const standing = item.written?.standing ?? seen;
    const wish = this.#options.wish(item.kind, item.id, standing);
    const now = new Date(Math.floor(this.#options.timers.wallMs() / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
    const status = wish === null ? null : statusToWrite(wish.desired, standing.status, now, OWN_MEMBERS[item.kind]);
    const vain =
      item.vain?.resourceVersion === standing.resourceVersion && item.vain.desired === JSON.stringify(wish?.desired ?? null);
    if (wish === null || status === null || vain) {
      item.sinceMs = null;
      if (item.written === null && !vain) this.#items.delete(item.key);
      return;
    }
    item.sinceMs ??= nowMs;
    const holdMs = { decided: SETTLE_MS, waiting: WAITING_MS, hanging: HANGING_MS }[wish.stage];
    const leftMs = item.sinceMs + holdMs - nowMs;
    if (leftMs > 0) {
      item.cancel = this.#options.timers.after(leftMs, () => {
        item.cancel = null;
        this.#enqueue(item);
        this.#schedule(0);
      });
      return;
    }
    this.#tokens--;
    void this.#write(item, standing, status, JSON.stringify(wish.desired));
  }

  async #write(item: Item, standing: Standing, status: Readonly<Record<string, unknown>>, desired: string): Promise<void> {
    item.writing = true;
    this.#inFlight++;
    const written = await this.#options.patch(item.kind, refOf(item.id), standing.resourceVersion, status);
    this.#inFlight--;
    item.writing = false;
    if (!this.#active) return;
    if (written.ok) {
      this.#writes++;
      item.failures = 0;
      item.sinceMs = null;
      const after = written.value['status'];
      const over = this.#options.standing(item.kind, item.id)?.resourceVersion ?? '';
      const resourceVersion = written.value.metadata.resourceVersion ?? '';
      item.vain = resourceVersion === standing.resourceVersion ? { resourceVersion, desired } : null;
      // The store may have it already; else what it still shows is older than this.
      if (over !== resourceVersion) item.written = { over, standing: { resourceVersion, status: after } };
      this.#options.onWritten(item.kind, item.id, standing.status, after);
      this.#enqueue(item);
    } else {
      item.written = null;
      this.#retry(item, written.error);
    }
    this.#schedule(0);
  }

  #retry(item: Item, failure: KubeFailure): void {
    if (failure.kind === 'not_found') {
      this.#items.delete(item.key);
      return;
    }
    // Of a conflict the store will tell soon; the rest is worth a word.
    if (failure.kind !== 'conflict') this.#options.onFailure(item.kind, item.id, failure);
    if (failure.kind === 'guarded' || failure.kind === 'stopped') return;
    const ms = failure.retryAfterMs ?? RETRY_MS[Math.min(item.failures++, RETRY_MS.length - 1)] ?? 0;
    item.cancel?.();
    item.cancel = this.#options.timers.after(ms, () => {
      item.cancel = null;
      this.#enqueue(item);
      this.#schedule(0);
    });
  }
}
