/**
 * Reads by name what objects name: Secrets, ConfigMaps and Services, with `get` and without `list`, so that the operator may read
 * what it is told of and cannot look around. Each is read as soon as it is named and again every 5 s.
 *
 * Namespaces take turns, so that one which names ten thousand Secrets slows down nobody but itself.
 */
import type { Timers } from '../../lib/timers.ts';
import type { KubeObject } from '../../kube/objects.ts';

import type { Named } from './references.ts';
import { Turns } from './turns.ts';

/** A name to be read. */
export interface Wanted extends Named {
  readonly namespace: string;
}

export type ReadOutcome =
  | { readonly outcome: 'Found'; readonly object: KubeObject }
  | { readonly outcome: 'Missing' }
  | { readonly outcome: 'Forbidden' }
  /** It cannot be told: the API server is down, or answers nonsense. `reason` is free of secrets. */
  | { readonly outcome: 'Failed'; readonly reason: string };

/** Must not throw. */
export type ReadByName = (wanted: Wanted) => Promise<ReadOutcome>;

export interface NamedReaderOptions {
  readonly read: ReadByName;
  readonly timers: Timers;
  /** Told when what is known of a name has become another; also when it is first known. */
  readonly onChange: (wanted: Wanted, outcome: ReadOutcome) => void;
}

const AGAIN_MS = 5_000;
/** What was just named and is not there yet is likely to come: `kubectl apply` of both in any order. */
const MISSING_AGAIN_MS = 1_000;
const MISSING_EAGER_MS = 30_000;
const FAILED_AGAIN_MS = [500, 1_000, 2_000, 5_000];
/** What is due is looked for so often. */
const TICK_MS = 50;
const IN_FLIGHT = 32;
/** Second and later reads a second, all namespaces together: with more than a thousand names, 5 s become longer. */
const AGAIN_PER_SECOND = 200;
/** A name that could not be read for so long is taken for unreadable, so that one Secret that cannot be decrypted holds up nothing else. */
const UNREADABLE_AFTER_MS = 15_000;

interface Name {
  readonly key: string;
  readonly wanted: Wanted;
  readonly sinceMs: number;
  holders: number;
  /** Bumped when it is put into a queue, so that a place it had before means nothing. */
  turn: number;
  reading: boolean;
  failures: number;
  /** Monotonic; when the first of these failures was begun, however long it waited for its turn before. */
  failingSinceMs: number;
  /** null: not read yet. The object itself is with whoever was told of it. */
  known: Known | null;
}

interface Known {
  readonly outcome: ReadOutcome['outcome'];
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
}

/** A name's place in a queue; void once the name has moved on. */
interface Place {
  readonly name: Name;
  readonly turn: number;
}

export function wantedKey({ kind, namespace, name }: Wanted): string {
  return `${kind}/${namespace}/${name}`;
}

export class NamedReader {
  readonly #options: NamedReaderOptions;
  readonly #names = new Map<string, Name>();
  /** To be read for the first time: as fast as it goes. */
  readonly #first = new Turns<Place>();
  /** To be read again: as many a second as there are tokens. */
  readonly #again = new Turns<Place>();
  /** What is due later, by the tick in which it is. */
  readonly #later = new Map<number, Place[]>();
  #tick: number;
  #inFlight = 0;
  #tokens = AGAIN_PER_SECOND / 10;
  #tokensAtMs: number;
  #wake: (() => void) | null = null;
  #stopped = false;

  constructor(options: NamedReaderOptions) {
    this.#options = options;
    this.#tokensAtMs = options.timers.nowMs();
    this.#tick = tickOf(this.#tokensAtMs);
  }

  /** Reads it from now on, until as many have released as have acquired it. */
  acquire(wanted: Wanted): void {
    const key = wantedKey(wanted);
    const known = this.#names.get(key);
    if (known !== undefined) {
      known.holders++;
      return;
    }
    const sinceMs = this.#options.timers.nowMs();
    const name: Name = { key, wanted, sinceMs, holders: 1, turn: 0, reading: false, failures: 0, failingSinceMs: 0, known: null };
    this.#names.set(key, name);
    this.#first.push(wanted.namespace, place(name));
    this.#run();
  }

  /** True: that was the last one, and it is forgotten. */
  release(wanted: Wanted): boolean {
    const name = this.#names.get(wantedKey(wanted));
    if (name === undefined || --name.holders > 0) return false;
    this.#names.delete(name.key);
    name.turn++;
    return true;
  }

  /** null: not read yet. Failed: it was never read, for so long that it is taken for unreadable. */
  known(wanted: Wanted): ReadOutcome['outcome'] | null {
    return this.#names.get(wantedKey(wanted))?.known?.outcome ?? null;
  }

  /** Reads it again now, e.g. because a provider refused the key that it held. */
  refresh(wanted: Wanted): void {
    const name = this.#names.get(wantedKey(wanted));
    if (name === undefined || name.reading || name.known === null) return;
    this.#again.push(name.wanted.namespace, place(name));
    this.#run();
  }

  get size(): number {
    return this.#names.size;
  }

  /** How many have never been read. */
  get unread(): number {
    let count = 0;
    for (const { known } of this.#names.values()) if (known === null) count++;
    return count;
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
    this.#wake = null;
  }

  #run(): void {
    if (this.#stopped) return;
    this.#wake?.();
    this.#wake = null;
    const nowMs = this.#options.timers.nowMs();
    this.#tokens = Math.min(AGAIN_PER_SECOND / 10, this.#tokens + ((nowMs - this.#tokensAtMs) * AGAIN_PER_SECOND) / 1_000);
    this.#tokensAtMs = nowMs;
    for (; this.#tick < tickOf(nowMs); this.#tick++) {
      for (const due of this.#later.get(this.#tick) ?? []) if (isValid(due)) this.#queue(due.name);
      this.#later.delete(this.#tick);
    }
    while (this.#inFlight < IN_FLIGHT && this.#first.size > 0) this.#take(this.#first.shift());
    while (this.#inFlight < IN_FLIGHT && this.#again.size > 0 && this.#tokens >= 1) this.#take(this.#again.shift());
    if (this.#names.size > 0) this.#wake = this.#options.timers.after(TICK_MS, () => this.#run());
  }

  /** Puts what is due into the queue that it belongs to. */
  #queue(name: Name): void {
    (name.known === null ? this.#first : this.#again).push(name.wanted.namespace, place(name));
  }

  #take(taken: Place | undefined): void {
    if (taken === undefined || !isValid(taken) || taken.name.reading) return;
    if (taken.name.known !== null) this.#tokens--;
    void this.#read(taken.name);
  }

  async #read(name: Name): Promise<void> {
    name.reading = true;
    name.turn++;
    this.#inFlight++;
    const startedMs = this.#options.timers.nowMs();
    let outcome: ReadOutcome;
    try {
      outcome = await this.#options.read(name.wanted);
    } finally {
      this.#inFlight--;
      name.reading = false;
    }
    if (!this.#stopped && this.#names.get(name.key) === name) {
      const againMs = this.#learn(name, outcome, startedMs);
      const at = tickOf(this.#options.timers.nowMs() + againMs);
      const tick = this.#later.get(at);
      if (tick === undefined) this.#later.set(at, [place(name)]);
      else tick.push(place(name));
    }
    this.#run();
  }

  /** Returns when to read it again. */
  #learn(name: Name, outcome: ReadOutcome, startedMs: number): number {
    const nowMs = this.#options.timers.nowMs();
    if (outcome.outcome === 'Failed') {
      if (name.failures === 0) name.failingSinceMs = startedMs;
      const againMs = FAILED_AGAIN_MS[Math.min(name.failures++, FAILED_AGAIN_MS.length - 1)] ?? AGAIN_MS;
      // What is known stays known: a failed read says nothing of the object.
      if (name.known === null && nowMs - name.failingSinceMs >= UNREADABLE_AFTER_MS) this.#know(name, outcome);
      return againMs;
    }
    name.failures = 0;
    this.#know(name, outcome);
    return outcome.outcome === 'Missing' && nowMs - name.sinceMs < MISSING_EAGER_MS ? MISSING_AGAIN_MS : AGAIN_MS;
  }

  #know(name: Name, outcome: ReadOutcome): void {
    const before = name.known;
    const { uid, resourceVersion } = outcome.outcome === 'Found' ? outcome.object.metadata : {};
    name.known = { outcome: outcome.outcome, uid, resourceVersion };
    const same = before?.outcome === outcome.outcome && before.uid === uid && before.resourceVersion === resourceVersion;
    if (!same) this.#options.onChange(name.wanted, outcome);
  }
}

function tickOf(ms: number): number {
  return Math.floor(ms / TICK_MS);
}

function place(name: Name): Place {
  return { name, turn: ++name.turn };
}

function isValid({ name, turn }: Place): boolean {
  return name.turn === turn;
}
