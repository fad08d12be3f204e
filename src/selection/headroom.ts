/**
 * What is left of a provider's own limits, from what it says in its answers and what has been sent since. Best effort: what others
 * use with the same credential shows only in the next answer. Pure, as `HealthBook`.
 */
import type { RequestFacts } from '../dialects/facts.ts';
import { HEADROOM_UNITS, type HeadroomUnit } from '../lib/headroom-unit.ts';
import { FactVersion, type HealthFact, type HealthSharing } from './health-fact.ts';
import type { Shortage } from './types.ts';

/** A reset further away is asked about before: the next answer tells again. */
const LONGEST_MS = 60_000;
/** Where the provider says that nothing is left, and not until when. */
const UNTOLD_MS = 1_000;
/** What lasts so little longer than the others know is not worth telling. */
const WORTH_TELLING_MS = 100;

/** Of one of its limits. */
class Left implements Shortage {
  readonly unit: HeadroomUnit;
  left = Infinity;
  untilMs = 0;
  /** The first attempt that was started after it had run out: only the answer to such a one can tell that it has not. */
  since = 0;
  toldUntilMs = 0;
  readonly version = new FactVersion();

  constructor(unit: HeadroomUnit) {
    this.unit = unit;
  }

  lacks(facts: RequestFacts, nowMs: number): boolean {
    return this.untilMs > nowMs && this.left < needOf(this.unit, facts);
  }
}

export class Headroom {
  readonly #key: string;
  readonly #units: Left[] = [];

  /** `key`: what pods know the credential by. */
  constructor(key: string) {
    this.#key = key;
  }

  /** The shortage that lasts longest of those that such a request meets; null: enough is left of everything. */
  shortage(facts: RequestFacts, nowMs: number): Shortage | null {
    let found: Left | null = null;
    for (const left of this.#units) {
      if (left.lacks(facts, nowMs) && (found === null || left.untilMs > found.untilMs)) found = left;
    }
    return found;
  }

  /** All that was ever told and is not over. */
  *told(nowMs: number): Iterable<Shortage> {
    for (const left of this.#units) if (left.untilMs > nowMs) yield left;
  }

  /** A request goes out. */
  spend(facts: RequestFacts): void {
    for (const left of this.#units) left.left -= needOf(left.unit, facts);
  }

  /**
   * The answer to `attempt`, a request with these facts, says what is left. `resetMs`: until all of it is free again; null: not told.
   * `sharing`: who is told where another such request would not fit; null: nobody.
   */
  said(
    unit: HeadroomUnit,
    amount: number,
    resetMs: number | null,
    of: { readonly attempt: number; readonly nextAttempt: number; readonly facts: RequestFacts },
    sharing: HealthSharing | null,
    nowMs: number,
  ): void {
    const left = this.#left(unit);
    const wasShort = left.lacks(of.facts, nowMs);
    const isShort = amount < needOf(unit, of.facts);
    // It was on its way already when the limit ran out.
    if (wasShort && !isShort && of.attempt < left.since) return;
    if (isShort && !wasShort) left.since = of.nextAttempt;
    left.left = amount;
    left.untilMs = nowMs + Math.min(LONGEST_MS, resetMs ?? UNTOLD_MS);
    if (sharing === null) return;
    if (isShort && left.untilMs >= Math.max(nowMs, left.toldUntilMs) + WORTH_TELLING_MS)
      this.#tell(left, left.untilMs, sharing, nowMs);
    else if (!isShort && left.toldUntilMs > nowMs) this.#tell(left, nowMs, sharing, nowMs);
  }

  /** What another pod has been told. */
  learn(fact: HealthFact, nextAttempt: number, nowMs: number): void {
    if (fact.unit === undefined || fact.left === undefined) return;
    const left = this.#left(fact.unit);
    if (!left.version.learn(fact, nowMs)) return;
    left.left = fact.left;
    left.untilMs = nowMs + Math.min(LONGEST_MS, fact.forMs);
    left.toldUntilMs = left.untilMs;
    left.since = nextAttempt;
  }

  /** All that others may have missed. */
  facts(found: HealthFact[], nowMs: number): void {
    for (const left of this.#units) if (left.toldUntilMs > nowMs) found.push(this.#fact(left, left.toldUntilMs - nowMs));
  }

  #left(unit: HeadroomUnit): Left {
    let left = this.#units.find((known) => known.unit === unit);
    if (left === undefined) this.#units.push((left = new Left(unit)));
    return left;
  }

  #tell(left: Left, untilMs: number, sharing: HealthSharing, nowMs: number): void {
    left.toldUntilMs = untilMs;
    left.version.next(sharing, nowMs);
    sharing.tell(this.#fact(left, untilMs - nowMs));
  }

  #fact({ unit, left, version }: Left, forMs: number): HealthFact {
    return {
      kind: 'headroom',
      key: this.#key,
      operation: null,
      version: version.version,
      by: version.by,
      forMs,
      probing: false,
      growth: 0,
      reason: '',
      unit,
      left: Math.max(0, left),
    };
  }
}

/** What such a request takes. How much a model writes is counted as it writes, so of that any rest is enough to begin with. */
function needOf(unit: HeadroomUnit, { promptTokens, maxOutputTokens }: RequestFacts): number {
  switch (unit) {
    case 'requests':
    case 'outputTokens':
      return 1;
    case 'inputTokens':
      return promptTokens;
    case 'tokens':
      return promptTokens + (maxOutputTokens ?? 0);
  }
}

export function isHeadroomUnit(value: unknown): value is HeadroomUnit {
  return HEADROOM_UNITS.some((unit) => unit === value);
}
