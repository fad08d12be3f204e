import type { Measured } from '../decision.ts';
import type { OwnUse } from '../counters.ts';

/** Who shares limits. */
export interface Sharers {
  /** Ready pods of this gateway, at least 1. */
  readonly pods: number;
  /** Which of them this one is, from 0 on; null or absent: nobody knows. */
  readonly rank?: number | null;
}

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

  room(limit: number, sharers: Sharers, nowMs: number): number {
    const withinShare = this.#own.room(shareOf(limit, sharers), nowMs);
    return Math.min(withinShare, Math.floor(this.#own.room(limit, nowMs) - this.#theirs(sharers.pods) * (1 - this.#aged(nowMs))));
  }

  /** What a rejection tells of it. */
  measured(sharers: Sharers): Measured {
    return {
      room: (limit, nowMs) => this.room(limit, sharers, nowMs),
      waitMs: (limit, amount, nowMs) => this.#waitMs(limit, sharers, amount, nowMs),
      resetMs: (nowMs) => this.#own.resetMs(nowMs),
    };
  }

  #waitMs(limit: number, sharers: Sharers, amount: number, nowMs: number): number {
    const share = shareOf(limit, sharers);
    const wanted = Math.min(amount, share);
    const ownMs = this.#own.room(share, nowMs) >= wanted ? 1 : this.#own.waitMs(share, wanted, nowMs);
    const left = Math.max(0, this.#own.room(limit, nowMs) - wanted);
    const theirs = this.#theirs(sharers.pods);
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

/** Whole units; what is left over goes to the first pods, one each. Of a limit below their number each has one: none is shut. */
function shareOf(limit: number, { pods, rank }: Sharers): number {
  const more = rank !== null && rank !== undefined && rank < limit % pods ? 1 : 0;
  return Math.max(1, Math.floor(limit / pods) + more);
}
