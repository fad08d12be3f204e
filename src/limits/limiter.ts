/**
 * The limiter's interface, which the in-memory limiter and the one over Redis implement. Reserve before the call,
 * settle with what was really used, or release what never ran. All limits that match a request are ANDed: a reservation is
 * all of them or none.
 */
import type { Limit, LimitScope } from '../routetable/types.ts';

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
}

export interface Reservation {
  readonly ok: true;
  readonly remaining: RemainingByUnit;
  /** At the end; after the first of `settle` and `release` neither does anything. What was used beyond the reservation is owed by the window; what was not used goes back. */
  settle(actualTokens: number): void;
  /** Instead of settle, when nothing reached an upstream: everything goes back. */
  release(): void;
  /** `end` is called, once, where a slot that this holds became another pod's, because this process slept past its lease. */
  onRevoked(end: () => void): void;
}

export interface Rejection {
  readonly ok: false;
  readonly reason: 'exceeded';
  readonly limitName: string;
  readonly scope: readonly LimitScope['kind'][];
  readonly unit: Limit['unit'];
  readonly limit: number;
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

export interface Limiter {
  /** Synchronous where the answer is in memory; a promise only where a store must be asked. */
  reserve(request: LimitedRequest): Decision | Promise<Decision>;
  /** Gives back what is held of shared limits; nothing is reserved afterwards. */
  close(): Promise<void>;
}
