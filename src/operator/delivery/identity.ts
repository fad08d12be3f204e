/** Who holds a token, asked of the API server once in a while rather than with every request. */
import { hash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { TokenReview } from './delivery.ts';

/** A pod that is deleted keeps its token's power at most as long. */
const TRUSTED_FOR_MS = 60_000;
const REFUSED_FOR_MS = 5_000;
const MAX_REMEMBERED = 4_096;

export class Identities {
  readonly #review: (token: string) => Promise<TokenReview>;
  readonly #clock: Clock;
  /** By the token's hash; the oldest first. */
  readonly #known = new Map<string, { readonly review: Promise<TokenReview>; untilMs: number }>();

  constructor(review: (token: string) => Promise<TokenReview>, clock: Clock) {
    this.#review = review;
    this.#clock = clock;
  }

  /** Rejects where the API server cannot be asked. */
  async of(token: string): Promise<TokenReview> {
    const key = hash('sha256', token, 'hex');
    const known = this.#known.get(key);
    if (known !== undefined && this.#clock.nowMs() < known.untilMs) return known.review;
    this.#known.delete(key);
    const review = this.#review(token);
    const entry = { review, untilMs: Infinity };
    this.#known.set(key, entry);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_REMEMBERED) break;
      this.#known.delete(oldest);
    }
    try {
      const found = await review;
      entry.untilMs = this.#clock.nowMs() + (found.ok ? TRUSTED_FOR_MS : REFUSED_FOR_MS);
      return found;
    } catch (error) {
      if (this.#known.get(key) === entry) this.#known.delete(key);
      throw error;
    }
  }
}
