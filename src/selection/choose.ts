/**
 * Choosing: match → hard filters → priority tiers → strategy inside the tier. Everything that does not depend on the request is
 * resolved in `compileSelection`, when a table is loaded; a choice in which nothing is left out allocates the plan and no more.
 */
import type { Route, Rule, RuleTarget, Target } from '../routetable/types.ts';
import { type Lacks, LazyExclusion, exclusionReason } from './eligible.ts';
import { type CompiledMatchers, compileMatchers, matchRule } from './match.ts';
import { arrangeLeastBusy, arrangeRoundRobin, arrangeWeighted } from './pick.ts';
import type { ChoiceInput, Exclusion, ExclusionReason, Plan, PlanReason, TargetSignals } from './types.ts';

export interface CompiledSelection {
  readonly matchers: CompiledMatchers;
  /** By index of `Route.rules`. */
  readonly rules: readonly CompiledRule[];
  /** By index of `Route.targets`. */
  readonly lacks: readonly Lacks[];
}

interface CompiledRule {
  readonly strategy: Rule['strategy'];
  /** In the order in which they are tried. A tier's targets of weight 0 are a tier of their own behind it. */
  readonly tiers: readonly Tier[];
}

interface Tier {
  /** Indexes into `Route.targets`. */
  readonly targets: readonly number[];
  /** By target index, above 0. */
  readonly weightOf: readonly number[];
  /** By target index, above 0: concurrency where every target of the tier states one (they must compare), else the weight. */
  readonly capacityOf: readonly number[];
}

const NONE: readonly Exclusion[] = [];
const NO_RULE: Plan = { rule: -1, order: [], reason: 'no-rule', excluded: NONE };
const STRATEGY_REASON: Readonly<Record<Rule['strategy'], PlanReason>> = {
  Weighted: 'weighted',
  RoundRobin: 'round-robin',
  LeastBusy: 'least-busy',
};
/** It is well, and has no room for the moment. */
const FULL: ReadonlySet<ExclusionReason> = new Set<ExclusionReason>(['headroom', 'capacity']);
/** Reasons that pass by themselves. */
const PASSING: ReadonlySet<ExclusionReason> = new Set<ExclusionReason>(['ejected', 'probing', 'coolingDown', 'headroom']);
const UNHEALTHY: ReadonlySet<ExclusionReason> = new Set<ExclusionReason>(['ejected', 'probing', 'coolingDown']);

/** Once a table load. `lacks` tells which operations a target's provider does not have (null: it has all). */
export function compileSelection(route: Route, lacks: (target: Target) => Lacks = () => null): CompiledSelection {
  return {
    matchers: compileMatchers(route.rules),
    rules: route.rules.map((rule) => ({ strategy: rule.strategy, tiers: compileTiers(route, rule) })),
    lacks: route.targets.map(lacks),
  };
}

/** Of its tier. */
function rankOf({ priority, weight }: RuleTarget): number {
  return 2 * priority + (weight === 0 ? 1 : 0);
}

function compileTiers(route: Route, rule: Rule): Tier[] {
  const ranks = [...new Set(rule.targets.map(rankOf))].sort((a, b) => a - b);
  return ranks.map((rank) => {
    const members = rule.targets.filter((member) => rankOf(member) === rank);
    const concurrency = (target: number): number | null => route.targets[target]?.capacity.concurrency ?? null;
    const comparable = members.every(({ target }) => concurrency(target) !== null);
    const weightOf = route.targets.map(() => 0);
    const capacityOf = route.targets.map(() => 0);
    for (const { target, weight } of members) {
      weightOf[target] = weight === 0 ? 1 : weight;
      capacityOf[target] = comparable ? Math.max(1, concurrency(target) ?? 1) : (weightOf[target] ?? 1);
    }
    return { targets: members.map(({ target }) => target), weightOf, capacityOf };
  });
}

/**
 * The ordered attempts of one request, with the reasons. The chosen target comes first, then the rest of its tier, then the next
 * tiers; what a filter left out is in `excluded`.
 *
 * Never the whole pool: where health and capacity leave nothing, targets that are only full are taken (`saturated`), and where
 * there is none of these either, unhealthy ones (`panic`). Capability is never waived.
 */
export function choose(input: ChoiceInput, compiled: CompiledSelection): Plan {
  return chooseInRule(input, compiled, matchRule(compiled.matchers, input));
}

/** `choose` for a caller that has matched already, because it keeps `pick` and `turn` by rule. */
export function chooseInRule(input: ChoiceInput, compiled: CompiledSelection, rule: number): Plan {
  const compiledRule = compiled.rules[rule];
  if (compiledRule === undefined) return NO_RULE;
  const { tiers } = compiledRule;
  const order: number[] = [];
  let excluded: (Exclusion & { readonly droppable?: boolean })[] | null = null;
  let reason: PlanReason = 'no-candidate';
  for (let t = 0; t < tiers.length; t++) {
    const tier = tiers[t];
    if (tier === undefined) continue;
    const start = order.length;
    for (const index of tier.targets) {
      const left = exclude(index, input, compiled);
      if (left === null) order.push(index);
      else (excluded ??= []).push(left);
    }
    if (order.length === start) continue;
    if (start === 0) reason = t > 0 ? 'spilled' : order.length === 1 ? 'only' : STRATEGY_REASON[compiledRule.strategy];
    arrange(compiledRule.strategy, tier, order, start, input);
  }
  if (order.length === 0 && excluded !== null) return waive(input, compiledRule, rule, excluded);
  return { rule, order, reason, excluded: excluded ?? NONE };
}

function exclude(index: number, input: ChoiceInput, compiled: CompiledSelection): (Exclusion & { droppable?: boolean }) | null {
  const target = input.route.targets[index];
  const signals = input.signals[index];
  if (target === undefined || signals === undefined) {
    throw new Error(
      `target ${index} of route ${input.route.id} has no entry or no signals: the table and the selection do not belong together`,
    );
  }
  const reason = exclusionReason(target, compiled.lacks[index] ?? null, signals, input.facts, input.nowMs);
  // Before health: a target that cannot serve it at all must not be taken because every other is ill.
  const unsupported = input.unsupported?.(index) ?? null;
  if (unsupported !== null && (reason === null || PASSING.has(reason))) {
    const { param, detail, droppable } = unsupported;
    return { target: index, reason: 'unsupported', param, detail, droppable: droppable && reason === null };
  }
  if (reason !== null) return new LazyExclusion(index, reason, target, signals, input.facts, input.nowMs);
  const full = input.full?.(index) ?? null;
  return full === null ? null : { target: index, reason: 'capacity', detail: full };
}

/** Left out for nothing but want of room: better than no answer. */
export function fullTargets({ excluded }: Plan): number[] {
  return excluded.filter(({ reason }) => FULL.has(reason)).map(({ target }) => target);
}

/**
 * The plan once its first target has turned out to be full, `detail` says of what; null: it has no other target. What is left in its
 * tier was drawn, or ordered, by the same strategy.
 */
export function withoutFirst(plan: Plan, rule: Rule, detail: string): Plan | null {
  const [first, ...order] = plan.order;
  const [next] = order;
  if (first === undefined || next === undefined) return null;
  const tierOf = (index: number): number => {
    const member = rule.targets.find(({ target }) => target === index);
    return member === undefined ? -1 : rankOf(member);
  };
  const excluded: readonly Exclusion[] = [...plan.excluded, { target: first, reason: 'capacity', detail }];
  return { ...plan, order, excluded, reason: tierOf(first) === tierOf(next) ? plan.reason : 'spilled' };
}

/**
 * Orders the targets that one tier has added. Only the tier that is chosen from uses `pick` and `turn`: those behind it serve
 * the failures of one particular target, and what chose that target must not choose again, or their shares would be skewed.
 */
function arrange(strategy: Rule['strategy'], tier: Tier, order: number[], start: number, input: ChoiceInput): void {
  const count = order.length - start;
  if (count === 1) return;
  const pick = start === 0 ? input.pick : input.random();
  switch (strategy) {
    case 'Weighted':
      arrangeWeighted(order, start, tier.weightOf, pick, input);
      return;
    case 'RoundRobin':
      arrangeRoundRobin(order, start, start === 0 ? input.turn : Math.floor(pick * count));
      return;
    case 'LeastBusy':
      arrangeLeastBusy(order, start, tier.capacityOf, input.signals, pick);
      return;
  }
}

/** Nothing is left: the mildest reason that keeps somebody out is waived. */
function waive(
  input: ChoiceInput,
  compiledRule: CompiledRule,
  rule: number,
  excluded: readonly (Exclusion & { readonly droppable?: boolean })[],
): Plan {
  const reduced = excluded.some(({ droppable }) => droppable === true);
  const full = !reduced && excluded.some(({ reason }) => FULL.has(reason));
  const waived = full ? FULL : UNHEALTHY;
  const taken = new Set(
    excluded.filter(({ reason, droppable }) => (reduced ? droppable === true : waived.has(reason))).map(({ target }) => target),
  );
  const order: number[] = [];
  for (const tier of compiledRule.tiers) {
    const start = order.length;
    for (const index of tier.targets) if (taken.has(index)) order.push(index);
    if (order.length > start) arrange(compiledRule.strategy, tier, order, start, input);
  }
  if (order.length === 0) return { rule, order, reason: 'no-candidate', excluded };
  return {
    rule,
    order,
    reason: reduced ? 'without-parameters' : full ? 'saturated' : 'panic',
    excluded: excluded.filter(({ target }) => !taken.has(target)),
  };
}

/** Live facts of a target that nothing has happened to, e.g. for `fairlead explain`. */
export const IDLE_SIGNALS: TargetSignals = { health: 'Healthy', coolUntilMs: 0, coolReason: '', inFlight: 0 };
