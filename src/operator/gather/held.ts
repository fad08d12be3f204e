/**
 * Holds an object back until everything that it names has been read once: a route that was just applied is compiled with its
 * Secret and not, a millisecond earlier, without it. Meanwhile the version before it goes on.
 */
import type { LLMBackend } from '../../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { Wanted } from './named-reader.ts';
import { namedBy, type Named } from './references.ts';

type Naming = LLMRoute | LLMGateway | LLMBackend;

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
    const known = pair ?? { released: null, waiting: null };
    this.#drop(known.waiting);
    // Of another object with the same name nothing goes on.
    if (known.released !== null && known.released.object.metadata.uid !== object.metadata.uid) {
      this.#drop(known.released);
      known.released = null;
      this.#list = null;
    }
    known.waiting = next;
    this.#pairs.set(id, known);
    this.#waiting.add(id);
  }

  /** What is released, and what of the rest can be by now. The same list until something of it changes. */
  list(): readonly T[] {
    for (const id of this.#waiting) {
      const pair = this.#pairs.get(id);
      if (pair?.waiting == null || !this.#isReady(pair.waiting)) continue;
      this.#drop(pair.released);
      pair.released = pair.waiting;
      pair.waiting = null;
      this.#waiting.delete(id);
      this.#list = null;
    }
    if (this.#list === null) {
      const list: T[] = [];
      for (const { released } of this.#pairs.values()) if (released !== null) list.push(released.object);
      this.#list = list;
    }
    return this.#list;
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
