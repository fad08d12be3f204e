import type { RequestFacts } from '../dialects/facts.ts';
import type { MultipartBody } from '../dialects/multipart.ts';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import type { Failure } from '../lib/failure.ts';
import type { Decision, Reservation } from '../limits/limiter.ts';
import { NO_LIMITS } from '../limits/local.ts';
import type { FailoverPolicy, StructuredOutput } from '../routetable/types.ts';
import { chooseInRule, withoutFirst } from '../selection/choose.ts';
import { incapable } from '../selection/eligible.ts';
import { reasonHeader } from '../selection/explain.ts';
import { type NextAttempt, nextAttempt, type TriedTarget } from '../selection/failover.ts';
import { matchRule } from '../selection/match.ts';
import type { ChoiceInput, Plan, Unsupported } from '../selection/types.ts';
import { Allowance } from './allowance.ts';
import type { Attempt } from './attempt.ts';
import type { GatewayError } from './errors.ts';
import { noCandidateError } from './explanations.ts';
import type { LoadedRoute } from './loaded-table.ts';
import { cannotRead, NO_PINS, pinnedPlan, type Pins, readablePolicy } from './pinned.ts';
import type { RequestContext } from './request-context.ts';
import { Spending, unpricedBecause } from './spending.ts';
import { reasonOf } from './target-capacity.ts';
import { unsupportedBy } from './upstream-body.ts';

const NO_PLAN: Plan = { rule: -1, order: [], reason: 'no-candidate', excluded: [] };

/** Where one request goes: its plan, and after each failure, or where a target has no room after all, who is next. */
export class Choice implements ChoiceInput {
  readonly facts: RequestFacts;
  readonly allowance = new Allowance();
  /** What the request has to do with earlier answers. Before `choose`. */
  pins: Pins = NO_PINS;
  /** The client's; null once the answer is committed: no other target can be asked any more. */
  body: ParsedBody | MultipartBody | null;
  /** Why the target at this index cannot serve all of the request; null: it can. Asked for where dialects are translated only. */
  unsupported: ((index: number) => Unsupported | null) | null = null;
  /** Asked for where a target has a capacity only. */
  full: ((index: number) => string | null) | null = null;
  nowMs = 0;
  pick = 0;
  turn = 0;
  readonly #run: RequestContext;
  readonly #loaded: LoadedRoute;
  #plan: Plan = NO_PLAN;
  /** As it was made, whoever turned out to be full. */
  #made: Plan = NO_PLAN;
  readonly #tried: TriedTarget[] = [];
  /** By target index: what refused an attempt of this request. */
  #refused: Map<number, string> | null = null;

  constructor(run: RequestContext, loaded: LoadedRoute, body: ParsedBody | MultipartBody, facts: RequestFacts) {
    this.#run = run;
    this.#loaded = loaded;
    this.body = body;
    this.facts = facts;
  }

  get route(): LoadedRoute['route'] {
    return this.#loaded.route;
  }

  get tenant(): string {
    return this.#run.caller.tenant;
  }

  get signals(): LoadedRoute['signals'] {
    return this.#loaded.signals;
  }

  get plan(): Plan {
    return this.#plan;
  }

  /** The target that goes first. */
  get first(): number {
    return this.#plan.order[0] ?? 0;
  }

  header(name: string): string | undefined {
    return this.#run.exchange.headers[name];
  }

  random(): number {
    return this.#run.core.random();
  }

  /** Prompt and expected output; what is used beyond it is owed. */
  get reservedTokens(): number {
    return this.#loaded.targets[this.first]?.tokensOf(this.facts) ?? this.facts.promptTokens;
  }

  /** Makes the plan; the error says why there is none. */
  choose(): GatewayError | null {
    const { selection, rules, translating, budgetNanoUsd, hasCapacity } = this.#loaded;
    const rule = matchRule(selection.matchers, this);
    const state = rules[rule];
    if (state !== undefined) {
      this.pick = state.pick();
      state.turn += 1;
      this.turn = state.turn;
    }
    this.nowMs = this.#run.core.clock.nowMs();
    const { operation } = this.facts;
    if (translating.has(operation) || budgetNanoUsd !== null || operation === 'messages' || this.pins.reader !== null)
      this.unsupported = (index) => this.#unsupportedBy(index);
    if (hasCapacity) this.full = (index) => this.#fullBecause(index);
    const plan = chooseInRule(this, selection, rule);
    this.#made = pinnedPlan(plan, this.#loaded, this.pins, operation);
    this.#plan = this.#made;
    this.allowance.pinned = this.pins.keeper !== null;
    return this.#plan.order.length === 0 ? noCandidateError(this.#plan, this.route, this.facts) : null;
  }

  /** What it can cost, whichever of the targets that it may come to answers. */
  spending(): Spending {
    return Spending.of(this.facts, this.body, this.#loaded, this.#plan, this.policy);
  }

  /** The target at this index answers, and no other; false: it cannot, or has been told to already. */
  downgrade(index: number, limitName: string): boolean {
    const target = this.#loaded.targets[index];
    if (this.allowance.beyond !== null || this.pins.keeper !== null || target === undefined) return false;
    const lacks = this.#loaded.selection.lacks[index] ?? null;
    if (incapable(target.target, lacks, this.facts) !== null || this.#unsupportedBy(index) !== null) return false;
    this.allowance.beyond = limitName;
    this.allowance.maxOutputTokens = null;
    this.#plan = { rule: this.#plan.rule, order: [index], reason: 'downgraded', excluded: this.#plan.excluded };
    return true;
  }

  get policy(): FailoverPolicy {
    const policy = this.route.rules[this.#plan.rule]?.failover;
    if (policy === undefined) throw new Error(`rule ${this.#plan.rule} of route ${this.route.id} is gone`);
    const own = this.allowance.policy(readablePolicy(policy, this.#loaded, this.pins));
    // Made twice it would be paid for twice.
    return this.facts.operation === 'batches' ? { ...own, maxAttempts: 1 } : own;
  }

  get structuredOutput(): StructuredOutput | undefined {
    return this.route.rules[this.#plan.rule]?.structuredOutput;
  }

  /**
   * A part of the target's capacity for one attempt; null: it has no room, as `full` says from now on. A promise only where Redis must
   * be asked. What cannot be counted, because Redis is away, is sent all the same: a provider's limit is the provider's to keep.
   */
  hold(index: number): Reservation | null | Promise<Reservation | null> {
    const target = this.#loaded.targets[index];
    if (target === undefined || target.capacity === null) return NO_LIMITS;
    const decision = target.capacity.reserve(target.tokensOf(this.facts));
    if (!(decision instanceof Promise)) return this.#held(index, decision);
    return decision.then((decided) => this.#held(index, decided));
  }

  #held(index: number, decision: Decision): Reservation | null {
    if (decision.ok) return decision;
    if (decision.reason === 'unavailable') return NO_LIMITS;
    this.#refused ??= new Map<number, string>();
    this.#refused.set(index, reasonOf(decision));
    return null;
  }

  /**
   * Who is asked instead of a target that has no room; null: nobody else has it, and `first` (after a failure the target itself) is
   * asked all the same.
   */
  insteadOf(index: number, attempts: readonly Attempt[]): number | null {
    if (this.#tried.length > 0) {
      const next = this.next(attempts, false);
      const other = next.stop === null && !next.charged && next.target !== index ? next.target : null;
      return other === null || this.#fullBecause(other) !== null ? null : other;
    }
    const rule = this.route.rules[this.#plan.rule];
    const only = this.allowance.beyond !== null || this.pins.keeper !== null;
    if (rule === undefined || only || this.#made.reason === 'saturated') return null;
    const rest = withoutFirst(this.#plan, rule, this.#fullBecause(index) ?? '');
    this.#plan = rest ?? { ...this.#made, reason: 'saturated' };
    return rest === null ? null : this.first;
  }

  failed(index: number, failure: Failure): void {
    this.#tried.push({ target: index, failure });
  }

  /** The failure that the next attempt follows. */
  get lastTried(): TriedTarget | undefined {
    return this.#tried.at(-1);
  }

  /** After a failed attempt. */
  next(attempts: readonly Attempt[], committed: boolean): NextAttempt {
    const nowMs = this.#run.core.clock.nowMs();
    return nextAttempt(this.policy, {
      route: this.route,
      compiled: this.#loaded.selection,
      plan: this.#plan,
      facts: this.facts,
      signals: this.signals,
      tried: this.#tried,
      committed,
      nowMs,
      random: () => this.random(),
      elsewhere: (at) => this.#loaded.targets[at]?.hasOtherPlace(attempts, this.facts.operation, nowMs) === true,
      full: (at) => this.#fullBecause(at) !== null,
    });
  }

  /** `x-fairlead-reason` of an answer by `served`; null: nobody answered. */
  reason(served: Attempt | null, attempts: readonly Attempt[]): string {
    const index = served === null ? null : this.#loaded.targets.indexOf(served.target);
    // An attempt that failed before its first output is among those that were tried.
    const before = served !== null && this.#tried.length === attempts.length ? this.#tried.slice(0, -1) : this.#tried;
    return reasonHeader(this.#plan, this.route, before, index);
  }

  #fullBecause(index: number): string | null {
    const target = this.#loaded.targets[index];
    if (target === undefined || target.capacity === null) return null;
    return this.#refused?.get(index) ?? target.capacity.full(target.tokensOf(this.facts));
  }

  #unsupportedBy(index: number): Unsupported | null {
    const target = this.#loaded.targets[index];
    if (target === undefined) return null;
    const unread = cannotRead(target, this.pins);
    if (unread !== null) return unread;
    const unpriced = unpricedBecause(this.#loaded, target, this.facts);
    if (unpriced !== null) return { param: 'model', detail: unpriced, droppable: false };
    return this.body?.kind === 'json' ? unsupportedBy(target, this.facts.operation, this.body) : null;
  }
}
