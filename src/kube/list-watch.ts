import type { Timers } from '../lib/timers.ts';
import { Backoff } from './backoff.ts';
import type { KubeClient, ListPage } from './client.ts';
import type { ListWatchOptions, ListWatchState, ListWatchView } from './contract.ts';
import { listPass } from './list-pass.ts';
import type { KubeFailure } from './outcome.ts';
import { Replica, type ReplicaChange } from './replica.ts';
import { watchSession } from './watch-session.ts';

/** Waiting between attempts: short enough that the store is right again within 5 s of the server's return. */
const MIN_DELAY_MS = 50;
const MAX_DELAY_MS = 1500;
const WATCH_SECONDS = 300;
/** A watch that ended sooner than this counts as a failure for the waiting. */
const SHORT_MS = 1000;
/** A watch that cannot be opened this often in a row is begun anew by a list. */
const MAX_OPEN_FAILURES = 2;
/** One that took this long to open counts as broken off, too: nobody knows what happened meanwhile. */
const SLOW_OPEN_MS = 1000;
/** What was lost with a watch that broke off is found by a list, this long after the next one has begun. */
const AUDIT_AFTER_BREAK_MS = 500;
const AUDIT_EVERY_MS = 10 * 60_000;
/** How often the server's own moment is asked for: one that lies before ours means that its etcd was restored. */
const PROBE_EVERY_MS = 10_000;
const PROBE_TIMEOUT_MS = 5000;
const ABSENT_AGAIN_MS = 2000;
/** One answer that the kind does not exist may come from a server that is just starting. */
const ABSENT_FOR_SURE = 2;

export interface ListWatchEnvironment {
  readonly client: KubeClient;
  readonly timers: Timers;
  readonly random: () => number;
}

type Cancel = () => void;

/**
 * Keeps a copy of one kind of objects. Lists once, watches from there, and resumes where a watch ended. What a watch may have missed is found
 * in three ways: by a list after each watch that broke off, by a look at the server's moment every 10 s (it goes back when etcd is
 * restored), by a list every 10 minutes. Such lists run beside the watch and are merged by version, so that nothing waits for them.
 */
export class ListWatch<T> implements ListWatchView<T> {
  readonly #environment: ListWatchEnvironment;
  readonly #options: ListWatchOptions<T>;
  readonly #scope: { readonly namespace?: string; readonly labelSelector?: string; readonly fieldSelector?: string };
  readonly #replica = new Replica();
  readonly #store = new Map<string, T>();
  readonly #listBackoff: Backoff;
  readonly #watchBackoff: Backoff;
  readonly #whenSynced = Promise.withResolvers<void>();
  #state: ListWatchState = 'listing';
  #synced = false;
  #lastFailure: KubeFailure | null = null;
  /** Of the failure that was told last; null: it could be read and watched since. */
  #told: KubeFailure['kind'] | null = null;
  #lastContactMs: number | null = null;
  /** Consecutive answers that the kind does not exist. */
  #absences = 0;
  /** Consecutive failures to open a watch. */
  #openFailures = 0;
  /** When the watch was opened; null while none is. */
  #openedMs: number | null = null;
  /** The last watch broke off, or the next one had to wait, and no list has begun since. */
  #broken = false;

  // What is under way or waits; null: nothing.
  #list: Cancel | null = null;
  #listRetry: Cancel | null = null;
  #watch: Cancel | null = null;
  #watchRetry: Cancel | null = null;
  #audit: Cancel | null = null;
  #probe: Cancel | null = null;

  /** Starts at once; the first callbacks come later. */
  constructor(environment: ListWatchEnvironment, options: ListWatchOptions<T>) {
    this.#environment = environment;
    this.#options = options;
    const { namespace, labelSelector, fieldSelector } = options;
    this.#scope = {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
    this.#listBackoff = new Backoff(MIN_DELAY_MS, MAX_DELAY_MS, environment.random);
    this.#watchBackoff = new Backoff(MIN_DELAY_MS, MAX_DELAY_MS, environment.random);
    this.#startList();
    this.#scheduleProbe();
  }

  get store(): ReadonlyMap<string, T> {
    return this.#store;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get state(): ListWatchState {
    return this.#state;
  }

  get lastFailure(): KubeFailure | null {
    return this.#lastFailure;
  }

  get lastContactMs(): number | null {
    return this.#lastContactMs;
  }

  whenSynced(): Promise<void> {
    return this.#whenSynced.promise;
  }

  stop(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    for (const cancel of [this.#list, this.#listRetry, this.#watch, this.#watchRetry, this.#audit, this.#probe]) cancel?.();
    this.#whenSynced.resolve();
  }

  /** Read anew each time: each callback may have stopped this. */
  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  /** A complete list, beside a watch that may be running. One at a time. */
  #startList(): void {
    if (this.#list !== null) return;
    this.#listRetry?.();
    this.#listRetry = null;
    this.#audit?.();
    this.#audit = null;
    this.#broken = false;
    const { client, timers } = this.#environment;
    const { resource } = this.#options;
    const since = this.#replica.highest;
    this.#list = listPass({ client, timers, resource, query: this.#scope, backoff: this.#listBackoff }, (result) => {
      this.#list = null;
      if (result.ok) this.#listed(result.value, since);
      else this.#listFailed(result.error);
    });
  }

  #listed(list: ListPage, since: number): void {
    this.#listBackoff.reset();
    this.#absences = 0;
    this.#heard();
    const { changes, rewound } = this.#replica.merge(list.items, list.resourceVersion, since);
    for (const change of changes) this.#publish(change);
    if (this.#stopped()) return;
    // A list that a break came into does not tell what was before it from what was after.
    if (this.#audit === null) this.#scheduleAudit(this.#jittered(this.#broken ? AUDIT_AFTER_BREAK_MS : AUDIT_EVERY_MS));
    // A watch from a moment that the server has yet to reach again would be deaf until then.
    if (rewound) this.#endWatch();
    if (this.#watch === null && this.#watchRetry === null) this.#startWatch();
    this.#sync();
  }

  #listFailed(failure: KubeFailure): void {
    this.#failed(failure);
    if (failure.kind !== 'absent') {
      if (this.#openedMs === null) this.#enter('retrying');
      if (!this.#stopped()) this.#retryList(this.#listBackoff.nextMs(failure.retryAfterMs));
      return;
    }
    this.#absences++;
    this.#endWatch();
    if (this.#absences >= ABSENT_FOR_SURE) for (const change of this.#replica.clear()) this.#publish(change);
    if (this.#store.size === 0) this.#sync();
    this.#enter('absent');
    if (!this.#stopped()) this.#retryList(this.#jittered(ABSENT_AGAIN_MS));
  }

  #retryList(ms: number): void {
    this.#listRetry = this.#environment.timers.after(ms, () => {
      this.#listRetry = null;
      this.#startList();
    });
  }

  #startWatch(): void {
    const { client, timers, random } = this.#environment;
    const query = {
      ...this.#scope,
      resourceVersion: String(this.#replica.highest),
      timeoutSeconds: Math.round(WATCH_SECONDS * (1 + random())),
    };
    const startedMs = timers.nowMs();
    this.#watch = watchSession(client, timers, this.#options.resource, query, {
      onOpen: () => {
        this.#openedMs = timers.nowMs();
        if (this.#openedMs - startedMs > SLOW_OPEN_MS) this.#broken = true;
        this.#openFailures = 0;
        this.#told = null;
        this.#heard();
        if (this.#broken && this.#list === null) this.#scheduleAudit(this.#jittered(AUDIT_AFTER_BREAK_MS));
        this.#enter('watching');
      },
      onEvent: (type, object) => {
        this.#heard();
        const change = this.#replica.apply(type === 'DELETED', object);
        if (change !== null) this.#publish(change);
      },
      onBookmark: (resourceVersion) => {
        this.#heard();
        this.#replica.bookmark(resourceVersion);
      },
      onEnd: () => {
        if (!this.#watchOver()) return this.#startWatch();
        this.#broken = true;
        this.#retryWatch(this.#watchBackoff.nextMs());
      },
      onFailure: (failure) => this.#watchFailed(failure),
    });
  }

  #watchFailed(failure: KubeFailure): void {
    if (this.#openedMs === null) this.#openFailures++;
    this.#watchOver();
    this.#failed(failure);
    this.#broken = true;
    this.#enter('retrying');
    if (this.#stopped()) return;
    const delayMs = this.#watchBackoff.nextMs(failure.retryAfterMs);
    const anew = failure.kind === 'gone' || failure.kind === 'absent' || this.#openFailures >= MAX_OPEN_FAILURES;
    if (!anew) return this.#retryWatch(delayMs);
    this.#openFailures = 0;
    // The list starts the next watch.
    if (this.#list !== null || this.#listRetry !== null) return;
    if (failure.kind === 'gone') this.#startList();
    else this.#retryList(delayMs);
  }

  #retryWatch(ms: number): void {
    this.#watchRetry = this.#environment.timers.after(ms, () => {
      this.#watchRetry = null;
      this.#startWatch();
    });
  }

  /** Whether it lived for so short a time that the next one should wait. */
  #watchOver(): boolean {
    const short = this.#openedMs === null || this.#environment.timers.nowMs() - this.#openedMs < SHORT_MS;
    if (!short) this.#watchBackoff.reset();
    this.#openedMs = null;
    this.#watch = null;
    return short;
  }

  #endWatch(): void {
    this.#watch?.();
    this.#watchRetry?.();
    this.#watch = null;
    this.#watchRetry = null;
    this.#openedMs = null;
  }

  #scheduleAudit(ms: number): void {
    this.#audit?.();
    this.#audit = this.#environment.timers.after(ms, () => {
      this.#audit = null;
      this.#startList();
    });
  }

  #scheduleProbe(): void {
    const { client, timers } = this.#environment;
    const abort = new AbortController();
    const cancelTimer = timers.after(this.#jittered(PROBE_EVERY_MS), () => {
      if (this.#openedMs === null || this.#list !== null) return this.#scheduleProbe();
      const options = { signal: abort.signal, timeoutMs: PROBE_TIMEOUT_MS };
      const since = this.#replica.highest;
      void client.list(this.#options.resource, { ...this.#scope, limit: 1 }, options).then((page) => {
        if (this.#stopped()) return;
        this.#scheduleProbe();
        if (!page.ok) return;
        this.#heard();
        if (Number(page.value.resourceVersion) < since) this.#startList();
      });
    });
    this.#probe = () => {
      cancelTimer();
      abort.abort();
    };
  }

  #publish({ key, object }: ReplicaChange): void {
    if (this.#stopped()) return;
    try {
      const value = object === null ? null : this.#options.parse(object);
      if (value === null) this.#store.delete(key);
      else this.#store.set(key, value);
      this.#options.onChange?.(key, value);
    } catch (error) {
      this.#options.onError?.(error, key);
    }
  }

  #enter(state: ListWatchState): void {
    if (this.#stopped() || this.#state === state) return;
    this.#state = state;
    this.#tell(() => this.#options.onState?.(state));
  }

  #failed(failure: KubeFailure): void {
    this.#lastFailure = failure;
    if (this.#stopped() || this.#told === failure.kind) return;
    this.#told = failure.kind;
    this.#tell(() => this.#options.onFailure?.(failure));
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#options.onError?.(error, '');
    }
  }

  #heard(): void {
    this.#lastContactMs = this.#environment.timers.nowMs();
  }

  #sync(): void {
    if (this.#synced) return;
    this.#synced = true;
    this.#whenSynced.resolve();
    // Who waits for everything to be read looks when it is told, and perhaps never again.
    if (!this.#stopped()) this.#tell(() => this.#options.onState?.(this.#state));
  }

  /** Between three quarters and five quarters. */
  #jittered(ms: number): number {
    return ms * (0.75 + this.#environment.random() / 2);
  }
}
