const NO_COUNTS: Uint32Array = new Uint32Array(0);

/**
 * Counts events over the last `buckets` × `bucketMs`, in steps of one bucket: constant memory, constant time. The window covers
 * between `buckets − 1` and `buckets` whole buckets. Time is handed in, monotonic; a moment before the last one counts as the last.
 */
export class SlidingCount {
  readonly #bucketMs: number;
  readonly #buckets: number;
  /** Empty before the first event: most counts never have one. */
  #counts = NO_COUNTS;
  #total = 0;
  /** Number of the newest bucket since time zero. */
  #newest = 0;

  constructor(bucketMs: number, buckets: number) {
    this.#bucketMs = bucketMs;
    this.#buckets = buckets;
  }

  add(nowMs: number): void {
    if (this.#counts === NO_COUNTS) this.#counts = new Uint32Array(this.#buckets);
    this.#advance(nowMs);
    const slot = this.#newest % this.#counts.length;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#total++;
  }

  total(nowMs: number): number {
    this.#advance(nowMs);
    return this.#total;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  #advance(nowMs: number): void {
    const bucket = Math.floor(nowMs / this.#bucketMs);
    const passed = bucket - this.#newest;
    if (passed <= 0) return;
    if (passed >= this.#counts.length) {
      this.clear();
    } else {
      for (let gone = this.#newest + 1; gone <= bucket; gone++) {
        const slot = gone % this.#counts.length;
        this.#total -= this.#counts[slot] ?? 0;
        this.#counts[slot] = 0;
      }
    }
    this.#newest = bucket;
  }
}
