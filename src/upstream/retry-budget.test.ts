import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RETRY_FLOOR_PER_SECOND, RetryBudget, RetryBudgets } from './retry-budget.ts';

const MAX_ATTEMPTS = 5;

describe('RetryBudget', () => {
  it('keeps amplification under 1.2 plus the floor when everything fails, whatever the traffic', () => {
    const traffic = fc.array(fc.record({ afterMs: fc.nat(3_000), requests: fc.nat(60) }), { minLength: 1, maxLength: 100 });
    fc.assert(
      fc.property(traffic, (bursts) => {
        const budget = new RetryBudget();
        let nowMs = 0;
        let requests = 0;
        let calls = 0;
        for (const burst of bursts) {
          nowMs += burst.afterMs;
          for (let i = 0; i < burst.requests; i++) {
            requests++;
            calls++;
            budget.countRequest(nowMs);
            for (let attempt = 2; attempt <= MAX_ATTEMPTS && budget.takeRetry(nowMs); attempt++) calls++;
          }
        }
        const seconds = Math.floor(nowMs / 1_000) + 1;
        expect(calls).toBeLessThanOrEqual(1.2 * requests + RETRY_FLOOR_PER_SECOND * seconds);
      }),
    );
  });

  it('gives an idle destination three retries a second, and again in the next', () => {
    const budget = new RetryBudget();
    const taken = [0, 1, 2, 3, 1_000].map((nowMs) => budget.takeRetry(nowMs));
    expect(taken).toEqual([true, true, true, false, true]);
  });

  it('gives a busy one a fifth of its requests of the last ten seconds', () => {
    const budget = new RetryBudget();
    for (let i = 0; i < 100; i++) budget.countRequest(0);
    let retries = 0;
    while (budget.takeRetry(500)) retries++;
    expect(retries).toBe(20);

    for (let i = 0; i < RETRY_FLOOR_PER_SECOND; i++) expect(budget.takeRetry(10_500)).toBe(true);
    expect(budget.takeRetry(10_500)).toBe(false);
  });
});

describe('RetryBudgets', () => {
  it('is one budget an upstream until it is pruned', () => {
    const budgets = new RetryBudgets();
    const first = budgets.of('a');
    expect(budgets.of('a')).toBe(first);
    expect(budgets.of('b')).not.toBe(first);
    budgets.prune(new Set(['b']));
    expect(budgets.of('a')).not.toBe(first);
  });
});
