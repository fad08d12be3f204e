import { describe, expect, it } from '@jest/globals';
import type { RequestFacts } from '../dialects/facts.ts';
import type { Rule, Target } from '../routetable/types.ts';
import { choose, compileSelection, withoutFirst } from './choose.ts';
import { goldenSequence } from './pick.ts';
import { choiceInput, facts, match, route, rule, seeded, signals, target } from './testdata/fixtures.ts';
import type { ChoiceInput, ExclusionReason, Plan, TargetSignals } from './types.ts';

const A = target('a');
const B = target('b');
const C = target('c');
const EJECTED = signals({ health: 'Ejected', coolUntilMs: 9_000, coolReason: 'ServerError' });
const IDLE = signals();

function plan(
  shares: Parameters<typeof rule>[0],
  over: Partial<ChoiceInput> = {},
  of: Partial<Rule> = {},
  pool = [A, B, C],
): Plan {
  const whole = route(pool, [rule(shares, of)]);
  return choose(choiceInput(whole, over), compileSelection(whole));
}

describe('hard filters', () => {
  const can = A.capabilities;
  const cases: [ExclusionReason, string, Partial<Target>, Partial<RequestFacts>, Partial<TargetSignals>][] = [
    ['tools', 'uses tools', { capabilities: { ...can, tools: false } }, { tools: true }, {}],
    ['jsonSchema', 'JSON schema', { capabilities: { ...can, jsonSchema: false } }, { jsonSchema: true }, {}],
    ['vision', 'images', { capabilities: { ...can, vision: false } }, { images: true }, {}],
    [
      'contextTokens',
      'about 901 prompt tokens and 100 output tokens do not fit into 1000 context tokens',
      { capabilities: { ...can, contextTokens: 1_000 } },
      { promptTokens: 901, maxOutputTokens: 100 },
      {},
    ],
    [
      'contextTokens',
      'about 901 prompt tokens and 100 output tokens do not fit into 1000 context tokens',
      { capabilities: { ...can, contextTokens: 1_000, maxOutputTokens: 100 } },
      { promptTokens: 901, maxOutputTokens: 32_000 },
      {},
    ],
    [
      'contextTokens',
      'about 901 prompt tokens and 100 output tokens do not fit into 1000 context tokens',
      { capabilities: { ...can, contextTokens: 1_000 } },
      { promptTokens: 5_000, maxOutputTokens: 800, longest: { promptTokens: 901, maxOutputTokens: 100 } },
      {},
    ],
    ['operation', 'OpenAI has no embeddings', {}, { operation: 'embeddings' }, {}],
    ['ejected', 'ejected (ServerError), for another 8s', {}, {}, EJECTED],
    ['probing', 'the one request that probes it', {}, {}, { health: 'Probing', coolReason: 'ServerError' }],
    ['coolingDown', 'cooling down (RateLimited), for another 1m', {}, {}, { coolUntilMs: 60_999.5, coolReason: 'RateLimited' }],
    ['coolingDown', 'NotFound for chat', {}, {}, { absentUntilMs: (operation) => (operation === 'chat' ? 2_000 : 0) }],
    [
      'headroom',
      'its provider says that 3 input tokens are left, for another 12s',
      {},
      {},
      { shortage: () => ({ unit: 'inputTokens', left: 3, untilMs: 12_500 }) },
    ],
  ];
  it.each(cases)('%s: %s', (reason, detail, of, request, live) => {
    const whole = route([target('a', of), B], [rule([[0], [1]])]);
    const compiled = compileSelection(whole, ({ name }) => (name === 'a' ? new Set(['embeddings']) : null));
    const input = choiceInput(whole, { facts: facts(request), signals: [signals(live), IDLE] });
    const found = choose(input, compiled);
    expect(found).toMatchObject({ order: [1], reason: 'only', excluded: [{ target: 0, reason }] });
    expect(found.excluded[0]?.detail).toContain(detail);
    expect(JSON.parse(JSON.stringify(found.excluded))).toEqual([{ target: 0, reason, detail: found.excluded[0]?.detail }]);
  });

  it('capacity: whatever who counts it says, and nobody who is out already is asked of', () => {
    const asked: number[] = [];
    const full = (index: number): string | null => {
      asked.push(index);
      return index === 0 ? 'its capacity.concurrency of 8 is in use' : null;
    };
    const found = plan([[0], [1], [2]], { signals: [IDLE, EJECTED, IDLE], full });
    expect(found).toMatchObject({ order: [2], reason: 'only' });
    expect(found.excluded[0]).toEqual({ target: 0, reason: 'capacity', detail: 'its capacity.concurrency of 8 is in use' });
    expect(asked).toEqual([0, 2]);
  });

  it('leaves out nobody for what is exactly enough, unknown, over, or not asked for', () => {
    const exact = target('a', {
      capabilities: { tools: false, jsonSchema: false, vision: false, contextTokens: 1_000, maxOutputTokens: 100 },
    });
    const request = facts({ promptTokens: 900, maxOutputTokens: 100 });
    const over = { coolUntilMs: 1_000, absentUntilMs: () => 1_000, shortage: () => null };
    expect(plan([[0]], { facts: request, signals: [signals(over)] }, {}, [exact]).excluded).toEqual([]);
    // What it gives is as much as it is asked for.
    const more = facts({ promptTokens: 900, maxOutputTokens: 32_000 });
    expect(plan([[0]], { facts: more, signals: [signals(over)] }, {}, [exact]).excluded).toEqual([]);

    const all = facts({ tools: true, jsonSchema: true, images: true, promptTokens: 1e6, maxOutputTokens: 1e6 });
    expect(plan([[0]], { facts: all }).order).toEqual([0]);
  });

  it('names the first filter in their order', () => {
    const weak = target('a', { capabilities: { ...can, tools: false, vision: false } });
    const found = plan([[0], [1]], { facts: facts({ tools: true, images: true }), signals: [EJECTED, IDLE] }, {}, [weak, B]);
    expect(found.excluded).toMatchObject([{ target: 0, reason: 'tools' }]);
  });

  it('lets a request probe an ejected target whose time is over', () => {
    expect(plan([[0]], { signals: [signals({ health: 'Ejected', coolUntilMs: 1_000 })], nowMs: 1_000 })).toMatchObject({
      order: [0],
      reason: 'only',
    });
  });
});

describe('never the whole pool', () => {
  it('takes unhealthy targets where no other is left', () => {
    const cooling = signals({ coolUntilMs: 5_000, coolReason: 'RateLimited' });
    const found = plan([[0], [1, 1, 1]], { signals: [EJECTED, cooling] }, {}, [A, B]);
    expect(found).toMatchObject({ order: [0, 1], reason: 'panic', excluded: [] });
  });

  it('takes a full target before an unhealthy one', () => {
    const found = plan([[0], [1]], { signals: [EJECTED, IDLE], full: () => 'full' }, {}, [A, B]);
    expect(found).toMatchObject({ order: [1], reason: 'saturated', excluded: [{ target: 0, reason: 'ejected' }] });
  });

  it('takes one that is short of headroom as soon as one that is at its capacity', () => {
    const short = signals({ shortage: () => ({ unit: 'requests', left: 0, untilMs: 9_000 }) });
    const full = (index: number): string | null => (index === 1 ? 'full' : null);
    const found = plan(
      [
        [0, 1, 0],
        [1, 1, 1],
      ],
      { signals: [short, IDLE], full },
      {},
      [A, B],
    );
    expect(found).toMatchObject({ order: [0, 1], reason: 'saturated', excluded: [] });
  });

  it('never waives a capability', () => {
    const blind = target('a', { capabilities: { ...A.capabilities, vision: false } });
    const request = facts({ images: true });
    expect(plan([[0], [1]], { facts: request, signals: [IDLE, EJECTED] }, {}, [blind, B])).toMatchObject({
      order: [1],
      reason: 'panic',
    });
    expect(plan([[0]], { facts: request }, {}, [blind])).toMatchObject({
      order: [],
      reason: 'no-candidate',
      excluded: [{ reason: 'vision' }],
    });
  });
});

describe('tiers', () => {
  it('puts all of a lower priority first and says when a later tier has to serve', () => {
    const shares = [
      [0, 1, 0],
      [1, 1, 1],
      [2, 1, 2],
    ] as const;
    expect(plan(shares)).toMatchObject({ order: [0, 1, 2], reason: 'only' });
    expect(plan(shares, { signals: [EJECTED, IDLE, IDLE] })).toMatchObject({ order: [1, 2], reason: 'spilled' });
  });

  it('uses weight 0 only where nothing else of the tier can serve', () => {
    const shares = [
      [0, 0],
      [1, 1],
      [2, 1, 1],
    ] as const;
    expect(plan(shares).order).toEqual([1, 0, 2]);
    expect(plan(shares, { signals: [IDLE, EJECTED, IDLE] })).toMatchObject({ order: [0, 2], reason: 'spilled' });
  });

  it('answers for a request that no rule matches', () => {
    expect(plan([[0]], {}, { matches: [match({ tools: true })] })).toMatchObject({ rule: -1, order: [], reason: 'no-rule' });
  });
});

describe('Weighted', () => {
  it('is exact in the long run, and so is what fails over from one target', () => {
    const weights = [70, 20, 10];
    const whole = route(
      [A, B, C],
      [
        rule([
          [0, 70],
          [1, 20],
          [2, 10],
        ]),
      ],
    );
    const compiled = compileSelection(whole);
    const pick = goldenSequence(0.123);
    const random = seeded(1);
    const chosen = [0, 0, 0];
    const secondAfterFirst = [0, 0, 0];
    const n = 100_000;
    for (let i = 0; i < n; i++) {
      const { order } = choose(choiceInput(whole, { pick: pick(), random }), compiled);
      chosen[order[0] ?? 0] = (chosen[order[0] ?? 0] ?? 0) + 1;
      if (order[0] === 0) secondAfterFirst[order[1] ?? 0] = (secondAfterFirst[order[1] ?? 0] ?? 0) + 1;
    }
    weights.forEach((weight, i) => expect(Math.abs((chosen[i] ?? 0) / n - weight / 100)).toBeLessThan(0.0001));
    expect((secondAfterFirst[1] ?? 0) / (chosen[0] ?? 1)).toBeCloseTo(2 / 3, 2);
  });

  it('shares a left-out target’s part among the others by weight', () => {
    const shares = [
      [0, 50],
      [1, 40],
      [2, 10],
    ] as const;
    const live = [EJECTED, IDLE, IDLE];
    expect(plan(shares, { signals: live, pick: 0.79 }).order).toEqual([1, 2]);
    expect(plan(shares, { signals: live, pick: 0.81 }).order).toEqual([2, 1]);
  });

  it('draws a lower tier’s first by chance, not by the pick that chose the tier above', () => {
    const shares = [
      [0, 1, 0],
      [1, 1, 1],
      [2, 1, 1],
    ] as const;
    expect(plan(shares, { pick: 0, random: () => 0.9 }).order).toEqual([0, 2, 1]);
    expect(plan(shares, { pick: 0.9, random: () => 0 }).order).toEqual([0, 1, 2]);
  });

  it('stays in its bounds for every pick', () => {
    for (const pick of [0, 0.1, 1 / 3, 0.5, 2 / 3, 1 - Number.EPSILON / 2]) {
      const { order } = plan(
        [
          [0, 0.1],
          [1, 0.2],
          [2, 0.3],
        ],
        { pick, random: () => 1 - Number.EPSILON / 2 },
      );
      expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2]);
    }
  });
});

describe('RoundRobin', () => {
  it('takes turns, weights aside, and skips who is out', () => {
    const of: Partial<Rule> = { strategy: 'RoundRobin' };
    const shares = [[0, 9], [1], [2]] as const;
    const orders = [0, 1, 2, 3].map((turn) => plan(shares, { turn }, of).order);
    expect(orders).toEqual([
      [0, 1, 2],
      [1, 2, 0],
      [2, 0, 1],
      [0, 1, 2],
    ]);
    expect(plan(shares, { turn: 1, signals: [IDLE, EJECTED, IDLE] }, of)).toMatchObject({ order: [2, 0], reason: 'round-robin' });
  });
});

describe('a first target that turns out to be full', () => {
  const shares = [
    [0, 1, 0],
    [1, 1, 0],
    [2, 1, 1],
  ] as const;
  const without = (order: readonly number[]): Plan | null =>
    withoutFirst({ rule: 0, order, reason: 'weighted', excluded: [] }, rule(shares), 'full');

  it('leaves the rest of its tier as it was drawn, and says so where the next tier has to serve', () => {
    expect(without([1, 0, 2])).toMatchObject({
      order: [0, 2],
      reason: 'weighted',
      excluded: [{ target: 1, reason: 'capacity' }],
    });
    expect(without([1, 2])).toMatchObject({ order: [2], reason: 'spilled' });
    expect(without([1])).toBeNull();
  });
});

describe('LeastBusy', () => {
  const of: Partial<Rule> = { strategy: 'LeastBusy' };
  const sized = (name: string, concurrency: number | null): Target =>
    target(name, { capacity: { requestsPerMinute: null, tokensPerMinute: null, concurrency } });
  const busy = (...inFlight: number[]): TargetSignals[] => inFlight.map((count) => signals({ inFlight: count }));

  it('orders by in-flight over concurrency', () => {
    const pool = [sized('a', 10), sized('b', 100), sized('c', 10)];
    expect(plan([[0], [1], [2]], { signals: busy(5, 20, 3) }, of, pool)).toMatchObject({
      order: [1, 2, 0],
      reason: 'least-busy',
    });
  });

  it('compares by weight where one of them states no concurrency', () => {
    const pool = [sized('a', 1_000), sized('b', null)];
    expect(
      plan(
        [
          [0, 1],
          [1, 4],
        ],
        { signals: busy(2, 4) },
        of,
        pool,
      ).order,
    ).toEqual([1, 0]);
  });

  it('lets pick decide among equals alone', () => {
    const first = [0, 0.5].map((pick) => plan([[0], [1], [2]], { signals: busy(1, 3, 1), pick }, of).order);
    expect(first).toEqual([
      [0, 2, 1],
      [2, 0, 1],
    ]);
  });
});

describe('purity', () => {
  it('gives the same plan for the same input', () => {
    const make = (): Plan =>
      plan(
        [
          [0, 3],
          [1, 2],
          [2, 1, 1],
        ],
        { pick: 0.7, random: seeded(7), signals: [IDLE, IDLE, EJECTED] },
      );
    expect(JSON.stringify(make())).toBe(JSON.stringify(make()));
  });

  it('refuses signals that do not belong to the table', () => {
    expect(() => plan([[0]], { signals: [] })).toThrow('target 0 of route team-a/chat');
  });
});
