/**
 * The limiter's interface, which the in-memory limiter and the one over Redis implement. Reserve before the call,
 * settle with what was really used, or release what never ran. All limits that match a request are ANDed: a reservation is
 * all of them or none.
 */
import type { Limit, LimitScope } from '../routetable/types.ts';

/** What a request takes of limits that do not count requests. */
export interface Demand {
  readonly tokens: number;
  readonly nanoUsd: number;
}

export interface LimitedRequest {
  /** `namespace/name` of the route. */
  readonly routeId: string;
  readonly limits: readonly Limit[];
  readonly apiKeyId: string;
  readonly tenant: string;
  /** The model name the client sent. */
  readonly model: string;
  /** A request header's value, for limits per header. */
  header(name: string): string | undefined;
  /** Tokens to reserve: prompt estimate and predicted output. */
  readonly tokens: number;
  /** What it can cost at most, in nano-USD; absent where no limit counts USD. */
  readonly nanoUsd?: number;
}

export interface Remaining {
  readonly limit: number;
  readonly remaining: number;
  /** Until a full window is free again. */
  readonly resetMs: number;
}

/** The tightest limit of a unit, for `x-ratelimit-*`; absent where no limit of that unit applies. */
export interface RemainingByUnit {
  readonly requests?: Remaining;
  readonly tokens?: Remaining;
  /** Absent: the limits. */
  readonly heldTo?: HeldTo;
}

/** What a request was held to while Redis was away: nothing, or this pod's share. */
export type HeldTo = 'none' | 'share';

export interface Reservation {
  readonly ok: true;
  readonly remaining: RemainingByUnit;
  /**
   * At the end; after the first of `settle` and `release` neither does anything. What was used beyond the reservation is owed by the
   * window; what was not used goes back. What is not known (null, NaN) stays as it was reserved.
   */
  settle(actualTokens: number, actualNanoUsd?: number | null): void;
  /** Instead of settle, when there is no answer: everything goes back but what was `used` without one. */
  release(used?: Demand): void;
  /** `end` is called, once, where a slot that this holds became another pod's, because this process slept past its lease. */
  onRevoked(end: () => void): void;
}

export interface Rejection {
  readonly ok: false;
  readonly reason: 'exceeded';
  readonly limitName: string;
  readonly scope: readonly LimitScope['kind'][];
  readonly unit: Limit['unit'];
  /** Of USD in nano-USD. */
  readonly limit: number;
  /** Indexes of all limits that refuse it. */
  readonly exceeded: readonly number[];
  /** What each of these has left, in its unit; at least 0. */
  readonly left: readonly number[];
  /** Only limits of USD refuse it, and this much is left of them all; null: others refuse it too. */
  readonly affordableNanoUsd: number | null;
  /** When the same request would be admitted, were nothing else to come; at least 1. */
  readonly retryAfterMs: number;
  /** The request alone is larger than the limit: waiting never helps. */
  readonly impossible: boolean;
  readonly remaining: RemainingByUnit;
}

/** Whether the limits admit it cannot be told, and the gateway is to refuse then. */
export interface Unavailable {
  readonly ok: false;
  readonly reason: 'unavailable';
  readonly retryAfterMs: number;
}

export type Decision = Reservation | Rejection | Unavailable;

/** Where one limit stands for one caller. */
export interface LimitUse {
  readonly definition: Limit;
  /** Of USD in nano-USD; below zero where an overrun is owed. */
  readonly remaining: number;
  /** Until nothing is counted any more; 0: nothing is. */
  readonly resetMs: number;
  /** The same for whoever shares it. */
  readonly counter: object;
}

export interface Limiter {
  /** What the request would be counted by, without counting it. A store is asked once a second and counter at most. */
  look(request: LimitedRequest): Promise<readonly LimitUse[]>;
  /**
   * The used part of the limit at `index`, from 0 to 1 (above: owed), of each whom it counts, as far as is known here. There may be
   * very many: whoever reads them does other work in between.
   */
  usedShares(routeId: string, limits: readonly Limit[], index: number): Iterable<number>;
  /** What is known at this moment, without asking a store, to refuse such a request; null: it may have room. Takes nothing. */
  refusal(request: LimitedRequest): Rejection | null;
  /** Synchronous where the answer is in memory; a promise only where a store must be asked. */
  reserve(request: LimitedRequest): Decision | Promise<Decision>;
  /** Gives back what is held of shared limits; nothing is reserved afterwards. */
  close(): Promise<void>;
}
