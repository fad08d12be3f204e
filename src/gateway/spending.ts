import type { RequestFacts } from '../dialects/facts.ts';
import type { MultipartBody } from '../dialects/multipart.ts';
import { answersOf, boundsOutput, leastOutputTokens, outputTokensAsked } from '../dialects/output-limit.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { Operation } from '../lib/operation.ts';
import { maxCostNanoUsd } from '../prices/cost.ts';
import type { FailoverPolicy, Pricing } from '../routetable/types.ts';
import { fullTargets } from '../selection/choose.ts';
import type { Plan } from '../selection/types.ts';
import type { LoadedRoute, LoadedTarget } from './loaded-table.ts';
import { isBilled } from './settle.ts';

/** No model writes more at once; what one that nobody bounds writes beyond it is owed. */
const LONGEST_OUTPUT_TOKENS = 131_072;
/** Where no bound is sure (files, stored context): more than an estimate has been seen to be short of. */
const UNBOUNDED_PER_ESTIMATED = 4;

/** Whether the cost of such a call can be known before it is made. */
function costIsBounded(operation: Operation): boolean {
  return boundsOutput(operation) || operation === 'embeddings' || !isBilled(operation);
}

/** Why a limit in USD keeps a target out; null: none does. What is not known is never counted as nothing. */
export function unpricedBecause(loaded: LoadedRoute, target: LoadedTarget, { operation, model }: RequestFacts): string | null {
  if (loaded.budgetNanoUsd === null) return null;
  if (!costIsBounded(operation)) return `a limit counts USD, and what ${operation} costs is not known before`;
  return target.pricing(model) === null ? 'a limit counts USD, and the price of this model is not known' : null;
}

interface Candidate {
  readonly pricing: Pricing;
  readonly inputTokens: number;
  /** Of each answer. */
  readonly outputTokens: number;
  readonly answers: number;
}

/** What one request can cost at most, whichever of its targets answers it, and how long its answers may be for less. */
export class Spending {
  /** Of each answer, as asked. */
  readonly outputTokens: number;
  readonly leastTokens: number;
  readonly #candidates: readonly Candidate[];

  /** `targets` all have a price, and the operation's cost is bounded. */
  constructor(facts: RequestFacts, body: ParsedBody | MultipartBody, targets: readonly LoadedTarget[]) {
    const { operation } = facts;
    const json = body.kind === 'json' ? body.outline : {};
    this.#candidates = targets.flatMap((target) => {
      const pricing = target.pricing(facts.model);
      if (pricing === null) return [];
      const answers = answersOf(operation, json, target.edit, target.answersPath(operation));
      return [
        {
          pricing,
          inputTokens: isBilled(operation) ? promptBound(facts, target) : 0,
          outputTokens: boundsOutput(operation) ? outputBound(target, operation, json) : 0,
          answers,
        },
      ];
    });
    this.outputTokens = Math.max(0, ...this.#candidates.map(({ outputTokens }) => outputTokens));
    this.leastTokens = Math.min(this.outputTokens, leastOutputTokens(operation, json));
  }

  /** `body`: null once the answer is committed. */
  static of(
    facts: RequestFacts,
    body: ParsedBody | MultipartBody | null,
    loaded: LoadedRoute,
    plan: Plan,
    { contentFilter, contextOverflow }: FailoverPolicy,
  ): Spending {
    if (body === null) throw new Error('an admission after the commit');
    const indexes = new Set([
      ...plan.order,
      ...fullTargets(plan),
      ...(contentFilter?.targets ?? []),
      ...(contextOverflow?.targets ?? []),
    ]);
    return new Spending(
      facts,
      body,
      [...indexes].flatMap((index) => loaded.targets[index] ?? []),
    );
  }

  /** Nano-USD, with answers of at most so many tokens each. */
  costNanoUsd(maxOutputTokens: number): number {
    let most = 0;
    for (const { pricing, inputTokens, outputTokens, answers } of this.#candidates) {
      const each = Math.min(outputTokens, maxOutputTokens);
      most = Math.max(most, maxCostNanoUsd(pricing, { inputTokens, outputTokens: each * answers }));
    }
    return most;
  }

  /** The longest answers that cost no more; null: those that make sense cost more. */
  outputTokensFor(nanoUsd: number): number | null {
    if (this.costNanoUsd(this.leastTokens) > nanoUsd) return null;
    let affordable = this.leastTokens;
    let tooMuch = this.outputTokens + 1;
    while (tooMuch - affordable > 1) {
      const middle = Math.floor((affordable + tooMuch) / 2);
      if (this.costNanoUsd(middle) <= nanoUsd) affordable = middle;
      else tooMuch = middle;
    }
    return affordable;
  }
}

/** A target's own edit may write a part of the prompt too (`system`, `instructions`, tools). */
function promptBound(facts: RequestFacts, { editBytes }: LoadedTarget): number {
  return (facts.maxPromptTokens ?? facts.promptTokens * UNBOUNDED_PER_ESTIMATED) + editBytes;
}

/** Of one answer. */
function outputBound(loaded: LoadedTarget, operation: Operation, json: ParsedBody['outline']): number {
  const { maxOutputTokens, contextTokens } = loaded.target.capabilities;
  const able = Math.min(maxOutputTokens ?? LONGEST_OUTPUT_TOKENS, contextTokens ?? Number.POSITIVE_INFINITY);
  const asked = outputTokensAsked(operation, json, loaded.edit, loaded.boundPaths(operation));
  // A model that is said to write less refuses what asks for more, or writes what it can.
  return asked === null ? able : maxOutputTokens === null ? asked : Math.min(asked, able);
}
