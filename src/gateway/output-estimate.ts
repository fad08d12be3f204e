/** Answers before what was learned is believed. */
const BELIEVED_AFTER = 16;
/** An answer's weight in the mean; the older ones share the rest. */
const WEIGHT = 1 / 32;
/** Where nothing is known, and the client set no bound: a typical answer. */
const UNKNOWN_TOKENS = 512;

/**
 * How long a model's answers are on one route, learned from those it gave: what token limits reserve for the next one. It is
 * the mean, so that what some use beyond it and what others leave cancel out; the rest is settled, and an overrun owed.
 */
export class OutputEstimate {
  #answers = 0;
  #mean = 0;

  learn(outputTokens: number): void {
    this.#answers++;
    // Of the first ones the plain mean: none of them counts more than another.
    this.#mean += (outputTokens - this.#mean) * Math.max(WEIGHT, 1 / this.#answers);
  }

  /** Never above what the client lets it say; `maxOutputTokens` null: it set no bound. */
  tokens(maxOutputTokens: number | null): number {
    if (this.#answers < BELIEVED_AFTER) return maxOutputTokens ?? UNKNOWN_TOKENS;
    return Math.min(maxOutputTokens ?? Number.POSITIVE_INFINITY, Math.ceil(this.#mean));
  }
}
