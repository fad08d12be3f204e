import { ManualClock, systemClock, type Clock } from './clock.ts';

/** A clock that can also wake its holder; handed in wherever something waits, so that tests own the waiting. */
export interface Timers extends Clock {
  /** Calls back once, `ms` from now or later. The result takes it back, and does nothing once it has fired. */
  after(ms: number, callback: () => void): () => void;
}

export const systemTimers: Timers = {
  ...systemClock,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

interface Waiting {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Timers that fire only while `run` moves the clock, in the order of their times, each at exactly its own. */
export class ManualTimers extends ManualClock implements Timers {
  readonly #waiting = new Set<Waiting>();
  #order = 0;

  get pending(): number {
    return this.#waiting.size;
  }

  after(ms: number, callback: () => void): () => void {
    const waiting: Waiting = { dueMs: this.nowMs() + Math.max(0, ms), order: this.#order++, callback };
    this.#waiting.add(waiting);
    return () => void this.#waiting.delete(waiting);
  }

  /** When the next one is due; null where none waits. */
  get nextMs(): number | null {
    return this.#next()?.dueMs ?? null;
  }

  /**
   * Moves the clock by `ms` and fires what comes due; `settle` is awaited before each step, for what goes on in promises.
   */
  async run(ms: number, settle: () => Promise<unknown> = turn): Promise<void> {
    const endMs = this.nowMs() + ms;
    for (;;) {
      await settle();
      const next = this.#next();
      if (next === null || next.dueMs > endMs) break;
      this.#waiting.delete(next);
      this.advance(Math.max(0, next.dueMs - this.nowMs()));
      next.callback();
    }
    this.advance(Math.max(0, endMs - this.nowMs()));
  }

  #next(): Waiting | null {
    let next: Waiting | null = null;
    for (const waiting of this.#waiting) {
      if (next === null || waiting.dueMs < next.dueMs || (waiting.dueMs === next.dueMs && waiting.order < next.order)) {
        next = waiting;
      }
    }
    return next;
  }
}

/** Lets every promise that can go on do so. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
