/**
 * The hard filters: what keeps a target away from a request, and how that is told to a person. Capability comes first (it can
 * never be waived), then health, then what the provider says is left; its capacity, which somebody else counts, is asked last.
 */
import type { RequestFacts } from '../dialects/facts.ts';
import type { Operation } from '../lib/operation.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Target } from '../routetable/types.ts';
import type { HeadroomUnit } from '../lib/headroom-unit.ts';
import type { Exclusion, ExclusionReason, Shortage, TargetSignals } from './types.ts';

/** What the target and its signals tell; its capacity somebody else counts. */
export type FilterReason = Exclude<ExclusionReason, 'capacity'>;

/** Operations that a target's provider does not have; null: it has all. */
export type Lacks = ReadonlySet<Operation> | null;

/** The first capability of the target that this request exceeds; null: it can serve it. What is unknown (null) is never held against it. */
export function incapable(target: Target, lacks: Lacks, facts: RequestFacts): FilterReason | null {
  const can = target.capabilities;
  if (facts.tools && can.tools === false) return 'tools';
  if (facts.jsonSchema && can.jsonSchema === false) return 'jsonSchema';
  if (facts.images && can.vision === false) return 'vision';
  if (can.contextTokens !== null && longestPrompt(facts) + outputTokens(can, facts) > can.contextTokens) return 'contextTokens';
  if (lacks !== null && lacks.has(facts.operation)) return 'operation';
  return null;
}

function longestPrompt({ longest, promptTokens }: RequestFacts): number {
  return longest === null ? promptTokens : longest.promptTokens;
}

/** Of one answer. A request for more than a model gives is asked of it as what it gives. */
function outputTokens({ maxOutputTokens }: Target['capabilities'], facts: RequestFacts): number {
  const asked = (facts.longest ?? facts).maxOutputTokens ?? 0;
  return maxOutputTokens === null ? asked : Math.min(asked, maxOutputTokens);
}

/**
 * Why its health keeps a target out at this moment; null: nothing does. An ejected target whose time is over is half-open: it
 * is eligible until one request, the probe, is out.
 */
export function unhealthy(signals: TargetSignals, operation: Operation, nowMs: number): FilterReason | null {
  if (signals.health === 'Probing') return 'probing';
  if (signals.coolUntilMs > nowMs) return signals.health === 'Ejected' ? 'ejected' : 'coolingDown';
  if (signals.absentUntilMs !== undefined && signals.absentUntilMs(operation) > nowMs) return 'coolingDown';
  return null;
}

/**
 * In full health: an attempt at it is no gamble, so it is not charged to a retry budget. What has just had a time out is not: all that
 * fails at its end would come to it at once.
 */
export function isHealthy(signals: TargetSignals, operation: Operation, nowMs: number): boolean {
  if (signals.health !== 'Healthy' || unhealthy(signals, operation, nowMs) !== null) return false;
  return signals.unproven?.(operation, nowMs) !== true;
}

/** Its provider has said that too little is left. */
export function isShort(signals: TargetSignals, facts: RequestFacts, nowMs: number): boolean {
  return (signals.shortage?.(facts, nowMs) ?? null) !== null;
}

/** All filters but its capacity, in their order; null: a candidate. Allocates nothing. */
export function exclusionReason(
  target: Target,
  lacks: Lacks,
  signals: TargetSignals,
  facts: RequestFacts,
  nowMs: number,
): FilterReason | null {
  return incapable(target, lacks, facts) ?? outNow(signals, facts, nowMs);
}

/** What keeps it out for a while, as far as its signals tell. */
export function outNow(signals: TargetSignals, facts: RequestFacts, nowMs: number): FilterReason | null {
  return unhealthy(signals, facts.operation, nowMs) ?? (isShort(signals, facts, nowMs) ? 'headroom' : null);
}

/** Holds what the signals were at the choice, and makes a sentence of it only when somebody reads it. */
export class LazyExclusion implements Exclusion {
  readonly target: number;
  readonly reason: FilterReason;
  readonly #target: Target;
  readonly #facts: RequestFacts;
  readonly #coolReason: string;
  readonly #outForMs: number;
  readonly #shortage: Shortage | null;
  readonly #shortForMs: number;

  constructor(index: number, reason: FilterReason, target: Target, signals: TargetSignals, facts: RequestFacts, nowMs: number) {
    this.target = index;
    this.reason = reason;
    this.#target = target;
    this.#facts = facts;
    const wholeForMs = signals.coolUntilMs - nowMs;
    const absentForMs = (signals.absentUntilMs?.(facts.operation) ?? 0) - nowMs;
    this.#coolReason = wholeForMs > 0 || absentForMs <= 0 ? signals.coolReason : `NotFound for ${facts.operation}`;
    this.#outForMs = Math.max(wholeForMs, absentForMs);
    const shortage = reason === 'headroom' ? (signals.shortage?.(facts, nowMs) ?? null) : null;
    this.#shortage = shortage === null ? null : { unit: shortage.unit, left: shortage.left, untilMs: shortage.untilMs };
    this.#shortForMs = (shortage?.untilMs ?? nowMs) - nowMs;
  }

  get detail(): string {
    const can = this.#target.capabilities;
    const facts = this.#facts;
    switch (this.reason) {
      case 'tools':
        return 'the request uses tools, which this model cannot';
      case 'jsonSchema':
        return 'the request asks for a JSON schema, which this model cannot hold to';
      case 'vision':
        return 'the request has images, which this model cannot read';
      case 'contextTokens':
        return `about ${longestPrompt(facts)} prompt tokens and ${outputTokens(can, facts)} output tokens do not fit into ${can.contextTokens ?? 0} context tokens`;
      case 'operation':
        return `${this.#target.provider} has no ${facts.operation}`;
      case 'unsupported':
        return 'the request has parameters that this model cannot take';
      case 'ejected':
        // A Service without an address is out until it has one.
        if (this.#outForMs === Infinity) return `ejected (${this.#coolReason})`;
        return `ejected (${this.#coolReason}), for another ${roundedDuration(this.#outForMs)}`;
      case 'probing':
        return `ejected (${this.#coolReason}), and the one request that probes it is still out`;
      case 'coolingDown':
        return `cooling down (${this.#coolReason}), for another ${roundedDuration(this.#outForMs)}`;
      case 'headroom': {
        const { unit, left } = this.#shortage ?? { unit: 'requests', left: 0 };
        return `its provider says that ${Math.max(0, left)} ${UNIT_NAMES[unit]} are left, for another ${roundedDuration(this.#shortForMs)}`;
      }
    }
  }

  toJSON(): Exclusion {
    return { target: this.target, reason: this.reason, detail: this.detail };
  }
}

const UNIT_NAMES: Readonly<Record<HeadroomUnit, string>> = {
  requests: 'requests',
  tokens: 'tokens',
  inputTokens: 'input tokens',
  outputTokens: 'output tokens',
};

/** Whole seconds above one second: nobody reads milliseconds of a minute. */
function roundedDuration(ms: number): string {
  return formatDuration(ms > 1_000 ? Math.ceil(ms / 1_000) * 1_000 : Math.ceil(ms));
}
