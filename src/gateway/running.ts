/** A request under way, as whoever counts or ends requests sees it. */
export interface RunningRequest {
  /** Its place in `Running`. */
  runningIndex: number;
  readonly streaming: boolean;
  /** All are looked at now and then: a stream that has been silent for long says that it lives. `nowMs`: as timers run. */
  keepAlive(nowMs: number): void;
  /** The gateway drains: where the answer's head is not out yet, it says that the connection closes. */
  lastOfItsConnection(): void;
  /** The drain's time is over. */
  cutShort(): void;
}

/**
 * The requests under way. Not a `Set`: one that is added to and deleted from thousands of times a second is rehashed all the time,
 * and each discarded table that has been promoted to the old generation keeps the requests in it, with all they hold, alive until
 * the next major collection (measured: a third of the gateway's CPU went into that).
 */
export class Running implements Iterable<RunningRequest> {
  readonly #items: RunningRequest[] = [];

  /** Of all that ever were. */
  total = 0;

  get size(): number {
    return this.#items.length;
  }

  add(item: RunningRequest): void {
    item.runningIndex = this.#items.length;
    this.#items.push(item);
    this.total += 1;
  }

  delete(item: RunningRequest): void {
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[item.runningIndex] = last;
    last.runningIndex = item.runningIndex;
  }

  [Symbol.iterator](): Iterator<RunningRequest> {
    return this.#items.values();
  }
}
