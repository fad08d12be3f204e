import { setImmediate as nextTurn } from 'node:timers/promises';
import { homeOf } from '../limits/bound-limit.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { LoadedRoute } from './loaded-table.ts';

/** Routes and counters looked at in one turn of the event loop: below half a millisecond, so that a scrape stalls no stream. */
const LOOKS_A_TURN = 500;

export interface UsedBudget {
  readonly routeId: string;
  readonly limitName: string;
  /** From 0 to 1; above: owed. */
  readonly usedShare: number;
}

type LimitedRoute = Pick<LoadedRoute, 'limits' | 'budgetNanoUsd'> & { readonly route: Pick<LoadedRoute['route'], 'id'> };

/** Of each limit in USD the greatest used part among all whom it counts, as far as this pod knows; none where it knows nobody. */
export async function usedBudgets(routes: readonly LimitedRoute[], limiter: () => Limiter): Promise<readonly UsedBudget[]> {
  const used: UsedBudget[] = [];
  // A quota's limit is that of all its routes, and its counters are looked at once.
  const greatest = new Map<string, number | null>();
  let looks = 0;
  for (const { route, limits, budgetNanoUsd } of routes) {
    if (++looks % LOOKS_A_TURN === 0) await nextTurn();
    if (budgetNanoUsd === null) continue;
    for (const [index, limit] of limits.entries()) {
      if (limit.unit !== 'USD') continue;
      const counters = JSON.stringify([homeOf(route.id, limit), limit.name]);
      let usedShare = greatest.get(counters);
      if (usedShare === undefined) {
        usedShare = null;
        for (const share of limiter().usedShares(route.id, limits, index)) {
          usedShare = Math.max(usedShare ?? 0, share);
          if (++looks % LOOKS_A_TURN === 0) await nextTurn();
        }
        greatest.set(counters, usedShare);
      }
      if (usedShare !== null) used.push({ routeId: route.id, limitName: limit.name, usedShare });
    }
  }
  return used;
}
