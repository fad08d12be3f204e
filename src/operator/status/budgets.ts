/** Which budgets are used up, as pods tell: each is news once a window, however many pods and leaders see it. */
import { periodAt } from '../../lib/calendar.ts';
import type { ExhaustedBudget } from '../../routetable/stream-messages.ts';
import type { Limit, Route } from '../../routetable/types.ts';

/** What was seen so short a time before this replica led may not have reached the leader before. */
const GRACE_MS = 15_000;
/** As keys name them, or the namespace of a route. */
const TENANT = /^[\x20-\x7e]{0,253}$/;

export class BudgetNews {
  /** By gateway and limit: when its window is over, on the wall clock. */
  readonly #told = new Map<string, number>();
  #sinceMs = 0;

  /** This replica leads from now on: what came before, the one before has told. */
  lead(wallMs: number): void {
    this.#told.clear();
    this.#sinceMs = wallMs - GRACE_MS;
  }

  /**
   * Of what the pods of a gateway say now, what is to be told. `routeOf`: as it is published to them, null: it is not. What no limit of
   * it bears out is passed over, and when a window is over is counted here: a pod's word is good for one event a limit and window.
   */
  fresh(
    gatewayId: string,
    pods: readonly { readonly exhausted: readonly ExhaustedBudget[] }[],
    routeOf: (id: string) => Pick<Route, 'limits'> | null,
    wallMs: number,
  ): readonly ExhaustedBudget[] {
    for (const [key, untilMs] of this.#told) if (wallMs >= untilMs) this.#told.delete(key);
    const found: ExhaustedBudget[] = [];
    for (const { exhausted } of pods) {
      const said = new Set<string>();
      for (const budget of exhausted) {
        const key = JSON.stringify([gatewayId, budget.quota ?? budget.route, budget.limit]);
        if (this.#told.has(key) || said.has(key)) continue;
        const limit = routeOf(budget.route)?.limits.find((one) => isOf(budget, one));
        if (limit === undefined || !TENANT.test(budget.tenant)) continue;
        said.add(key);
        const untilMs = endMsOf(limit, Math.min(budget.sinceMs, wallMs));
        if (untilMs <= wallMs) continue;
        this.#told.set(key, untilMs);
        if (budget.sinceMs >= this.#sinceMs) found.push(budget);
      }
    }
    return found;
  }
}

function isOf({ quota, limit }: ExhaustedBudget, { unit, name, quota: of }: Limit): boolean {
  return unit === 'USD' && name === limit && (of ?? null) === quota;
}

function endMsOf({ calendar, windowMs }: Limit, sinceMs: number): number {
  return calendar === undefined ? sinceMs + (windowMs ?? 0) : periodAt(calendar, sinceMs).endMs;
}
