import { describe, expect, it } from '@jest/globals';
import type { ExhaustedBudget } from '../../routetable/stream-messages.ts';
import { BudgetNews } from './budgets.ts';

const DAY_MS = 86_400_000;
const LED_AT_MS = 100 * DAY_MS;

function budget(over: Partial<ExhaustedBudget> = {}): ExhaustedBudget {
  const sinceMs = LED_AT_MS + 1_000;
  return { route: 'team-a/chat', quota: null, limit: 'day-usd', tenant: 'team-a', sinceMs, untilMs: sinceMs + DAY_MS, ...over };
}

const pod = (...exhausted: ExhaustedBudget[]): { readonly exhausted: readonly ExhaustedBudget[] } => ({ exhausted });

describe('a budget that is used up', () => {
  const leading = (): BudgetNews => {
    const news = new BudgetNews();
    news.lead(LED_AT_MS);
    return news;
  };

  it('is news once a window, however many pods say so and how often', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    expect(news.fresh('g', [pod(budget()), pod(budget({ sinceMs: nowMs }))], nowMs)).toEqual([budget()]);
    expect(news.fresh('g', [pod(budget()), pod(budget())], nowMs + 5_000)).toEqual([]);
    const next = budget({ sinceMs: nowMs + DAY_MS, untilMs: nowMs + 2 * DAY_MS });
    expect(news.fresh('g', [pod(next)], nowMs + DAY_MS)).toEqual([next]);
  });

  it('is one of each limit, route, quota and gateway', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    const all = [budget(), budget({ limit: 'month-usd' }), budget({ route: 'team-a/other' }), budget({ quota: 'platform/q' })];
    expect(news.fresh('g', [pod(...all)], nowMs)).toEqual(all);
    expect(news.fresh('other', [pod(budget())], nowMs)).toEqual([budget()]);
    // A quota's is one over all routes.
    expect(news.fresh('g', [pod(budget({ quota: 'platform/q', route: 'team-b/chat' }))], nowMs)).toEqual([]);
  });

  it('was told by the leader before where it is older, but for what may not have reached that one', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    const old = budget({ sinceMs: LED_AT_MS - 60_000 });
    const late = budget({ limit: 'month-usd', sinceMs: LED_AT_MS - 5_000 });
    expect(news.fresh('g', [pod(old, late)], nowMs)).toEqual([late]);
  });

  it('is no news once its window is over', () => {
    expect(leading().fresh('g', [pod(budget())], LED_AT_MS + 2 * DAY_MS)).toEqual([]);
  });
});
