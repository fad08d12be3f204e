/** Which budgets are used up, as pods tell: each is news once a window, however many pods and leaders see it. */
import type { ExhaustedBudget } from '../../routetable/stream-messages.ts';

/** What was seen so short a time before this replica led may not have reached the leader before. */
const GRACE_MS = 15_000;

export class BudgetNews {
  /** By gateway and limit: when its window is over, on the wall clock. */
  readonly #told = new Map<string, number>();
  #sinceMs = 0;

  /** This replica leads from now on: what came before, the one before has told. */
  lead(wallMs: number): void {
    this.#told.clear();
    this.#sinceMs = wallMs - GRACE_MS;
  }

  /** Of what the pods of a gateway say now, what is to be told. */
  fresh(
    gatewayId: string,
    pods: readonly { readonly exhausted: readonly ExhaustedBudget[] }[],
    wallMs: number,
  ): readonly ExhaustedBudget[] {
    for (const [key, untilMs] of this.#told) if (wallMs >= untilMs) this.#told.delete(key);
    const found: ExhaustedBudget[] = [];
    for (const { exhausted } of pods) {
      for (const budget of exhausted) {
        const key = JSON.stringify([gatewayId, budget.quota ?? budget.route, budget.limit]);
        if (budget.untilMs <= wallMs || this.#told.has(key)) continue;
        this.#told.set(key, budget.untilMs);
        if (budget.sinceMs >= this.#sinceMs) found.push(budget);
      }
    }
    return found;
  }
}
