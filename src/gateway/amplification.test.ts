import { describe, expect, it } from '@jest/globals';
import type { Failure } from '../lib/failure.ts';
import { chooseInRule, compileSelection } from '../selection/choose.ts';
import { nextAttempt, type TriedTarget } from '../selection/failover.ts';
import { HealthBook } from '../selection/health.ts';
import { choiceInput, facts, POLICY, route, rule, target } from '../selection/testdata/fixtures.ts';
import type { Plan } from '../selection/types.ts';
import { RetryBudgets } from '../upstream/retry-budget.ts';

/** How many calls a request becomes where every upstream fails, and one after the other answers all that wait for it. */

const SECONDS = 120;
const AMPLIFICATION = 1.2;

interface Waiting {
  readonly plan: Plan;
  readonly tried: TriedTarget[];
  readonly target: number;
  readonly ticket: number;
}

function callsOf(count: number, atOnce: number, everyMs: number, failure: Failure): { calls: number; requests: number } {
  const targets = Array.from({ length: count }, (_, at) => target(`m${at}`));
  const policy = { ...POLICY, maxAttempts: 5 };
  const whole = route(targets, [
    rule(
      targets.map((_, at) => [at]),
      { strategy: 'RoundRobin', failover: policy },
    ),
  ]);
  const compiled = compileSelection(whole);
  const book = new HealthBook({ random: () => 1 });
  const signals = targets.map((each) => book.signals(each));
  const budgets = new RetryBudgets();
  let requests = 0;
  let calls = 0;
  let turn = 0;
  for (let nowMs = 0; nowMs < SECONDS * 1_000; nowMs += everyMs) {
    const waiting: Waiting[] = [];
    const send = (plan: Plan, tried: TriedTarget[], at: number, charged: boolean): void => {
      const health = signals[at];
      if (health === undefined) throw new Error(`there is no target ${at}`);
      calls++;
      if (!charged) budgets.of(String(at)).countRequest(nowMs);
      waiting.push({ plan, tried, target: at, ticket: health.started(nowMs) });
    };
    for (let i = 0; i < atOnce; i++) {
      requests++;
      const plan = chooseInRule(choiceInput(whole, { signals, nowMs, turn: turn++ }), compiled, 0);
      send(plan, [], plan.order[0] ?? 0, false);
    }
    for (let answering = 0; waiting.length > 0; answering = (answering + 1) % count) {
      const answered = waiting.filter(({ target: at }) => at === answering);
      for (const each of answered) waiting.splice(waiting.indexOf(each), 1);
      for (const { plan, tried, ticket } of answered) {
        signals[answering]?.failed(ticket, failure, 'chat', nowMs);
        signals[answering]?.finished(ticket);
        tried.push({ target: answering, failure });
        const state = { route: whole, compiled, plan, facts: facts(), signals, tried, committed: false, nowMs, random: () => 0 };
        const next = nextAttempt(policy, state);
        if (next.stop !== null) continue;
        if (next.charged && !budgets.of(String(next.target)).takeRetry(nowMs)) continue;
        send(plan, tried, next.target, next.charged);
      }
    }
  }
  return { calls, requests };
}

const FAULTS: readonly (Failure & { readonly retryAfterMs?: number | null })[] = [
  { kind: 'server_error', message: '' },
  { kind: 'rate_limited', scope: 'requests', retryAfterMs: null, message: '' },
  { kind: 'rate_limited', scope: 'requests', retryAfterMs: 1_000, message: '' },
  { kind: 'auth', message: '' },
];

describe.each(FAULTS)('every upstream fails ($kind, $retryAfterMs ms)', (failure) => {
  it.each([
    [2, 100, 1_000],
    [2, 500, 2_000],
    [3, 100, 1_000],
    [3, 10, 100],
  ])('calls of %i of them stay below 1.2 a request, where %i come at once every %i ms', (count, atOnce, everyMs) => {
    const { calls, requests } = callsOf(count, atOnce, everyMs, failure);
    // Of the first ones all may fail over to what nobody knows yet to be ill.
    expect(calls).toBeLessThanOrEqual(AMPLIFICATION * (requests + atOnce * (count - 1)));
  });
});
