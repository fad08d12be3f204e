import { SlidingCount } from '../lib/sliding-count.ts';

/** Retries a second that every destination may always get, so that a rarely used one can still be retried. */
export const RETRY_FLOOR_PER_SECOND = 3;
/** Retries as a share of the requests of the last 10 s: calls stay below 1.2 × requests, however long everything fails. */
export const RETRY_SHARE = 0.2;

/**
 * How many charged attempts (failover's `charged`) one destination may get. Without it every failed request would become
 * `maxAttempts` calls just when the destination can bear them least. Time is monotonic and handed in.
 */
export class RetryBudget {
  readonly #requests = new SlidingCount(1_000, 10);
  readonly #retries = new SlidingCount(1_000, 10);
  #second = -1;
  #retriesThisSecond = 0;

  /** An attempt that is not charged is about to start. */
  countRequest(nowMs: number): void {
    this.#requests.add(nowMs);
  }

  /** Takes one charged attempt out of the budget; false: there is none left, the failure is final. */
  takeRetry(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1_000);
    if (second !== this.#second) {
      this.#second = second;
      this.#retriesThisSecond = 0;
    }
    const underFloor = this.#retriesThisSecond < RETRY_FLOOR_PER_SECOND;
    if (!underFloor && this.#retries.total(nowMs) + 1 > RETRY_SHARE * this.#requests.total(nowMs)) return false;
    this.#retriesThisSecond++;
    this.#retries.add(nowMs);
    return true;
  }
}

/** One budget a destination, by upstream id. */
export class RetryBudgets {
  readonly #byUpstream = new Map<string, RetryBudget>();

  /** Stable for as long as the upstream is not pruned: resolve it when a table is loaded. */
  of(upstreamId: string): RetryBudget {
    let budget = this.#byUpstream.get(upstreamId);
    if (budget === undefined) {
      budget = new RetryBudget();
      this.#byUpstream.set(upstreamId, budget);
    }
    return budget;
  }

  /** Forgets the upstreams that no table names any more. */
  prune(upstreamIds: ReadonlySet<string>): void {
    for (const id of this.#byUpstream.keys()) {
      if (!upstreamIds.has(id)) this.#byUpstream.delete(id);
    }
  }
}
