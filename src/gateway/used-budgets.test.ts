import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import type { LimitedRequest } from '../limits/limiter.ts';
import { LocalLimiter } from '../limits/local.ts';
import type { Limit } from '../routetable/types.ts';
import { usedBudgets } from './used-budgets.ts';

const KEYS = 10_000;

const ofKeys: Limit = { name: 'usd', per: [{ kind: 'APIKey' }], unit: 'USD', limit: 1_000, windowMs: 3_600_000 };
const requests: Limit = { ...ofKeys, name: 'rph', unit: 'Requests' };
const route = (id: string, ...limits: readonly Limit[]) => ({ route: { id }, limits, budgetNanoUsd: 1_000 });

function spend(
  limiter: LocalLimiter,
  { route: { id: routeId }, limits }: ReturnType<typeof route>,
  key: string,
  nanoUsd: number,
): void {
  const who: LimitedRequest = {
    routeId,
    limits,
    apiKeyId: key,
    tenant: 't',
    model: 'm',
    tokens: 0,
    nanoUsd,
    header: () => undefined,
  };
  expect(limiter.reserve(who).ok).toBe(true);
}

describe('the used parts of budgets', () => {
  it('are of each limit in USD the greatest of all whom it counts, and of a quota’s the same at all its routes', async () => {
    const limiter = new LocalLimiter(new ManualClock());
    const quota: Limit = { ...ofKeys, quota: 'ns/fair' };
    const [one, two] = [route('ns/one', requests, ofKeys), route('ns/two', ofKeys)];
    const [three, four] = [route('ns/three', quota), route('ns/four', quota)];
    spend(limiter, one, 'a', 250);
    spend(limiter, one, 'b', 500);
    spend(limiter, three, 'a', 750);
    spend(limiter, four, 'a', 125);
    expect(await usedBudgets([one, two, three, four], () => limiter)).toEqual([
      { routeId: 'ns/one', limitName: 'usd', usedShare: 0.5 },
      { routeId: 'ns/three', limitName: 'usd', usedShare: 0.875 },
      { routeId: 'ns/four', limitName: 'usd', usedShare: 0.875 },
    ]);
  });

  it('are looked for in many turns where there are many, and a quota’s once for all its routes', async () => {
    const limiter = new LocalLimiter(new ManualClock());
    const routes = ['one', 'two', 'three'].map((name) => route(`ns/${name}`, { ...ofKeys, quota: 'ns/fair' }));
    for (let key = 0; key < KEYS; key++) spend(limiter, routes[0] ?? route('ns/none'), String(key), 1);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    expect(await usedBudgets(routes, () => limiter)).toHaveLength(3);
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual(KEYS / 500 - 1);
    expect(turns).toBeLessThan((2 * KEYS) / 500);
  });
});
