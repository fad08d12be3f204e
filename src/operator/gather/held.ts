/**
 * Holds an object back until everything that it names has been read once: a route that was just applied is compiled with its
 * Secret and not, a millisecond earlier, without it. Meanwhile the version before it goes on.
 */
import type { LLMBackend } from '../../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { Wanted } from './named-reader.ts';
import { namedBy, type Named } from './references.ts';

type Naming = LLMRoute | LLMGateway | LLMBackend | LLMQuota;

export interface HeldOptions<T> {
  /** What else has to be read for it. */
  isReady?(object: T): boolean;
  isKnown(wanted: Wanted): boolean;
  acquire(wanted: Wanted): void;
  release(wanted: Wanted): void;
}

interface Version<T> {
  readonly object: T;
  readonly named: readonly Wanted[];
}

interface Pair<T> {
  /** What compile is given; null: nothing yet. */
  released: Version<T> | null;
  /** Where in the list that is; -1: it is in none. */
  at: number;
  /** What is to replace it; null: nothing waits. */
  waiting: Version<T> | null;
}

export class HeldList<T extends Naming> {
  readonly #options: HeldOptions<T>;
  readonly #pairs = new Map<string, Pair<T>>();
  readonly #waiting = new Set<string>();
  #list: readonly T[] | null = null;

  constructor(options: HeldOptions<T>) {
    this.#options = options;
  }

  /** null: it is gone. */
  set(id: string, object: T | null): void {
    const pair = this.#pairs.get(id);
    if (pair !== undefined && (pair.waiting ?? pair.released)?.object === object) return;
    if (object === null) {
      this.#drop(pair?.released);
      this.#drop(pair?.waiting);
      this.#pairs.delete(id);
      this.#waiting.delete(id);
      if (pair?.released != null) this.#list = null;
      return;
    }
    const next: Version<T> = { object, named: this.#wantedBy(object) };
    for (const wanted of next.named) this.#options.acquire(wanted);
    const known = pair ?? { released: null, at: -1, waiting: null };
    this.#drop(known.waiting);
    // Of another object with the same name nothing goes on.
    if (known.released !== null && known.released.object.metadata.uid !== object.metadata.uid) {
      this.#drop(known.released);
      known.released = null;
      known.at = -1;
      this.#list = null;
    }
    known.waiting = next;
    this.#pairs.set(id, known);
    this.#waiting.add(id);
  }

  /** What is released, and what of the rest can be by now. The same list until something of it changes. */
  list(): readonly T[] {
    /** A copy of the list: who was given that one has it as it was. */
    let edited: T[] | null = null;
    for (const id of this.#waiting) {
      const pair = this.#pairs.get(id);
      if (pair?.waiting == null || !this.#isReady(pair.waiting)) continue;
      this.#drop(pair.released);
      pair.released = pair.waiting;
      pair.waiting = null;
      this.#waiting.delete(id);
      if (this.#list === null) continue;
      edited ??= [...this.#list];
      if (pair.at < 0) pair.at = edited.length;
      edited[pair.at] = pair.released.object;
    }
    if (this.#list === null) {
      edited = [];
      for (const pair of this.#pairs.values()) if (pair.released !== null) pair.at = edited.push(pair.released.object) - 1;
    }
    return (this.#list = edited ?? this.#list ?? []);
  }

  /** What a waiting object waits for; empty: it does not wait. */
  missing(id: string): readonly Wanted[] {
    return this.#pairs.get(id)?.waiting?.named.filter((wanted) => !this.#options.isKnown(wanted)) ?? [];
  }

  /** All as they were last given, released or not. */
  *newest(): Iterable<T> {
    for (const { released, waiting } of this.#pairs.values()) {
      const version = waiting ?? released;
      if (version !== null) yield version.object;
    }
  }

  #isReady({ object, named }: Version<T>): boolean {
    return named.every((wanted) => this.#options.isKnown(wanted)) && this.#options.isReady?.(object) !== false;
  }

  #wantedBy(object: T): readonly Wanted[] {
    const { namespace } = object.metadata;
    return namedBy(object).map(({ kind, name }: Named) => ({ kind, namespace, name }));
  }

  #drop(version: Version<T> | null | undefined): void {
    for (const wanted of version?.named ?? []) this.#options.release(wanted);
  }
}
