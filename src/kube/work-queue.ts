import type { WorkQueueOptions, WorkQueueView, WorkResult } from './contract.ts';
import { Backoff } from './backoff.ts';

const MIN_DELAY_MS = 50;
const MAX_DELAY_MS = 30_000;

/** See `WorkQueueView`. Keys run in the order of their coming. */
export class WorkQueue implements WorkQueueView {
  readonly #options: WorkQueueOptions;
  /** To run as soon as there is room. */
  readonly #ready = new Set<string>();
  readonly #running = new Set<string>();
  /** Came again while it ran. */
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { readonly dueMs: number; readonly cancel: () => void }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #abort = new AbortController();
  readonly #idle = Promise.withResolvers<void>();
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait, for room or for their time. */
  get depth(): number {
    return this.#ready.size + this.#again.size + this.#later.size;
  }

  add(key: string): void {
    if (this.#stopped) return;
    this.#forgetLater(key);
    if (this.#running.has(key)) this.#again.add(key);
    else this.#ready.add(key);
    this.#fill();
  }

  addAfter(key: string, ms: number): void {
    if (this.#stopped || this.#ready.has(key) || this.#again.has(key)) return;
    const dueMs = this.#options.timers.nowMs() + ms;
    const waiting = this.#later.get(key);
    // The sooner of two wishes counts.
    if (waiting !== undefined && waiting.dueMs <= dueMs) return;
    waiting?.cancel();
    const cancel = this.#options.timers.after(ms, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { dueMs, cancel });
  }

  stop(): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true;
      for (const { cancel } of this.#later.values()) cancel();
      this.#later.clear();
      this.#ready.clear();
      this.#again.clear();
      this.#abort.abort();
      if (this.#running.size === 0) this.#idle.resolve();
    }
    return this.#idle.promise;
  }

  #forgetLater(key: string): void {
    this.#later.get(key)?.cancel();
    this.#later.delete(key);
  }

  #fill(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.concurrency) return;
      this.#ready.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    let result: WorkResult;
    try {
      result = await this.#options.run(key, this.#abort.signal);
    } catch (error) {
      result = 'retry';
      this.#options.onError(error, key);
    }
    this.#running.delete(key);
    if (this.#stopped) {
      if (this.#running.size === 0) this.#idle.resolve();
      return;
    }
    if (result !== 'retry') this.#backoffs.delete(key);
    // What came meanwhile is newer than what this run found out.
    if (this.#again.delete(key)) this.#ready.add(key);
    else if (result === 'retry') this.addAfter(key, this.#backoffOf(key).nextMs());
    else if (result !== 'done') this.addAfter(key, result.againAfterMs);
    this.#fill();
  }

  #backoffOf(key: string): Backoff {
    const known = this.#backoffs.get(key);
    if (known !== undefined) return known;
    const { minDelayMs = MIN_DELAY_MS, maxDelayMs = MAX_DELAY_MS, random } = this.#options;
    const backoff = new Backoff(minDelayMs, maxDelayMs, random);
    this.#backoffs.set(key, backoff);
    return backoff;
  }
}
