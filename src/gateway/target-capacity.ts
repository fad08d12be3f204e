import { formatDuration } from '../lib/duration.ts';
import type { Decision, LimitedRequest, Limiter, Rejection } from '../limits/limiter.ts';
import type { Limit, Target } from '../routetable/types.ts';

const MINUTE_MS = 60_000;

/**
 * What a target's provider grants it (`capacity`), counted by attempts over all pods and routes as limits are. Who has no room here
 * goes elsewhere; where there is nowhere else, the provider decides.
 */
export class TargetCapacity {
  readonly #limits: readonly Limit[];
  /** Of the credential, so that all routes that call the provider as the same caller share one count. */
  readonly #home: string;
  readonly #limiter: () => Limiter;

  private constructor(home: string, limits: readonly Limit[], limiter: () => Limiter) {
    this.#home = home;
    this.#limits = limits;
    this.#limiter = limiter;
  }

  /** null: nothing is said of it. */
  static of({ capacity, credentialId }: Target, limiter: () => Limiter): TargetCapacity | null {
    const limits = limitsOf(capacity);
    return limits.length === 0 ? null : new TargetCapacity(`capacity of ${credentialId}`, limits, limiter);
  }

  /** Why it has no room for an attempt of so many tokens, as far as that is known without asking Redis; null: it may. */
  full(tokens: number): string | null {
    const refusal = this.#limiter().refusal(this.#asked(tokens));
    return refusal === null ? null : reasonOf(refusal);
  }

  /** For one attempt: to be settled, or released, at its end. */
  reserve(tokens: number): Decision | Promise<Decision> {
    return this.#limiter().reserve(this.#asked(tokens));
  }

  #asked(tokens: number): LimitedRequest {
    return { routeId: this.#home, limits: this.#limits, apiKeyId: '', tenant: '', model: '', tokens, header: noHeader };
  }
}

function limitsOf({ requestsPerMinute, tokensPerMinute, concurrency }: Target['capacity']): readonly Limit[] {
  const limits: Limit[] = [];
  const add = (name: string, unit: Limit['unit'], limit: number | null, windowMs: number | null): void => {
    if (limit !== null) limits.push({ name, per: [], unit, limit, windowMs });
  };
  add('requestsPerMinute', 'Requests', requestsPerMinute, MINUTE_MS);
  add('tokensPerMinute', 'Tokens', tokensPerMinute, MINUTE_MS);
  add('concurrency', 'Concurrency', concurrency, null);
  return limits;
}

function noHeader(): undefined {
  return undefined;
}

/** For a person. */
export function reasonOf({ limitName, unit, limit, impossible, retryAfterMs }: Rejection): string {
  const capacity = `its capacity.${limitName} of ${limit}`;
  if (impossible) return `the request alone is more than ${capacity}`;
  if (unit === 'Concurrency') return `${capacity} is in use`;
  const waitMs = retryAfterMs > 1_000 ? Math.ceil(retryAfterMs / 1_000) * 1_000 : retryAfterMs;
  return `${capacity} is used up, for another ${formatDuration(waitMs)}`;
}
