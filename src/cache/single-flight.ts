import type { CachedAnswer } from './cached-answer.ts';

/** A request that waits for an identical one. Called back once, unless it has left. */
export interface Waiter {
  answered(answer: CachedAnswer): void;
  /** Whoever asked has no answer for others: each asks for itself. */
  goOn(): void;
  /** Whoever asked has left: this one asks now, the others go on waiting. */
  lead(): void;
}

/** Identical requests at the same moment: the first one asks, the others wait for its answer. In this process. */
export class SingleFlight {
  readonly #waiting = new Map<string, Set<Waiter>>();

  /** True: nobody asks, so the caller does, and ends with one of the three below. False: it waits. */
  enter(key: string, waiter: Waiter): boolean {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      this.#waiting.set(key, new Set());
      return true;
    }
    waiting.add(waiter);
    return false;
  }

  leave(key: string, waiter: Waiter): void {
    this.#waiting.get(key)?.delete(waiter);
  }

  landed(key: string, answer: CachedAnswer): void {
    for (const waiter of this.#end(key)) waiter.answered(answer);
  }

  failed(key: string): void {
    for (const waiter of this.#end(key)) waiter.goOn();
  }

  abandoned(key: string): void {
    const waiting = this.#waiting.get(key);
    const [next] = waiting ?? [];
    if (next === undefined) {
      this.#waiting.delete(key);
      return;
    }
    waiting?.delete(next);
    next.lead();
  }

  #end(key: string): ReadonlySet<Waiter> {
    const waiting = this.#waiting.get(key) ?? new Set<Waiter>();
    this.#waiting.delete(key);
    return waiting;
  }
}
