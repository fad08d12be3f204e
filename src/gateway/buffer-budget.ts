/**
 * The pod-wide bound on bytes held in memory for requests under way: bodies (kept until the answer is settled, so that a failover
 * can send them again) and answers that are not committed yet. Above it new work is shed; work under way is not cut.
 */
export class BufferBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** False: there is no room, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
