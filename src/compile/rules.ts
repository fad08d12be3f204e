/** A route's rules → those of the table. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { byText } from '../routetable/order.ts';
import type { FailoverPolicy, Match, Rule, RuleTarget } from '../routetable/types.ts';

type RuleSpec = LLMRoute['spec']['rules'][number];
type MatchSpec = NonNullable<RuleSpec['matches']>[number];

/** By name of a model in the pool, its index among the targets that can be served; a model that cannot is not in it. */
export type TargetIndex = ReadonlyMap<string, number>;

export interface CompiledRules {
  readonly rules: readonly Rule[];
  /** Rules that no model is left for: they stay, and their requests get a named 503. */
  readonly issues: readonly Issue[];
}

export function compileRules(specs: readonly RuleSpec[], targets: TargetIndex): CompiledRules {
  const issues: Issue[] = [];
  const rules = specs.map((spec, index): Rule => {
    const rule = compileRule(spec, targets);
    if (rule.targets.length === 0) {
      issues.push(
        issue(
          `spec.rules[${index}].targets`,
          'NoHealthyBackend',
          `rule ${JSON.stringify(spec.name)} has no model left that can be served: its requests get 503`,
        ),
      );
    }
    return rule;
  });
  return { rules, issues };
}

function compileRule(spec: RuleSpec, index: TargetIndex): Rule {
  const targets = spec.targets.flatMap(({ model, priority, weight }): RuleTarget[] => {
    const target = index.get(model);
    return target === undefined ? [] : [{ target, priority, weight }];
  });
  const { strategy } = spec.selection;
  return {
    name: spec.name,
    matches: (spec.matches ?? []).map(compileMatch),
    targets: targets.sort((a, b) => a.priority - b.priority),
    strategy: strategy === 'RoundRobin' || strategy === 'LeastBusy' ? strategy : 'Weighted',
    failover: compileFailover(spec.failover, index),
    ...compileStructured(spec.structuredOutput),
  };
}

/** Neither checked nor mended is as if nothing were said. */
function compileStructured(spec: RuleSpec['structuredOutput']): Pick<Rule, 'structuredOutput'> {
  if (spec === undefined || !(spec.validate || spec.repair)) return {};
  const { repair, onInvalid, holdStream } = spec;
  return { structuredOutput: { repair, onInvalid: spec.validate ? onInvalid : 'Return', holdStream } };
}

function compileMatch(spec: MatchSpec): Match {
  return {
    headers: (spec.headers ?? [])
      .map(({ name, value }) => ({ name: name.toLowerCase(), value }))
      .sort((a, b) => byText(a.name, b.name) || byText(a.value, b.value)),
    tenant: spec.tenant ?? null,
    path: spec.path ?? null,
    stream: spec.stream ?? null,
    tools: spec.tools ?? null,
    jsonSchema: spec.jsonSchema ?? null,
    images: spec.images ?? null,
    minPromptTokens: spec.minPromptTokens ?? null,
  };
}

function compileFailover(spec: RuleSpec['failover'], index: TargetIndex): FailoverPolicy {
  const { timeouts, contentFilter, contextOverflow } = spec;
  const known = (names: readonly string[] | undefined): readonly number[] =>
    (names ?? []).flatMap((name) => index.get(name) ?? []);
  const stages = (['Prompt', 'Completion'] as const).filter((stage) => contentFilter.stages.includes(stage));
  return {
    maxAttempts: spec.maxAttempts,
    timeouts: {
      connectMs: durationMs(timeouts.connect),
      firstTokenMs: durationMs(timeouts.firstToken),
      idleMs: durationMs(timeouts.idle),
      totalMs: durationMs(timeouts.total),
    },
    reasons: [...spec.reasons].sort(byText),
    contentFilter: contentFilter.mode === 'Failover' ? { stages, targets: known(contentFilter.targets) } : null,
    contextOverflow: contextOverflow.mode === 'Failover' ? { targets: known(contextOverflow.targets) } : null,
  };
}

/** The schema has seen to it that this is a duration. */
export function durationMs(text: string): number {
  const parsed = parseDurationMs(text);
  if (!parsed.ok) throw new Error(`past the schema: ${parsed.error}`);
  return parsed.value;
}
