/**
 * The hard filters: what keeps a target away from a request, and how that is told to a person. Capability comes first (it can
 * never be waived), then health, then capacity.
 */
import type { RequestFacts } from '../dialects/facts.ts';
import type { Operation } from '../lib/operation.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Target } from '../routetable/types.ts';
import type { Exclusion, ExclusionReason, TargetSignals } from './types.ts';

/** Operations that a target's provider does not have; null: it has all. */
export type Lacks = ReadonlySet<Operation> | null;

/** The first capability of the target that this request exceeds; null: it can serve it. What is unknown (null) is never held against it. */
export function incapable(target: Target, lacks: Lacks, facts: RequestFacts): ExclusionReason | null {
  const can = target.capabilities;
  if (facts.tools && can.tools === false) return 'tools';
  if (facts.jsonSchema && can.jsonSchema === false) return 'jsonSchema';
  if (facts.images && can.vision === false) return 'vision';
  if (can.contextTokens !== null && facts.promptTokens + (facts.maxOutputTokens ?? 0) > can.contextTokens) return 'contextTokens';
  if (can.maxOutputTokens !== null && facts.maxOutputTokens !== null && facts.maxOutputTokens > can.maxOutputTokens) {
    return 'maxOutputTokens';
  }
  if (lacks !== null && lacks.has(facts.operation)) return 'operation';
  return null;
}

/**
 * Why its health keeps a target out at this moment; null: nothing does. An ejected target whose time is over is half-open: it
 * is eligible until one request, the probe, is out.
 */
export function unhealthy(signals: TargetSignals, operation: Operation, nowMs: number): ExclusionReason | null {
  if (signals.health === 'Probing') return 'probing';
  if (signals.coolUntilMs > nowMs) return signals.health === 'Ejected' ? 'ejected' : 'coolingDown';
  if (signals.absentUntilMs !== undefined && signals.absentUntilMs(operation) > nowMs) return 'coolingDown';
  return null;
}

/** In full health: an attempt at it is no gamble, so it is not charged to a retry budget. */
export function isHealthy(signals: TargetSignals, operation: Operation, nowMs: number): boolean {
  return signals.health === 'Healthy' && unhealthy(signals, operation, nowMs) === null;
}

/** At its concurrency. */
export function isFull(target: Target, signals: TargetSignals): boolean {
  return target.capacity.concurrency !== null && signals.inFlight >= target.capacity.concurrency;
}

/** All filters, in their order; null: a candidate. Allocates nothing. */
export function exclusionReason(
  target: Target,
  lacks: Lacks,
  signals: TargetSignals,
  facts: RequestFacts,
  nowMs: number,
): ExclusionReason | null {
  return (
    incapable(target, lacks, facts) ?? unhealthy(signals, facts.operation, nowMs) ?? (isFull(target, signals) ? 'capacity' : null)
  );
}

/** Holds what the signals were at the choice, and makes a sentence of it only when somebody reads it. */
export class LazyExclusion implements Exclusion {
  readonly target: number;
  readonly reason: ExclusionReason;
  readonly #target: Target;
  readonly #facts: RequestFacts;
  readonly #coolReason: string;
  readonly #outForMs: number;
  readonly #inFlight: number;

  constructor(
    index: number,
    reason: ExclusionReason,
    target: Target,
    signals: TargetSignals,
    facts: RequestFacts,
    nowMs: number,
  ) {
    this.target = index;
    this.reason = reason;
    this.#target = target;
    this.#facts = facts;
    const wholeForMs = signals.coolUntilMs - nowMs;
    const absentForMs = (signals.absentUntilMs?.(facts.operation) ?? 0) - nowMs;
    this.#coolReason = wholeForMs > 0 || absentForMs <= 0 ? signals.coolReason : `NotFound for ${facts.operation}`;
    this.#outForMs = Math.max(wholeForMs, absentForMs);
    this.#inFlight = signals.inFlight;
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
        return `about ${facts.promptTokens} prompt tokens and ${facts.maxOutputTokens ?? 0} output tokens do not fit into ${can.contextTokens ?? 0} context tokens`;
      case 'maxOutputTokens':
        return `the request asks for up to ${facts.maxOutputTokens ?? 0} output tokens, this model gives at most ${can.maxOutputTokens ?? 0}`;
      case 'operation':
        return `${this.#target.provider} has no ${facts.operation}`;
      case 'unsupported':
        return 'the request has parameters that this model cannot take';
      case 'ejected':
        return `ejected (${this.#coolReason}), for another ${roundedDuration(this.#outForMs)}`;
      case 'probing':
        return `ejected (${this.#coolReason}), and the one request that probes it is still out`;
      case 'coolingDown':
        return `cooling down (${this.#coolReason}), for another ${roundedDuration(this.#outForMs)}`;
      case 'capacity':
        return `${this.#inFlight} requests are under way, its capacity.concurrency is ${this.#target.capacity.concurrency ?? 0}`;
    }
  }

  toJSON(): Exclusion {
    return { target: this.target, reason: this.reason, detail: this.detail };
  }
}

/** Whole seconds above one second: nobody reads milliseconds of a minute. */
function roundedDuration(ms: number): string {
  return formatDuration(ms > 1_000 ? Math.ceil(ms / 1_000) * 1_000 : Math.ceil(ms));
}
