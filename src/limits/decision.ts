/** What a limiter tells of the counters it asked. */
import type { Limit, LimitScope } from '../routetable/types.ts';
import type { Counter } from './counters.ts';
import type { Demand, LimitUse, Rejection, Remaining, RemainingByUnit } from './limiter.ts';

export type Measured = Pick<Counter, 'room' | 'waitMs' | 'resetMs'>;

interface LimitOfDecision {
  readonly name: string;
  readonly scope: LimitScope['kind'][];
  readonly unit: Limit['unit'];
  readonly limit: number;
  amount(demand: Demand): number;
}

/** Names the limit that keeps the request out longest; waits for all of them. `short`: whether the limit of this index refuses. */
export function rejection(
  limits: readonly LimitOfDecision[],
  counters: readonly Measured[],
  demand: Demand,
  nowMs: number,
  short: (index: number) => boolean,
): Rejection {
  let worst: LimitOfDecision | undefined;
  let retryAfterMs = 0;
  let impossible = false;
  let affordable: number | null = Number.POSITIVE_INFINITY;
  const exceeded: number[] = [];
  const left: number[] = [];
  limits.forEach((limit, i) => {
    const amount = limit.amount(demand);
    const counter = counters[i];
    if (counter === undefined || !short(i)) return;
    const room = Math.max(0, counter.room(limit.limit, nowMs));
    exceeded.push(i);
    left.push(room);
    if (limit.unit !== 'USD') affordable = null;
    else if (affordable !== null) affordable = Math.min(affordable, room);
    const alone = amount > limit.limit;
    const waitMs = counter.waitMs(limit.limit, amount, nowMs);
    if (worst === undefined || (alone && !impossible) || (alone === impossible && waitMs > retryAfterMs)) worst = limit;
    impossible ||= alone;
    retryAfterMs = Math.max(retryAfterMs, waitMs);
  });
  if (worst === undefined) throw new Error('a rejection without a limit that rejects');
  return {
    ok: false,
    reason: 'exceeded',
    limitName: worst.name,
    scope: worst.scope,
    unit: worst.unit,
    limit: worst.limit,
    exceeded,
    left,
    affordableNanoUsd: affordable,
    retryAfterMs,
    impossible,
    remaining: remainingByUnit(limits, counters, nowMs),
  };
}

/** Of each counter the used part of the limit. */
export function* usedShares<C extends Measured>(
  counters: Iterable<C>,
  limit: number,
  nowMs: number,
  known: (counter: C) => boolean,
): Iterable<number> {
  for (const counter of counters) {
    if (!known(counter)) continue;
    // Room first: it brings a counter up to this moment.
    const used = 1 - counter.room(limit, nowMs) / limit;
    yield counter.resetMs(nowMs) === 0 ? 0 : used;
  }
}

/** Whole units, and never less than nothing. */
export function demandOf({ tokens, nanoUsd = 0 }: { readonly tokens: number; readonly nanoUsd?: number }): Demand {
  return { tokens: tokens > 0 ? Math.ceil(tokens) : 0, nanoUsd: nanoUsd > 0 ? Math.ceil(nanoUsd) : 0 };
}

/** Room first: it brings a counter up to this moment. */
export function limitUse(
  limit: { readonly definition: Limit; readonly limit: number },
  counter: Measured,
  nowMs: number,
): LimitUse {
  const remaining = counter.room(limit.limit, nowMs);
  return { definition: limit.definition, remaining, resetMs: counter.resetMs(nowMs), counter };
}

/** What is not an amount proves nothing, so what was reserved stands. */
export function usedOf(actual: number | null | undefined, reserved: number): number {
  return actual !== null && actual !== undefined && Number.isFinite(actual) && actual >= 0 ? Math.ceil(actual) : reserved;
}

/** What one limit's counter is settled with. */
export function usedUnits(unit: Limit['unit'] | undefined, requests: number, { tokens, nanoUsd }: Demand): number {
  return unit === 'Tokens' ? tokens : unit === 'USD' ? nanoUsd : requests;
}

export function remainingByUnit(
  limits: readonly LimitOfDecision[],
  counters: readonly Measured[],
  nowMs: number,
): RemainingByUnit {
  let requests: Remaining | undefined;
  let tokens: Remaining | undefined;
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i];
    const counter = counters[i];
    if (limit === undefined || counter === undefined || limit.unit === 'Concurrency' || limit.unit === 'USD') continue;
    const ofTokens = limit.unit === 'Tokens';
    const remaining = Math.max(0, counter.room(limit.limit, nowMs));
    const known = ofTokens ? tokens : requests;
    if (known !== undefined && known.remaining <= remaining) continue;
    const tightest = { limit: limit.limit, remaining, resetMs: counter.resetMs(nowMs) };
    if (ofTokens) tokens = tightest;
    else requests = tightest;
  }
  // No spreads: in a stream's head this is on the way to its first token.
  if (requests === undefined) return tokens === undefined ? {} : { tokens };
  return tokens === undefined ? { requests } : { requests, tokens };
}
