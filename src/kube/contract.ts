/**
 * What src/kube offers beside the client, as types: list-watch, queue, election, apply with prune. The classes that keep these promises lie
 * beside this file.
 */
import type { Timers } from '../lib/timers.ts';
import type { KubeClient } from './client.ts';
import type { KubeObject, Resource } from './objects.ts';
import type { KubeFailure } from './outcome.ts';

/**
 * - `listing` before the first complete list
 * - `watching` the store follows the server
 * - `absent` the server does not serve this kind; asked again every few seconds
 * - `retrying` the last call failed (`ListWatch.lastFailure`); the store holds what was last known
 * - `stopped`
 */
export type ListWatchState = 'listing' | 'watching' | 'absent' | 'retrying' | 'stopped';

export interface ListWatchOptions<T> {
  readonly resource: Resource;
  /** All namespaces where not given. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** `metadata.managedFields` is dropped before (it can be the larger half). What it throws is reported; the last good value stays. */
  parse(object: KubeObject): T;
  /** After the store changed; null: deleted. A throw is reported and changes nothing else. A parser must not return null. */
  onChange?(key: string, value: T | null): void;
  /** Also when `synced` turns true. */
  onState?(state: ListWatchState): void;
  /** It cannot be read, for another reason than it could not before; told again once it was watched in between. */
  onFailure?(failure: KubeFailure): void;
  /** An exception of `parse` or of a handler, with the key (empty for `onState` and `onFailure`). Must not throw itself. */
  onError?(error: unknown, key: string): void;
}

/** A local copy of one kind of objects that follows the server through every kind of trouble. */
export interface ListWatchView<T> {
  /** By `namespace/name`, or `name` for what is cluster-wide. */
  readonly store: ReadonlyMap<string, T>;
  /** True after the first complete list, or when the kind was found to be absent; stays true. */
  readonly synced: boolean;
  readonly state: ListWatchState;
  readonly lastFailure: KubeFailure | null;
  /** Monotonic time at which the store was last known to follow the server; null before the first list. */
  readonly lastContactMs: number | null;
  /** Resolves when `synced` turns true, or on `stop`. */
  whenSynced(): Promise<void>;
  /** At once: no callback follows, no timer and no request stays. */
  stop(): void;
}

/** What became of one run of a key. An exception counts as `retry` and is reported. */
export type WorkResult = 'done' | 'retry' | { readonly againAfterMs: number };

export interface WorkQueueOptions {
  readonly timers: Timers;
  readonly random: () => number;
  readonly concurrency: number;
  run(key: string, signal: AbortSignal): Promise<WorkResult>;
  onError(error: unknown, key: string): void;
  /** Waiting after the first `retry` of a key; doubles up to `maxDelayMs`, forgotten on `done`. */
  readonly minDelayMs?: number;
  readonly maxDelayMs?: number;
}

/** Keys that wait for work: each once, never two runs of one key at a time; a key that comes while it runs is run again. */
export interface WorkQueueView {
  add(key: string): void;
  addAfter(key: string, ms: number): void;
  readonly depth: number;
  /** Takes no more, aborts the signal of what runs and resolves when that has ended. */
  stop(): Promise<void>;
}

export interface LeaderElectionOptions {
  /** One without a guard: its writes are bound to the Lease's resourceVersion. */
  readonly client: KubeClient;
  readonly timers: Timers;
  readonly random: () => number;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique to this process: pod name and something random, so that every start is a transition. */
  readonly identity: string;
  readonly leaseMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryMs?: number;
  /** Called when leading begins (with its epoch) and when it ends (null), in that order and never twice alike. */
  onChange(epoch: number | null): void;
  readonly onError: (error: unknown) => void;
}

export interface LeaderElectionView {
  start(): void;
  /**
   * Judged by the clocks at this very moment, both of them: a process that was stopped (SIGSTOP, a suspended machine) says no on its
   * first turn after, before any timer has run. Give it to `KubeClient.guardedBy`.
   */
  isLeader(): boolean;
  /** The Lease's transitions while leading; 0 otherwise. */
  readonly epoch: number;
  /** Who holds the Lease, as last seen; null: nobody. */
  readonly holder: string | null;
  /** The next epoch of ours is to be above this one: it was seen somewhere (a pod, a snapshot), the Lease was lost or restored. */
  raiseEpoch(above: number): void;
  /** Ends leading, gives the Lease back so that another takes it within its retry, and stops. */
  release(): Promise<void>;
}

export interface ApplySetOptions {
  /** Where `desired` lives. */
  readonly namespace: string;
  /** On everything of this set and on nothing else: what has it and is no longer desired is deleted. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of the object that owns all of `desired`: deleted is only what it owns, too. */
  readonly ownerUid?: string;
  /** Every kind that the set may ever have held. One that the server does not serve is no failure unless it is desired. */
  readonly kinds: readonly Resource[];
  readonly desired: readonly KubeObject[];
}

/**
 * `failures` stop nothing else. One of kind `already_exists`: an object of that name is there which is not ours, and it was left alone.
 */
export interface ApplySetOutcome {
  /** Keys as `Kind namespace/name`. */
  readonly applied: readonly string[];
  readonly unchanged: readonly string[];
  readonly pruned: readonly string[];
  readonly failures: readonly { readonly object: string; readonly failure: KubeFailure }[];
}
