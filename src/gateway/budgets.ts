import { periodAt } from '../lib/calendar.ts';
import type { ExhaustedBudget } from '../routetable/stream-messages.ts';
import type { Limit } from '../routetable/types.ts';

/** Limits in USD that this pod has seen used up, each until its window is over. */
export class ExhaustedBudgets {
  readonly #byLimit = new Map<string, ExhaustedBudget>();

  /** Returns whether that is news: of all whom a limit counts, the first in its window speaks for the others. */
  seen(routeId: string, { quota, name, unit, windowMs, calendar }: Limit, tenant: string, wallMs: number): boolean {
    if (unit !== 'USD') return false;
    const key = JSON.stringify([quota ?? routeId, name]);
    const known = this.#byLimit.get(key);
    if (known !== undefined && wallMs < known.untilMs) return false;
    const untilMs = calendar === undefined ? wallMs + (windowMs ?? 0) : periodAt(calendar, wallMs).endMs;
    this.#byLimit.set(key, {
      route: routeId,
      quota: quota ?? null,
      limit: name,
      tenant,
      sinceMs: Math.round(wallMs),
      untilMs: Math.ceil(untilMs),
    });
    return true;
  }

  list(wallMs: number): readonly ExhaustedBudget[] {
    for (const [key, { untilMs }] of this.#byLimit) if (wallMs >= untilMs) this.#byLimit.delete(key);
    return [...this.#byLimit.values()];
  }
}
