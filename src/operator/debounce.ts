import type { Timers } from '../lib/timers.ts';

export interface DebounceOptions {
  readonly timers: Timers;
  /** Must not throw. */
  readonly run: () => void;
  /** What comes within so long of a run waits until it has been quiet for so long … */
  readonly quietMs?: number;
  /** … but at most so long. */
  readonly atMostMs?: number;
}

/**
 * Turns many calls into few runs: the first after a pause runs at once, what follows closely is gathered. One edit is served
 * without a delay, and a thousand that arrive together do not compile a thousand times.
 */
export class Debounce {
  readonly #timers: Timers;
  readonly #run: () => void;
  readonly #quietMs: number;
  readonly #atMostMs: number;
  #lastRunMs = -Infinity;
  #firstWaitingMs = 0;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor({ timers, run, quietMs = 10, atMostMs = 50 }: DebounceOptions) {
    this.#timers = timers;
    this.#run = run;
    this.#quietMs = quietMs;
    this.#atMostMs = atMostMs;
  }

  call(): void {
    if (this.#stopped) return;
    const nowMs = this.#timers.nowMs();
    if (this.#cancel === null) {
      if (nowMs - this.#lastRunMs >= this.#quietMs) {
        this.#fire();
        return;
      }
      this.#firstWaitingMs = nowMs;
    } else {
      this.#cancel();
    }
    const leftMs = this.#firstWaitingMs + this.#atMostMs - nowMs;
    this.#cancel = this.#timers.after(Math.max(0, Math.min(this.#quietMs, leftMs)), () => this.#fire());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  #fire(): void {
    this.#cancel = null;
    this.#run();
    // Counted from its end, so that a slow run does not let every call through.
    this.#lastRunMs = this.#timers.nowMs();
  }
}
