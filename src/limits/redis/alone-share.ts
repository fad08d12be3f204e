import type { Measured } from '../decision.ts';
import type { OwnUse } from '../counters.ts';

/**
 * What one pod may take of a counter while Redis is away: its share of the limit; and until what the others had when Redis last answered
 * has aged, no more than its part of what was free then.
 */
export class AloneShare {
  readonly #own: OwnUse;
  /** null: it does not age. */
  readonly #agesMs: number | null;
  /** Used or leased by others, when Redis last answered. */
  #others = 0;
  #free = 0;
  #answeredMs = 0;

  /** `own`: all that this pod admitted. What others had is taken to have been used evenly over `agesMs`. */
  constructor(own: OwnUse, agesMs: number | null) {
    this.#own = own;
    this.#agesMs = agesMs;
  }

  /** Redis' answer: `free` is nobody's, `hold` is in this pod's lease. */
  heard(limit: number, free: number, hold: number, nowMs: number): void {
    this.#others = Math.max(0, this.#own.room(limit, nowMs) - free - hold);
    this.#free = Math.max(0, free);
    this.#answeredMs = nowMs;
  }

  /** `pods` share the limit. */
  room(limit: number, pods: number, nowMs: number): number {
    const withinShare = this.#own.room(shareOf(limit, pods), nowMs);
    return Math.min(withinShare, Math.floor(this.#own.room(limit, nowMs) - this.#theirs(pods) * (1 - this.#aged(nowMs))));
  }

  /** What a rejection tells of it. */
  measured(pods: number): Measured {
    return {
      room: (limit, nowMs) => this.room(limit, pods, nowMs),
      waitMs: (limit, amount, nowMs) => this.#waitMs(limit, pods, amount, nowMs),
      resetMs: (nowMs) => this.#own.resetMs(nowMs),
    };
  }

  #waitMs(limit: number, pods: number, amount: number, nowMs: number): number {
    const share = shareOf(limit, pods);
    const wanted = Math.min(amount, share);
    const ownMs = this.#own.room(share, nowMs) >= wanted ? 1 : this.#own.waitMs(share, wanted, nowMs);
    const left = Math.max(0, this.#own.room(limit, nowMs) - wanted);
    const theirs = this.#theirs(pods);
    if (left >= theirs) return ownMs;
    if (this.#agesMs === null) return this.#own.waitMs(limit, wanted, nowMs);
    return Math.max(ownMs, Math.ceil((1 - left / theirs) * this.#agesMs - (nowMs - this.#answeredMs)));
  }

  /** What the others had, and their part of what was free. */
  #theirs(pods: number): number {
    return this.#others + Math.max(0, this.#free - Math.max(1, this.#free / pods));
  }

  #aged(nowMs: number): number {
    return this.#agesMs === null ? 0 : Math.min(1, (nowMs - this.#answeredMs) / this.#agesMs);
  }
}

function shareOf(limit: number, pods: number): number {
  return Math.max(1, Math.floor(limit / pods));
}
