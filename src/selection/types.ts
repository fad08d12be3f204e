/** What choosing reads and what it says. Pure: time, randomness and live signals are handed in. */
import type { RequestFacts } from '../dialects/facts.ts';
import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import type { Operation } from '../lib/operation.ts';
import type { Route } from '../routetable/types.ts';

/**
 * Live facts of one target, read at the moment of the choice. One object lives as long as its upstream and is updated in place,
 * so that a choice allocates nothing for it.
 */
export interface TargetSignals {
  readonly health: 'Healthy' | 'Ejected' | 'Probing';
  /** Monotonic ms until which a provider's `retry-after` or an ejection keeps it out; 0: none. */
  readonly coolUntilMs: number;
  /** Why it is out, for the reason given; e.g. `RateLimited`. */
  readonly coolReason: string;
  /** Calls to this upstream that are under way from this process. */
  readonly inFlight: number;
  /** Monotonic ms until which it is out for this operation alone (it answered 404 to it, and may serve the others); 0: it is not. */
  absentUntilMs?(operation: Operation): number;
  /** A time out of it has just ended, and no success has followed. Left out: no time out ended without one. */
  unproven?(operation: Operation, nowMs: number): boolean;
  /** The provider's own limit of which it says that too little is left for such a request; null: none. */
  shortage?(facts: RequestFacts, nowMs: number): Shortage | null;
}

/** What is left of one of a provider's limits, as it was told. */
export interface Shortage {
  readonly unit: HeadroomUnit;
  readonly left: number;
  /** Monotonic; it is whole again then. */
  readonly untilMs: number;
}

export interface ChoiceInput {
  readonly route: Route;
  readonly facts: RequestFacts;
  readonly tenant: string;
  header(name: string): string | undefined;
  /** By index of `route.targets`. */
  readonly signals: readonly TargetSignals[];
  readonly nowMs: number;
  /** [0, 1); decides the first pick of a tier. A low-discrepancy sequence makes weights exact in the long run. */
  readonly pick: number;
  /** [0, 1), independent; decides the order of what follows. */
  random(): number;
  /** Increases by one a request of this rule: RoundRobin's position. */
  readonly turn: number;
  /** What the target at this index cannot serve of the request itself; null, or absent: nothing. */
  readonly unsupported?: ((index: number) => Unsupported | null) | null;
  /** Why the target at this index has no room for the request within its `capacity`; null, or absent: it has. */
  readonly full?: ((index: number) => string | null) | null;
}

export interface Unsupported {
  /** The first member at fault, by the client's name. */
  readonly param: string;
  /** For a person: names them all. */
  readonly detail: string;
  /** The target may serve the request without them. */
  readonly droppable: boolean;
}

/** Why a target is not in the plan. The order is the order in which the filters run. */
export type ExclusionReason =
  | 'tools'
  | 'jsonSchema'
  | 'vision'
  | 'contextTokens'
  | 'operation'
  | 'unsupported'
  | 'ejected'
  | 'probing'
  | 'coolingDown'
  | 'headroom'
  | 'capacity';

export interface Exclusion {
  /** Index into `route.targets`. */
  readonly target: number;
  readonly reason: ExclusionReason;
  /** For a person: names the values. */
  readonly detail: string;
  /** The request's member at fault, where it is one. */
  readonly param?: string;
}

export type PlanReason =
  | 'only'
  | 'weighted'
  | 'round-robin'
  | 'least-busy'
  | 'spilled'
  | 'without-parameters'
  | 'saturated'
  | 'panic'
  | 'downgraded'
  | 'pinned'
  | 'no-rule'
  | 'no-candidate';

export interface Plan {
  /** Index into `route.rules`; -1: no rule matched. */
  readonly rule: number;
  /** Targets to try, in order. */
  readonly order: readonly number[];
  /**
   * Why the first was chosen: `only`, `weighted`, `round-robin`, `least-busy`, `spilled` (a lower tier's turn),
   * `without-parameters` (no target can take all of the request's, and this one may leave some out), `saturated` (every
   * healthy target was at its capacity, or at its provider's limit), `panic` (every target was unhealthy), `downgraded` (the request was
   * beyond a limit that names this target), `pinned` (it goes on from a response that this one keeps); `no-rule` and `no-candidate`: the order is empty.
   */
  readonly reason: PlanReason;
  readonly excluded: readonly Exclusion[];
}
