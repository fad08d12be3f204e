/** Small whole values for the tests of this folder: each takes what the test is about and fills in the rest. */
import type { RequestFacts } from '../../dialects/facts.ts';
import type { FailoverPolicy, Match, Route, Rule, Target } from '../../routetable/types.ts';
import { IDLE_SIGNALS } from '../choose.ts';
import type { ChoiceInput, TargetSignals } from '../types.ts';

export function facts(over: Partial<RequestFacts> = {}): RequestFacts {
  return {
    operation: 'chat',
    path: '/v1/chat/completions',
    model: 'chat',
    stream: false,
    tools: false,
    jsonSchema: false,
    images: false,
    promptTokens: 100,
    promptSize: { words: 100, signs: 0, blanks: 0, cjk: 0, other: 0, fixed: 0 },
    maxPromptTokens: 400,
    maxOutputTokens: null,
    longest: null,
    includeUsage: false,
    ...over,
  };
}

export function target(name: string, over: Partial<Target> = {}): Target {
  return {
    name,
    provider: 'OpenAI',
    upstreamId: `https://${name}.example/v1`,
    credentialId: `https://${name}.example/v1#key`,
    baseUrl: `https://${name}.example/v1`,
    trusted: false,
    model: 'gpt',
    apiVersion: null,
    credential: null,
    tls: null,
    headers: [],
    defaults: [],
    override: [],
    unsupported: 'Reject',
    capacity: { requestsPerMinute: null, tokensPerMinute: null, concurrency: null },
    pricing: null,
    capabilities: { tools: null, jsonSchema: null, vision: null, contextTokens: null, maxOutputTokens: null },
    ...over,
  };
}

export const POLICY: FailoverPolicy = {
  maxAttempts: 3,
  timeouts: { connectMs: 2_000, firstTokenMs: 60_000, idleMs: 120_000, totalMs: 600_000 },
  reasons: ['Auth', 'ConnectFailure', 'NotFound', 'Overloaded', 'QuotaExhausted', 'RateLimited', 'ServerError', 'StreamBroken', 'Timeout'],
  contentFilter: null,
  contextOverflow: null,
};

export function match(over: Partial<Match>): Match {
  const any: Match = {
    headers: [],
    tenant: null,
    path: null,
    stream: null,
    tools: null,
    jsonSchema: null,
    images: null,
    minPromptTokens: null,
  };
  return { ...any, ...over };
}

/** `shares`: [target, weight, priority] each. */
export function rule(shares: readonly (readonly [number, number?, number?])[], over: Partial<Rule> = {}): Rule {
  return {
    name: 'default',
    matches: [],
    targets: shares.map(([index, weight = 1, priority = 0]) => ({ target: index, weight, priority })),
    strategy: 'Weighted',
    failover: POLICY,
    ...over,
  };
}

export function route(targets: readonly Target[], rules: readonly Rule[], over: Partial<Route> = {}): Route {
  return {
    digest: 'digest',
    id: 'team-a/chat',
    namespace: 'team-a',
    name: 'chat',
    modelNames: [{ value: 'chat', wildcard: false }],
    access: { from: 'Same' },
    targets,
    rules,
    limits: [],
    ...over,
  };
}

export function signals(over: Partial<TargetSignals> = {}): TargetSignals {
  return { ...IDLE_SIGNALS, ...over };
}

export function choiceInput(of: Route, over: Partial<ChoiceInput> = {}): ChoiceInput {
  return {
    route: of,
    facts: facts(),
    tenant: 'team-a',
    header: () => undefined,
    signals: of.targets.map(() => IDLE_SIGNALS),
    nowMs: 1_000,
    pick: 0,
    random: () => 0,
    turn: 0,
    ...over,
  };
}

/** A small generator of reproducible numbers in [0, 1) (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
