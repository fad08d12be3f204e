/** Who holds a token, asked of the API server once in a while rather than with every request. */
import { hash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { TokenReview } from './delivery.ts';
import { RequestRefused } from './exchange.ts';

/** A pod that is deleted keeps its token's power at most as long. */
const TRUSTED_FOR_MS = 60_000;
const REFUSED_FOR_MS = 5_000;
const MAX_REMEMBERED = 4_096;
/** Tokens of one address that are refused or under review; above the number of pods that come back at once from behind one. */
const MAX_DOUBTED = 256;
/** So often one of them is forgiven. */
const FORGIVEN_EVERY_MS = 1_000;

interface Doubt {
  tokens: number;
  /** Monotonic; of which moment `tokens` is. */
  atMs: number;
}

export class Identities {
  readonly #review: (token: string) => Promise<TokenReview>;
  readonly #clock: Clock;
  /** All by the token's hash, the oldest first. Apart, so that tokens that anybody makes up drive out no pod's. */
  readonly #trusted = new Map<string, { readonly review: TokenReview; readonly untilMs: number }>();
  readonly #refused = new Map<string, { readonly review: TokenReview; readonly untilMs: number }>();
  readonly #asked = new Map<string, Promise<TokenReview>>();
  /** By address. */
  readonly #doubts = new Map<string, Doubt>();

  constructor(review: (token: string) => Promise<TokenReview>, clock: Clock) {
    this.#review = review;
    this.#clock = clock;
  }

  /**
   * `from`: the address of whoever shows it. Rejects where the API server cannot be asked, and with RequestRefused where that address
   * has shown so many bad tokens that it is not asked about another. One that was good is always asked about again.
   */
  async of(token: string, from: string): Promise<TokenReview> {
    const key = hash('sha256', token, 'hex');
    const known = this.#trusted.get(key) ?? this.#refused.get(key);
    if (known !== undefined && this.#clock.nowMs() < known.untilMs) return known.review;
    let asked = this.#asked.get(key);
    if (asked === undefined) {
      asked = this.#ask(token, key, from).finally(() => this.#asked.delete(key));
      this.#asked.set(key, asked);
    }
    return asked;
  }

  async #ask(token: string, key: string, from: string): Promise<TokenReview> {
    const isDoubted = !this.#trusted.has(key);
    if (isDoubted) this.#doubt(from);
    try {
      const review = await this.#review(token);
      this.#trusted.delete(key);
      this.#refused.delete(key);
      const forMs = review.ok ? TRUSTED_FOR_MS : REFUSED_FOR_MS;
      remember(review.ok ? this.#trusted : this.#refused, key, { review, untilMs: this.#clock.nowMs() + forMs });
      if (isDoubted && review.ok) this.#clear(from);
      return review;
    } catch (error) {
      // That tells nothing of the token.
      if (isDoubted) this.#clear(from);
      throw error;
    }
  }

  #doubt(from: string): void {
    const atMs = this.#clock.nowMs();
    const before = this.#doubts.get(from) ?? { tokens: 0, atMs };
    const tokens = Math.max(0, before.tokens - (atMs - before.atMs) / FORGIVEN_EVERY_MS);
    if (tokens + 1 > MAX_DOUBTED)
      throw new RequestRefused(429, `${MAX_DOUBTED} tokens from ${from} were refused or are under review: try again in a second`);
    this.#doubts.delete(from);
    remember(this.#doubts, from, { tokens: tokens + 1, atMs });
  }

  #clear(from: string): void {
    const doubt = this.#doubts.get(from);
    if (doubt !== undefined) doubt.tokens = Math.max(0, doubt.tokens - 1);
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= MAX_REMEMBERED) break;
    map.delete(oldest);
  }
}
