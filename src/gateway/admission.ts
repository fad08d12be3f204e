import type { Decision, LimitedRequest, Rejection, Reservation } from '../limits/limiter.ts';
import type { Limit } from '../routetable/types.ts';
import type { Choice } from './choice.ts';
import type { GatewayError } from './errors.ts';
import { limitError } from './explanations.ts';
import type { Exchange } from './http1/exchange.ts';
import type { LoadedRoute } from './loaded-table.ts';
import type { RequestContext } from './request-context.ts';
import type { Spending } from './spending.ts';

/** What is left of a budget may be gone when it is asked for. */
const CLAMPS = 3;

/** The part of a budget with which nothing can be done any more. */
const USED_UP_AT = 0.05;

const UNCHECKED: Omit<GatewayError, 'retryAfterMs'> = {
  code: 'limits_unavailable',
  message:
    'The limits of this route cannot be checked right now, and it serves no request that is not checked; try again shortly.',
};

export interface AdmissionEnd {
  /** The request may go; where it did not live to see it, it gives back. */
  admitted(reservation: Reservation): void;
  refused(error: GatewayError): void;
}

/**
 * Holds one request against its route's limits: reserves what it can use at most, and where a limit has no room, does what the limit
 * says: another target answers, the answer is made shorter by what is left of a budget, or the request is refused.
 */
export class Admission {
  readonly #run: RequestContext;
  readonly #loaded: LoadedRoute;
  readonly #choice: Choice;
  readonly #end: AdmissionEnd;
  #limits: readonly Limit[];
  #spending: Spending | null = null;
  #nanoUsd = 0;
  #clamps = 0;

  constructor(run: RequestContext, loaded: LoadedRoute, choice: Choice, end: AdmissionEnd) {
    this.#run = run;
    this.#loaded = loaded;
    this.#choice = choice;
    this.#end = end;
    this.#limits = loaded.limits;
  }

  start(): void {
    this.#estimateCost();
    this.#reserve();
  }

  /** No request may cost more than a whole budget. */
  #estimateCost(): void {
    const { budgetNanoUsd } = this.#loaded;
    if (budgetNanoUsd === null) return;
    this.#spending = this.#choice.spending();
    this.#nanoUsd = this.#spending.costNanoUsd(this.#spending.outputTokens);
    if (this.#nanoUsd > budgetNanoUsd) this.#clamp(budgetNanoUsd);
  }

  #reserve(): void {
    const { reservedTokens } = this.#choice;
    const request = new Limited(this.#run, this.#loaded.route.id, this.#limits, reservedTokens, this.#nanoUsd);
    const decision = this.#run.core.limiter.reserve(request);
    if (decision instanceof Promise) {
      decision.then((decided) => this.#decided(decided)).catch((error: unknown) => this.#run.fault(error));
    } else {
      this.#decided(decision);
    }
  }

  #decided(decision: Decision): void {
    if (decision.ok) this.#admitted(decision);
    else if (decision.reason === 'unavailable') this.#end.refused({ ...UNCHECKED, retryAfterMs: decision.retryAfterMs });
    else if (this.#downgrade(decision) || this.#clampTo(decision.affordableNanoUsd)) this.#reserve();
    else this.#refuse(decision);
  }

  #admitted(reservation: Reservation): void {
    if (this.#choice.allowance.maxOutputTokens !== null) this.#loaded.metrics.maxTokensClamped();
    this.#end.admitted(reservation);
  }

  #tellExhausted({ exceeded, left }: Rejection): void {
    const { core, caller } = this.#run;
    for (const [i, index] of exceeded.entries()) {
      const limit = this.#limits[index];
      // One large request that does not fit into what is left is not the end of a budget.
      const usedUp = limit !== undefined && (left[i] ?? 0) <= limit.limit * USED_UP_AT;
      if (usedUp && limit.unit === 'USD') core.budgetExhausted(this.#loaded.route.id, limit, caller.tenant);
    }
  }

  /** Where every limit that refuses says so. Those that count no money are not asked again: the request is beyond them. */
  #downgrade(rejection: Rejection): boolean {
    const { exceeded } = rejection;
    const limits = exceeded.flatMap((index) => this.#limits[index] ?? []);
    const [first] = limits;
    if (first?.downgradeTo === undefined || limits.some(({ downgradeTo }) => downgradeTo === undefined)) return false;
    if (!this.#choice.downgrade(first.downgradeTo, first.name)) return false;
    this.#tellExhausted(rejection);
    this.#loaded.metrics.downgraded(first.name);
    this.#limits = this.#limits.filter((limit) => limit.unit === 'USD' || !limits.includes(limit));
    this.#estimateCost();
    return true;
  }

  #clampTo(nanoUsd: number | null): boolean {
    return nanoUsd !== null && this.#clamps++ < CLAMPS && this.#clamp(nanoUsd);
  }

  #clamp(nanoUsd: number): boolean {
    const spending = this.#spending;
    const tokens = spending?.outputTokensFor(nanoUsd) ?? null;
    if (spending === null || tokens === null || tokens >= spending.outputTokens) return false;
    this.#choice.allowance.maxOutputTokens = tokens;
    this.#nanoUsd = spending.costNanoUsd(tokens);
    return true;
  }

  #refuse(rejection: Rejection): void {
    this.#tellExhausted(rejection);
    this.#loaded.metrics.limited(rejection.limitName);
    this.#end.refused(limitError(rejection));
  }
}

/** What the limiter reads of a request. */
class Limited implements LimitedRequest {
  readonly routeId: string;
  readonly limits: readonly Limit[];
  readonly apiKeyId: string;
  readonly tenant: string;
  readonly model: string;
  readonly tokens: number;
  readonly nanoUsd: number;
  readonly #exchange: Exchange;

  constructor(run: RequestContext, routeId: string, limits: readonly Limit[], tokens: number, nanoUsd: number) {
    this.routeId = routeId;
    this.limits = limits;
    this.apiKeyId = run.caller.keyId;
    this.tenant = run.caller.tenant;
    this.model = run.model;
    this.tokens = tokens;
    this.nanoUsd = nanoUsd;
    this.#exchange = run.exchange;
  }

  header(name: string): string | undefined {
    return this.#exchange.headers[name];
  }
}
