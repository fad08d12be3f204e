/**
 * What follows a failed attempt, inside one request and before its first output has reached the client. Decided by the failure's
 * kind and the route's policy alone.
 */
import type { RequestFacts } from '../dialects/facts.ts';
import { FAILOVER_REASON, type FailoverReason, type Failure } from '../lib/failure.ts';
import type { FailoverPolicy, Route } from '../routetable/types.ts';
import { type CompiledSelection, fullTargets } from './choose.ts';
import { incapable, isHealthy, isShort } from './eligible.ts';
import type { Plan, TargetSignals } from './types.ts';

export interface TriedTarget {
  /** Index into `Route.targets`. */
  readonly target: number;
  readonly failure: Failure;
}

export interface FailoverState {
  readonly route: Route;
  readonly compiled: CompiledSelection;
  readonly plan: Plan;
  readonly facts: RequestFacts;
  /** By index of `route.targets`. */
  readonly signals: readonly TargetSignals[];
  /** Every attempt so far, in order; the last one is the one that has just failed. */
  readonly tried: readonly TriedTarget[];
  /** Output has reached the client: nothing can be taken back. */
  readonly committed: boolean;
  readonly nowMs: number;
  /** [0, 1), for the jitter of backoffs. */
  random(): number;
  /** Has the target another address that is well and was not tried? Left out: no target has more than one. */
  elsewhere?(target: number): boolean;
  /** Has the target no room within its `capacity`? Left out: it has. */
  full?(target: number): boolean;
}

/** Why a request moved on, as headers, logs and metrics name it. */
export type FailoverCause = FailoverReason | 'ContentFilter' | 'ContextOverflow' | 'InvalidOutput';

export type StopReason =
  /** Output had reached the client. */
  | 'committed'
  /** No other target would do better: the client sees the failure. */
  | 'final'
  /** `failover.reasons` does not list it. */
  | 'not-in-reasons'
  /** `failover.contentFilter` is not `Failover` for this stage. */
  | 'content-filter'
  /** `failover.contextOverflow` is not `Failover`. */
  | 'context-overflow'
  | 'max-attempts'
  /** Every target that may be tried has been, and a retry would not help. */
  | 'exhausted';

export type NextAttempt =
  | { readonly stop: StopReason }
  | {
      readonly stop: null;
      readonly target: number;
      /** It needs leave from the target's retry budget; without it the failure is final. */
      readonly charged: boolean;
      /** Wait this long first. */
      readonly backoffMs: number;
      readonly reason: FailoverCause;
    };

const BACKOFF_BASE_MS = 25;
const BACKOFF_MAX_MS = 1_000;
/** A longer `retry-after` is not worth holding a client for. */
const RETRY_AFTER_MAX_MS = 1_000;

/** The cause that a failure is, whether or not a route acts on it; null: no other target would do better. */
export function failoverCause(failure: Failure): FailoverCause | null {
  if (failure.kind === 'content_filtered') return 'ContentFilter';
  if (failure.kind === 'context_exceeded') return 'ContextOverflow';
  if (failure.kind === 'invalid_output') return 'InvalidOutput';
  return FAILOVER_REASON[failure.kind];
}

/**
 * The next target, or why there is none. Untried targets go first (healthy ones before others, of these the ones with room, else in their order), at once; after
 * them, for a failure that passes by itself, those that failed so are retried after a backoff.
 */
export function nextAttempt(policy: FailoverPolicy, state: FailoverState): NextAttempt {
  const failure = state.tried.at(-1)?.failure;
  if (failure === undefined) throw new Error('nextAttempt follows a failed attempt: state.tried is empty');
  if (state.committed || (failure.kind === 'stream_broken' && failure.sentBytes > 0)) return { stop: 'committed' };
  const reason = failoverCause(failure);
  if (reason === null) return { stop: 'final' };
  const forbidden = forbiddenBy(policy, failure, reason);
  if (forbidden !== null) return { stop: forbidden };
  if (state.tried.length >= policy.maxAttempts) return { stop: 'max-attempts' };

  const pool = mayBeTried(policy, state, failure);
  const same = anotherAddress(pool, state, failure);
  if (same !== null) return { stop: null, target: same, charged: false, backoffMs: 0, reason };
  const untried = pool.filter((target) => !state.tried.some((attempt) => attempt.target === target));
  const well = untried.filter((target) => isHealthyNow(target, state));
  const healthy = well.find((target) => hasRoom(target, state)) ?? well[0];
  const target = healthy ?? untried[0];
  if (target === undefined) return retry(pool, state, failure, reason);
  const ownRule = reason === 'ContentFilter' || reason === 'ContextOverflow' || reason === 'InvalidOutput';
  return { stop: null, target, charged: healthy === undefined && !ownRule, backoffMs: 0, reason };
}

/**
 * What failed may be one pod's fault: another one of the same target is asked before another model is. Once, so that a Service whose
 * pods are all gone does not use up the attempts; twice where there is no other model.
 */
function anotherAddress(pool: readonly number[], state: FailoverState, failure: Failure): number | null {
  const { tried } = state;
  const target = tried.at(-1)?.target;
  if (target === undefined || !OF_ADDRESS.has(failure.kind) || !pool.includes(target)) return null;
  const tries = tried.filter((attempt) => attempt.target === target).length;
  const others = pool.some((other) => !tried.some((attempt) => attempt.target === other));
  return tries <= (others ? 1 : 2) && state.elsewhere?.(target) === true ? target : null;
}

/** What one pod does and another need not. */
const OF_ADDRESS: ReadonlySet<Failure['kind']> = new Set<Failure['kind']>([
  'network',
  'timeout',
  'overloaded',
  'rate_limited',
  'server_error',
  'malformed',
  'stream_broken',
]);

function forbiddenBy(policy: FailoverPolicy, failure: Failure, cause: FailoverCause): StopReason | null {
  if (failure.kind === 'content_filtered') {
    const stages = policy.contentFilter?.stages ?? [];
    const prompt = stages.includes('Prompt');
    const completion = stages.includes('Completion');
    // Where it is not known what was filtered, the user must have agreed to both.
    const agreed = failure.phase === 'unknown' ? prompt && completion : failure.phase === 'prompt' ? prompt : completion;
    return agreed ? null : 'content-filter';
  }
  if (failure.kind === 'context_exceeded') return policy.contextOverflow === null ? 'context-overflow' : null;
  // It is a failure only where `structuredOutput.onInvalid` says so.
  if (failure.kind === 'invalid_output') return null;
  return policy.reasons.some((reason) => reason === cause) ? null : 'not-in-reasons';
}

/**
 * The targets of this stage of the request, in order. Once one has filtered it, only those that the user lists for filtered
 * requests may ever see it, whatever fails later: that consent is not widened by another failure.
 */
function mayBeTried(policy: FailoverPolicy, state: FailoverState, failure: Failure): readonly number[] {
  const filtered = state.tried.some((attempt) => attempt.failure.kind === 'content_filtered');
  const exceeded = state.tried.some((attempt) => attempt.failure.kind === 'context_exceeded');
  const forOverflow = policy.contextOverflow?.targets ?? [];
  if (filtered) {
    const forFiltered = capable(policy.contentFilter?.targets ?? [], state);
    return failure.kind === 'context_exceeded' ? forFiltered.filter((target) => forOverflow.includes(target)) : forFiltered;
  }
  if (exceeded) return capable(forOverflow, state);
  // A target that was left out only because it was full is better than no answer.
  return [...state.plan.order, ...fullTargets(state.plan)];
}

function capable(targets: readonly number[], state: FailoverState): number[] {
  return targets.filter((index) => {
    const target = state.route.targets[index];
    return target !== undefined && incapable(target, state.compiled.lacks[index] ?? null, state.facts) === null;
  });
}

function isHealthyNow(target: number, state: FailoverState): boolean {
  const signals = state.signals[target];
  return signals !== undefined && isHealthy(signals, state.facts.operation, state.nowMs);
}

function hasRoom(target: number, state: FailoverState): boolean {
  const signals = state.signals[target];
  return signals !== undefined && !isShort(signals, state.facts, state.nowMs) && state.full?.(target) !== true;
}

/** Every target has had its turn: the least tried of those whose last failure passes by itself, or none. */
function retry(pool: readonly number[], state: FailoverState, failure: Failure, reason: FailoverCause): NextAttempt {
  if (!isTransient(failure)) return { stop: 'exhausted' };
  let best: { target: number; tries: number; last: Failure } | null = null;
  for (const target of pool) {
    const attempts = state.tried.filter((attempt) => attempt.target === target);
    const last = attempts.at(-1)?.failure;
    if (last === undefined || !isTransient(last)) continue;
    if (best === null || attempts.length < best.tries) best = { target, tries: attempts.length, last };
  }
  if (best === null) return { stop: 'exhausted' };
  const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** (best.tries - 1));
  const jitteredMs = ceilingMs * (0.5 + 0.5 * state.random());
  return {
    stop: null,
    target: best.target,
    charged: true,
    backoffMs: Math.max(jitteredMs, retryAfterOf(best.last) ?? 0),
    reason,
  };
}

/** Whether the same target may well answer a moment later. */
function isTransient(failure: Failure): boolean {
  const retryAfterMs = retryAfterOf(failure);
  if (retryAfterMs !== null && retryAfterMs > RETRY_AFTER_MAX_MS) return false;
  switch (failure.kind) {
    case 'network':
    case 'overloaded':
    case 'server_error':
    case 'stream_broken':
      return true;
    case 'timeout':
      return failure.phase === 'connect';
    case 'rate_limited':
      return retryAfterMs !== null;
    default:
      return false;
  }
}

function retryAfterOf(failure: Failure): number | null {
  return 'retryAfterMs' in failure ? failure.retryAfterMs : null;
}
