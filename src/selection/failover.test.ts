import { describe, expect, it } from '@jest/globals';
import { type Failure, FAILOVER_REASON, type FailureKind } from '../lib/failure.ts';
import type { FailoverPolicy, Target } from '../routetable/types.ts';
import { compileSelection } from './choose.ts';
import { type FailoverState, type NextAttempt, nextAttempt } from './failover.ts';
import { facts, POLICY, route, rule, signals, target } from './testdata/fixtures.ts';
import type { Plan, TargetSignals } from './types.ts';

const POOL = ['a', 'b', 'c', 'd'].map((name) => target(name));
const WIDE: FailoverPolicy = { ...POLICY, maxAttempts: 9 };
const OUT = signals({ health: 'Ejected', coolUntilMs: 9_000 });
const IDLE = signals();

const SAMPLES: Readonly<Record<FailureKind, Failure>> = {
  rate_limited: { kind: 'rate_limited', scope: 'requests', retryAfterMs: 60_000, message: '' },
  quota_exhausted: { kind: 'quota_exhausted', retryAfterMs: null, message: '' },
  content_filtered: { kind: 'content_filtered', phase: 'prompt', categories: [], message: '' },
  refusal: { kind: 'refusal', message: '' },
  context_exceeded: { kind: 'context_exceeded', message: '' },
  payload_too_large: { kind: 'payload_too_large', message: '' },
  invalid_request: { kind: 'invalid_request', message: '' },
  conflict: { kind: 'conflict', message: '' },
  auth: { kind: 'auth', message: '' },
  permission: { kind: 'permission', message: '' },
  not_found: { kind: 'not_found', message: '' },
  overloaded: { kind: 'overloaded', retryAfterMs: null, message: '' },
  server_error: { kind: 'server_error', message: '' },
  timeout: { kind: 'timeout', phase: 'first_token', message: '' },
  network: { kind: 'network', connecting: true, message: '' },
  malformed: { kind: 'malformed', message: '' },
  invalid_output: { kind: 'invalid_output', message: '' },
  stream_broken: { kind: 'stream_broken', sentBytes: 0, message: '' },
  client_gone: { kind: 'client_gone', message: '' },
};
const KINDS = Object.values(SAMPLES);
const BROKEN = SAMPLES.server_error;
const FILTERED = SAMPLES.content_filtered;
const EXCEEDED = SAMPLES.context_exceeded;

interface Given {
  readonly policy?: Partial<FailoverPolicy>;
  readonly order?: readonly number[];
  readonly excluded?: Plan['excluded'];
  readonly signals?: readonly TargetSignals[];
  readonly committed?: boolean;
  readonly pool?: readonly Target[];
  readonly images?: boolean;
  readonly random?: number;
  /** Targets that have another address, well and untried. */
  readonly elsewhere?: readonly number[];
}

/** What follows these attempts, each `[target, its failure]`, with the plan a, b. */
function after(tried: readonly (readonly [number, Failure])[], given: Given = {}): NextAttempt {
  const whole = route(given.pool ?? POOL, [rule([[0], [1]])]);
  const state: FailoverState = {
    route: whole,
    compiled: compileSelection(whole),
    plan: { rule: 0, order: given.order ?? [0, 1], reason: 'weighted', excluded: given.excluded ?? [] },
    facts: facts({ images: given.images ?? false }),
    signals: given.signals ?? POOL.map(() => IDLE),
    tried: tried.map(([index, failure]) => ({ target: index, failure })),
    committed: given.committed ?? false,
    nowMs: 1_000,
    random: () => given.random ?? 0,
    elsewhere: (index) => given.elsewhere?.includes(index) === true,
  };
  return nextAttempt({ ...WIDE, ...given.policy }, state);
}

describe('what fails over', () => {
  it.each(KINDS.filter(({ kind }) => FAILOVER_REASON[kind] !== null))(
    '$kind goes to the next target, at once and free of charge',
    (failure) => {
      const reason = FAILOVER_REASON[failure.kind];
      expect(after([[0, failure]])).toEqual({ stop: null, target: 1, charged: false, backoffMs: 0, reason });
      const others = WIDE.reasons.filter((other) => other !== reason);
      expect(after([[0, failure]], { policy: { reasons: others } })).toEqual({ stop: 'not-in-reasons' });
    },
  );

  it.each(['refusal', 'payload_too_large', 'invalid_request', 'conflict', 'client_gone'] as const)(
    '%s is the client’s to see',
    (kind) => {
      expect(after([[0, SAMPLES[kind]]])).toEqual({ stop: 'final' });
    },
  );

  it('stops once output has reached the client, whatever the failure', () => {
    for (const failure of KINDS) expect(after([[0, failure]], { committed: true })).toEqual({ stop: 'committed' });
    expect(after([[0, { kind: 'stream_broken', sentBytes: 1, message: '' }]])).toEqual({ stop: 'committed' });
  });

  it('stops at maxAttempts, filtered requests included', () => {
    const policy = { maxAttempts: 2, contentFilter: { stages: ['Prompt'], targets: [2, 3] } } as const;
    expect(after([[0, BROKEN]], { policy })).toMatchObject({ target: 1 });
    expect(
      after(
        [
          [0, BROKEN],
          [1, BROKEN],
        ],
        { policy },
      ),
    ).toEqual({ stop: 'max-attempts' });
    expect(
      after(
        [
          [0, FILTERED],
          [2, FILTERED],
        ],
        { policy },
      ),
    ).toEqual({ stop: 'max-attempts' });
  });
});

describe('which target is next', () => {
  it('prefers a healthy one, and charges one that is not', () => {
    expect(after([[0, BROKEN]], { order: [0, 1, 2], signals: [IDLE, OUT, IDLE, IDLE] })).toMatchObject({
      target: 2,
      charged: false,
    });
    expect(after([[0, BROKEN]], { signals: [IDLE, OUT, IDLE, IDLE] })).toMatchObject({ target: 1, charged: true, backoffMs: 0 });
    const cooling = signals({ coolUntilMs: 1_001 });
    expect(after([[0, BROKEN]], { signals: [IDLE, cooling, IDLE, IDLE] })).toMatchObject({ target: 1, charged: true });
    const unproven = signals({ unproven: () => true });
    expect(after([[0, BROKEN]], { signals: [IDLE, unproven, IDLE, IDLE] })).toMatchObject({ target: 1, charged: true });
    const halfOpen = signals({ health: 'Ejected', coolUntilMs: 900 });
    expect(after([[0, BROKEN]], { signals: [IDLE, halfOpen, IDLE, IDLE] })).toMatchObject({ target: 1, charged: true });
  });

  it('turns to a target that was left out only because it was full, not to one that was left out for another reason', () => {
    const left = (reason: 'capacity' | 'headroom' | 'ejected' | 'tools'): Plan['excluded'] => [{ target: 2, reason, detail: '' }];
    expect(after([[0, BROKEN]], { order: [0], excluded: left('capacity') })).toMatchObject({ target: 2, charged: false });
    expect(after([[0, BROKEN]], { order: [0], excluded: left('headroom') })).toMatchObject({ target: 2, charged: false });
    expect(after([[0, SAMPLES.auth]], { order: [0], excluded: left('ejected') })).toEqual({ stop: 'exhausted' });
    expect(after([[0, SAMPLES.auth]], { order: [0], excluded: left('tools') })).toEqual({ stop: 'exhausted' });
  });
});

describe('retrying the same targets', () => {
  const transient: Failure[] = [
    SAMPLES.network,
    SAMPLES.overloaded,
    SAMPLES.server_error,
    SAMPLES.stream_broken,
    { kind: 'timeout', phase: 'connect', message: '' },
    { kind: 'rate_limited', scope: 'requests', retryAfterMs: 1_000, message: '' },
  ];
  const lasting: Failure[] = [
    SAMPLES.auth,
    SAMPLES.permission,
    SAMPLES.not_found,
    SAMPLES.quota_exhausted,
    SAMPLES.malformed,
    { kind: 'timeout', phase: 'first_token', message: '' },
    { kind: 'rate_limited', scope: 'requests', retryAfterMs: null, message: '' },
    { kind: 'rate_limited', scope: 'requests', retryAfterMs: 1_001, message: '' },
    { kind: 'overloaded', retryAfterMs: 1_001, message: '' },
  ];

  it.each(transient)('%j is retried, charged', (failure) => {
    expect(after([[0, failure]], { order: [0] })).toMatchObject({ target: 0, charged: true });
  });

  it.each(lasting)('%j is not', (failure) => {
    expect(after([[0, failure]], { order: [0] })).toEqual({ stop: 'exhausted' });
  });

  it('takes turns among those whose own last failure passes', () => {
    expect(
      after([
        [0, BROKEN],
        [1, BROKEN],
      ]),
    ).toMatchObject({ target: 0 });
    expect(
      after([
        [0, BROKEN],
        [1, BROKEN],
        [0, BROKEN],
      ]),
    ).toMatchObject({ target: 1 });
    expect(
      after([
        [0, SAMPLES.auth],
        [1, BROKEN],
      ]),
    ).toMatchObject({ target: 1 });
    expect(
      after([
        [0, BROKEN],
        [1, SAMPLES.auth],
      ]),
    ).toEqual({ stop: 'exhausted' });
  });

  it('backs off exponentially with jitter, at most a second, and no shorter than retry-after', () => {
    const wait = (times: number, random: number, failure: Failure = BROKEN): number | null => {
      const tried = Array.from({ length: times }, () => [0, failure] as const);
      const next = after(tried, { order: [0], policy: { maxAttempts: 99 }, random });
      return next.stop === null ? next.backoffMs : null;
    };
    expect([1, 2, 3].map((times) => wait(times, 0))).toEqual([12.5, 25, 50]);
    expect([1, 2, 3].map((times) => wait(times, 1))).toEqual([25, 50, 100]);
    expect(wait(20, 1)).toBe(1_000);
    expect(wait(1, 0, { kind: 'overloaded', retryAfterMs: 700, message: '' })).toBe(700);
  });
});

describe('content filter', () => {
  const policy = { contentFilter: { stages: ['Prompt', 'Completion'], targets: [2, 3] } } as const;
  const filtered = (phase: 'prompt' | 'completion' | 'mid_stream'): Failure => ({
    kind: 'content_filtered',
    phase,
    categories: [],
    message: '',
  });

  it('is returned where the route does not say Failover, whatever other targets there are', () => {
    expect(after([[0, FILTERED]])).toEqual({ stop: 'content-filter' });
  });

  it.each([
    ['prompt', 'Prompt', 'Completion'],
    ['completion', 'Completion', 'Prompt'],
    ['mid_stream', 'Completion', 'Prompt'],
  ] as const)('%s is the stage %s', (phase, stage, other) => {
    const only = (of: 'Prompt' | 'Completion'): Given => ({ policy: { contentFilter: { stages: [of], targets: [2] } } });
    expect(after([[0, filtered(phase)]], only(stage))).toMatchObject({ target: 2, reason: 'ContentFilter', charged: false });
    expect(after([[0, filtered(phase)]], only(other))).toEqual({ stop: 'content-filter' });
  });

  it('goes to the listed targets alone, in their order, free of charge even where they are unhealthy', () => {
    expect(after([[0, FILTERED]], { policy })).toMatchObject({ target: 2 });
    expect(
      after(
        [
          [0, FILTERED],
          [2, FILTERED],
        ],
        { policy },
      ),
    ).toMatchObject({ target: 3 });
    expect(
      after(
        [
          [0, FILTERED],
          [2, FILTERED],
          [3, FILTERED],
        ],
        { policy },
      ),
    ).toEqual({ stop: 'exhausted' });
    expect(after([[0, FILTERED]], { policy, signals: [IDLE, IDLE, OUT, IDLE] })).toMatchObject({ target: 3 });
    expect(after([[0, FILTERED]], { policy, signals: [IDLE, IDLE, OUT, OUT] })).toMatchObject({ target: 2, charged: false });
  });

  it('passes over a listed target that cannot serve the request, and one that has been tried', () => {
    const blind = target('c', { capabilities: { ...target('c').capabilities, vision: false } });
    expect(after([[0, FILTERED]], { policy, images: true, pool: [...POOL.slice(0, 2), blind, target('d')] })).toMatchObject({
      target: 3,
    });
    expect(
      after(
        [
          [2, BROKEN],
          [0, FILTERED],
        ],
        { policy, order: [2, 0] },
      ),
    ).toMatchObject({ target: 3 });
  });

  it('never widens the consent: what fails later still stays with the listed targets', () => {
    expect(
      after(
        [
          [0, FILTERED],
          [2, BROKEN],
        ],
        { policy },
      ),
    ).toMatchObject({ target: 3, reason: 'ServerError' });
    expect(
      after(
        [
          [0, FILTERED],
          [2, BROKEN],
          [3, BROKEN],
        ],
        { policy },
      ),
    ).toMatchObject({ target: 2, charged: true });
    expect(
      after(
        [
          [0, FILTERED],
          [2, SAMPLES.auth],
          [3, SAMPLES.auth],
        ],
        { policy },
      ),
    ).toEqual({ stop: 'exhausted' });
    const both = { ...policy, contextOverflow: { targets: [1, 3] } };
    expect(
      after(
        [
          [0, FILTERED],
          [2, EXCEEDED],
        ],
        { policy: both },
      ),
    ).toMatchObject({ target: 3, reason: 'ContextOverflow' });
    expect(
      after(
        [
          [0, FILTERED],
          [2, EXCEEDED],
        ],
        { policy: { ...policy, contextOverflow: { targets: [1] } } },
      ),
    ).toEqual({ stop: 'exhausted' });
  });
});

describe('context overflow', () => {
  const policy = { contextOverflow: { targets: [3] } };

  it('goes to the listed targets alone, and is returned where there are none', () => {
    expect(after([[0, EXCEEDED]])).toEqual({ stop: 'context-overflow' });
    expect(after([[0, EXCEEDED]], { policy })).toMatchObject({ target: 3, reason: 'ContextOverflow', charged: false });
    expect(
      after(
        [
          [0, EXCEEDED],
          [3, EXCEEDED],
        ],
        { policy },
      ),
    ).toEqual({ stop: 'exhausted' });
    expect(
      after(
        [
          [0, EXCEEDED],
          [3, BROKEN],
        ],
        { policy },
      ),
    ).toMatchObject({ target: 3, charged: true });
  });

  it('may be followed by a filter’s targets', () => {
    const both = { ...policy, contentFilter: { stages: ['Prompt'], targets: [2] } } as const;
    expect(
      after(
        [
          [0, EXCEEDED],
          [3, FILTERED],
        ],
        { policy: both },
      ),
    ).toMatchObject({ target: 2, reason: 'ContentFilter' });
  });
});

it('refuses to be asked before anything has failed', () => {
  expect(() => after([])).toThrow('state.tried is empty');
});

describe('a target with more addresses than one', () => {
  const OF_ADDRESS = ['network', 'timeout', 'overloaded', 'server_error', 'malformed', 'stream_broken', 'rate_limited'];
  const next = (target: number): object => ({ stop: null, target, charged: false, backoffMs: 0 });

  it.each(KINDS.filter(({ kind }) => OF_ADDRESS.includes(kind)))('is asked at another one after $kind', (failure) => {
    expect(after([[0, failure]], { elsewhere: [0] })).toMatchObject(next(0));
    expect(after([[0, failure]], { elsewhere: [1] })).toMatchObject(next(1));
  });

  it.each(KINDS.filter(({ kind }) => !OF_ADDRESS.includes(kind) && FAILOVER_REASON[kind] !== null))(
    'is left after $kind, which another one would answer too',
    (failure) => {
      expect(after([[0, failure]], { elsewhere: [0] })).toMatchObject(next(1));
    },
  );

  it('is asked at one more before another model, at two more where there is none', () => {
    const twice = [[0, BROKEN] as const, [0, BROKEN] as const];
    expect(after(twice, { elsewhere: [0] })).toMatchObject(next(1));
    expect(after(twice, { elsewhere: [0], order: [0] })).toMatchObject(next(0));
    expect(after([...twice, [0, BROKEN]], { elsewhere: [0], order: [0] })).toMatchObject({ charged: true });
  });

  it('sees nothing of a request that was filtered, and nothing beyond the attempts', () => {
    const policy = { contentFilter: { stages: ['Prompt' as const, 'Completion' as const], targets: [1] } };
    expect(after([[0, FILTERED]], { elsewhere: [0], policy })).toMatchObject(next(1));
    expect(after([[0, BROKEN]], { elsewhere: [0], policy: { maxAttempts: 1 } })).toEqual({ stop: 'max-attempts' });
  });
});
