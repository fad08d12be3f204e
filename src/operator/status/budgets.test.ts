import { describe, expect, it } from '@jest/globals';
import type { ExhaustedBudget } from '../../routetable/stream-messages.ts';
import type { Limit } from '../../routetable/types.ts';
import { BudgetNews } from './budgets.ts';

const DAY_MS = 86_400_000;
const LED_AT_MS = 100 * DAY_MS;

function budget(over: Partial<ExhaustedBudget> = {}): ExhaustedBudget {
  const sinceMs = LED_AT_MS + 1_000;
  return { route: 'team-a/chat', quota: null, limit: 'day-usd', tenant: 'team-a', sinceMs, untilMs: sinceMs + DAY_MS, ...over };
}

const pod = (...exhausted: ExhaustedBudget[]): { readonly exhausted: readonly ExhaustedBudget[] } => ({ exhausted });

const dollars = (name: string, quota?: string): Limit => ({
  ...(quota === undefined ? {} : { quota }),
  name,
  per: [],
  unit: 'USD',
  limit: 1,
  windowMs: DAY_MS,
});
const LIMITS = [dollars('day-usd'), dollars('month-usd'), dollars('day-usd', 'platform/q')];
const routeOf = (id: string): { readonly limits: readonly Limit[] } | null =>
  id.startsWith('team-') ? { limits: LIMITS } : null;

describe('a budget that is used up', () => {
  const leading = (): BudgetNews => {
    const news = new BudgetNews();
    news.lead(LED_AT_MS);
    return news;
  };

  it('is news once a window, however many pods say so and how often', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    expect(news.fresh('g', [pod(budget()), pod(budget({ sinceMs: nowMs }))], routeOf, nowMs)).toEqual([budget()]);
    expect(news.fresh('g', [pod(budget()), pod(budget())], routeOf, nowMs + 5_000)).toEqual([]);
    const next = budget({ sinceMs: nowMs + DAY_MS, untilMs: nowMs + 2 * DAY_MS });
    expect(news.fresh('g', [pod(next)], routeOf, nowMs + DAY_MS)).toEqual([next]);
  });

  it('is one of each limit, route, quota and gateway', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    const all = [budget(), budget({ limit: 'month-usd' }), budget({ route: 'team-a/other' }), budget({ quota: 'platform/q' })];
    expect(news.fresh('g', [pod(...all)], routeOf, nowMs)).toEqual(all);
    expect(news.fresh('other', [pod(budget())], routeOf, nowMs)).toEqual([budget()]);
    // A quota's is one over all routes.
    expect(news.fresh('g', [pod(budget({ quota: 'platform/q', route: 'team-b/chat' }))], routeOf, nowMs)).toEqual([]);
  });

  it('was told by the leader before where it is older, but for what may not have reached that one', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    const old = budget({ sinceMs: LED_AT_MS - 60_000 });
    const late = budget({ limit: 'month-usd', sinceMs: LED_AT_MS - 5_000 });
    expect(news.fresh('g', [pod(old, late)], routeOf, nowMs)).toEqual([late]);
  });

  it('is no news once its window is over', () => {
    expect(leading().fresh('g', [pod(budget())], routeOf, LED_AT_MS + 2 * DAY_MS)).toEqual([]);
  });

  it('is passed over where no limit bears it out, and is news once a window whatever a pod says of that', () => {
    const news = leading();
    const nowMs = LED_AT_MS + 2_000;
    const invented = [
      budget({ route: 'nobody/chat' }),
      budget({ limit: 'invented' }),
      budget({ quota: 'platform/invented' }),
      budget({ tenant: 'x'.repeat(300) }),
      budget({ tenant: 'a\nb' }),
    ];
    expect(news.fresh('g', [pod(...invented)], routeOf, nowMs)).toEqual([]);
    const requests = (): { readonly limits: readonly Limit[] } => ({ limits: [{ ...dollars('day-usd'), unit: 'Requests' }] });
    expect(news.fresh('g', [pod(budget())], requests, nowMs)).toEqual([]);
    const short = budget({ untilMs: nowMs + 1 });
    expect(news.fresh('g', [pod(short, short)], routeOf, nowMs)).toEqual([short]);
    expect(news.fresh('g', [pod({ ...short, sinceMs: nowMs + 10, untilMs: nowMs + 20 })], routeOf, nowMs + 10)).toEqual([]);
    // Nor does it silence what comes after its window.
    const long = budget({ limit: 'month-usd', sinceMs: LED_AT_MS + 400 * DAY_MS, untilMs: LED_AT_MS + 900 * DAY_MS });
    expect(news.fresh('g', [pod(long)], routeOf, nowMs)).toEqual([long]);
    const next = budget({ limit: 'month-usd', sinceMs: nowMs + DAY_MS });
    expect(news.fresh('g', [pod(next)], routeOf, nowMs + DAY_MS)).toEqual([next]);
  });

  it('is over with its period of the calendar', () => {
    const news = leading();
    const monthly: Limit = { ...dollars('month-usd'), windowMs: null, calendar: { period: 'Month', timeZone: 'UTC' } };
    const months = (): { readonly limits: readonly Limit[] } => ({ limits: [monthly] });
    const atMs = Date.parse('1970-04-30T12:00:00Z');
    const used = budget({ limit: 'month-usd', sinceMs: atMs, untilMs: Number.MAX_SAFE_INTEGER });
    expect(news.fresh('g', [pod(used)], months, atMs)).toEqual([used]);
    expect(news.fresh('g', [pod({ ...used, sinceMs: atMs + 1 })], months, atMs + 1)).toEqual([]);
    const next = { ...used, sinceMs: atMs + DAY_MS };
    expect(news.fresh('g', [pod(next)], months, next.sinceMs)).toEqual([next]);
  });
});
