/** What a limiter tells of the counters it asked. */
import type { Limit, LimitScope } from '../routetable/types.ts';
import type { Counter } from './counters.ts';
import type { Rejection, Remaining, RemainingByUnit } from './limiter.ts';

export type Measured = Pick<Counter, 'room' | 'waitMs' | 'resetMs'>;

interface LimitOfDecision {
  readonly name: string;
  readonly scope: LimitScope['kind'][];
  readonly unit: Limit['unit'];
  readonly limit: number;
  amount(tokens: number): number;
}

/** Names the limit that keeps the request out longest; waits for all of them. `short`: whether the limit of this index refuses. */
export function rejection(
  limits: readonly LimitOfDecision[],
  counters: readonly Measured[],
  tokens: number,
  nowMs: number,
  short: (index: number) => boolean,
): Rejection {
  let worst: LimitOfDecision | undefined;
  let retryAfterMs = 0;
  let impossible = false;
  limits.forEach((limit, i) => {
    const amount = limit.amount(tokens);
    const counter = counters[i];
    if (counter === undefined || !short(i)) return;
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
    retryAfterMs,
    impossible,
    remaining: remainingByUnit(limits, counters, nowMs),
  };
}

export function remainingByUnit(
  limits: readonly LimitOfDecision[],
  counters: readonly Measured[],
  nowMs: number,
): RemainingByUnit {
  const tightest: { requests?: Remaining; tokens?: Remaining } = {};
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i];
    const counter = counters[i];
    if (limit === undefined || counter === undefined || limit.unit === 'Concurrency') continue;
    const unit = limit.unit === 'Tokens' ? 'tokens' : 'requests';
    const remaining = Math.max(0, counter.room(limit.limit, nowMs));
    const known = tightest[unit];
    if (known !== undefined && known.remaining <= remaining) continue;
    tightest[unit] = { limit: limit.limit, remaining, resetMs: counter.resetMs(nowMs) };
  }
  return tightest;
}
