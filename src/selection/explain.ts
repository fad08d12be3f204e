/** A plan in words: for `fairlead explain`, response headers, logs and the console. */
import type { Route } from '../routetable/types.ts';
import { LazyExclusion, outNow } from './eligible.ts';
import { type TriedTarget, failoverCause } from './failover.ts';
import type { ChoiceInput, ExclusionReason, Plan, PlanReason } from './types.ts';

export interface Explanation {
  /** The rule that matched; null: none did. */
  readonly rule: string | null;
  /** The target that goes first; null: none can. */
  readonly chosen: string | null;
  readonly reason: PlanReason;
  readonly order: readonly { readonly name: string; /** Its priority. */ readonly tier: number; readonly reason: string }[];
  /** The other models of the pool. */
  readonly leftOut: readonly { readonly name: string; readonly reason: ExclusionReason | 'notInRule'; readonly detail: string }[];
}

const SENTENCE: Readonly<Record<PlanReason, string>> = {
  only: 'the only candidate of its tier',
  weighted: 'drawn by weight',
  'round-robin': 'its turn',
  'least-busy': 'the least busy',
  spilled: 'every target of the tiers before it was left out',
  'without-parameters': 'no target can take all parameters of this request, and this one may leave some out',
  saturated: "every healthy target is at its capacity, or at its provider's limit",
  panic: 'every target is unhealthy',
  downgraded: 'the request is beyond a limit that lets this one answer',
  pinned: 'the request goes on from a response that this one keeps',
  'no-rule': 'no rule matches',
  'no-candidate': 'no target can serve this request',
};

/** `input` is what the plan was chosen from. */
export function explainPlan(plan: Plan, input: ChoiceInput): Explanation {
  const { route } = input;
  const rule = route.rules[plan.rule];
  const tierOf = new Map(rule?.targets.map(({ target, priority }) => [target, priority]));
  const first = plan.order[0];
  const firstTier = first === undefined ? undefined : tierOf.get(first);
  const order = plan.order.map((index, position) => {
    const tier = tierOf.get(index) ?? 0;
    const why =
      position === 0
        ? SENTENCE[plan.reason]
        : tier === firstTier
          ? 'next of its tier, if that fails'
          : 'next tier, if that fails';
    const waived = waivedDetail(index, input);
    return { name: nameOf(route, index), tier, reason: waived === null ? why : `${why}; ${waived}` };
  });
  const leftOut: Explanation['leftOut'][number][] = plan.excluded.map(({ target, reason, detail }) => ({
    name: nameOf(route, target),
    reason,
    detail,
  }));
  if (rule !== undefined) {
    route.targets.forEach(({ name }, index) => {
      if (!tierOf.has(index)) leftOut.push({ name, reason: 'notInRule', detail: `rule ${rule.name} does not list it` });
    });
  }
  return {
    rule: rule?.name ?? null,
    chosen: first === undefined ? null : nameOf(route, first),
    reason: plan.reason,
    order,
    leftOut,
  };
}

/** What would have kept a target out of the plan, had it not been waived; null: nothing. */
function waivedDetail(index: number, input: ChoiceInput): string | null {
  const { route, signals, facts, nowMs } = input;
  const target = route.targets[index];
  const live = signals[index];
  if (target === undefined || live === undefined) return null;
  const reason = outNow(live, facts, nowMs);
  return reason === null ? (input.full?.(index) ?? null) : new LazyExclusion(index, reason, target, live, facts, nowMs).detail;
}

/**
 * `x-fairlead-reason`: the plan's reason where the first attempt answered; else what went before, in order:
 * `failover:RateLimited(azure-ptu),ServerError(claude)`, `retry:` where the same target answered at last, `failed:` where none did
 * (`served` null).
 */
export function reasonHeader(plan: Plan, route: Route, tried: readonly TriedTarget[], served: number | null): string {
  const last = tried.at(-1);
  if (last === undefined) return plan.reason;
  const causes = tried.map(({ target, failure }) => `${failoverCause(failure) ?? failure.kind}(${nameOf(route, target)})`);
  return `${served === null ? 'failed' : served === last.target ? 'retry' : 'failover'}:${causes.join(',')}`;
}

function nameOf(route: Route, index: number): string {
  return route.targets[index]?.name ?? String(index);
}
