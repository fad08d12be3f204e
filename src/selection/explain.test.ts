import { describe, expect, it } from '@jest/globals';
import type { Failure } from '../lib/failure.ts';
import { choose, compileSelection } from './choose.ts';
import { type Explanation, explainPlan, reasonHeader } from './explain.ts';
import { choiceInput, facts, match, route, rule, signals, target } from './testdata/fixtures.ts';
import type { ChoiceInput } from './types.ts';

const blind = target('blind', { capabilities: { ...target('blind').capabilities, vision: false } });
const POOL = [target('ptu'), target('payg'), target('claude'), blind, target('spare')];
const ROUTE = route(POOL, [
  rule(
    [
      [0, 80],
      [1, 20],
      [2, 1, 1],
      [3, 1, 1],
    ],
    { name: 'interactive', matches: [match({ stream: false })] },
  ),
]);

function explained(over: Partial<ChoiceInput>): Explanation {
  const input = choiceInput(ROUTE, over);
  return explainPlan(choose(input, compileSelection(ROUTE)), input);
}

describe('explainPlan', () => {
  it('names the rule, the order with its reasons, and everybody who is left out', () => {
    expect(explained({ facts: facts({ images: true }) })).toEqual({
      rule: 'interactive',
      chosen: 'ptu',
      reason: 'weighted',
      order: [
        { name: 'ptu', tier: 0, reason: 'drawn by weight' },
        { name: 'payg', tier: 0, reason: 'next of its tier, if that fails' },
        { name: 'claude', tier: 1, reason: 'next tier, if that fails' },
      ],
      leftOut: [
        { name: 'blind', reason: 'vision', detail: 'the request has images, which this model cannot read' },
        { name: 'spare', reason: 'notInRule', detail: 'rule interactive does not list it' },
      ],
    });
  });

  it('says of each target taken in panic why it would have been left out', () => {
    const out = signals({ coolUntilMs: 3_000, coolReason: 'RateLimited' });
    const { reason, order } = explained({ signals: POOL.map(() => out) });
    expect(reason).toBe('panic');
    expect(order[0]?.reason).toBe('every target is unhealthy; cooling down (RateLimited), for another 2s');
  });

  it('says that no rule matched', () => {
    expect(explained({ facts: facts({ stream: true }) })).toEqual({
      rule: null,
      chosen: null,
      reason: 'no-rule',
      order: [],
      leftOut: [],
    });
  });
});

describe('reasonHeader', () => {
  const plan = choose(choiceInput(ROUTE), compileSelection(ROUTE));
  const limited: Failure = { kind: 'rate_limited', scope: 'tokens', retryAfterMs: null, message: '' };
  const filtered: Failure = { kind: 'content_filtered', phase: 'prompt', categories: [], message: '' };
  const refused: Failure = { kind: 'invalid_request', message: '' };

  it('is the plan’s reason where nothing failed, else the failures in order', () => {
    const header = (tried: [number, Failure][], served: number | null): string =>
      reasonHeader(
        plan,
        ROUTE,
        tried.map(([index, failure]) => ({ target: index, failure })),
        served,
      );
    expect(header([], 0)).toBe('weighted');
    expect(header([[0, limited]], 1)).toBe('failover:RateLimited(ptu)');
    expect(
      header(
        [
          [0, limited],
          [1, filtered],
        ],
        2,
      ),
    ).toBe('failover:RateLimited(ptu),ContentFilter(payg)');
    expect(header([[0, limited]], 0)).toBe('retry:RateLimited(ptu)');
    expect(header([[0, refused]], null)).toBe('failed:invalid_request(ptu)');
  });
});
