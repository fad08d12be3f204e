import { textTokens, type ImageSize, type PromptSize, type TokenCounter, type TokenScales } from '../lib/prompt-size.ts';
import type { ProviderKind, Target } from '../routetable/types.ts';
import { imageTokens } from './image-tokens.ts';

/** Of the newest OpenAI tokenizer; Anthropic's makes more of the same text. */
const START: TokenScales = { words: 1, signs: 1, blanks: 0.04, cjk: 0.78, other: 0.4 };
const START_ANTHROPIC: TokenScales = { words: 1.15, signs: 1.15, blanks: 0.05, cjk: 1, other: 0.6 };

/** How much of what an answer tells is believed: all at first, then enough to follow a model that changes behind its name. */
const LAST_RATE = 0.02;
/** Beyond this a usage is about something else than the prompt: hidden instructions, tools of the provider's own, stored context. */
const CREDIBLE = 4;
/** A prompt of few tokens tells of the frame around it rather than of its text. */
const MIN_TOKENS = 16;

/** After so many answers one in a few is as good as all: what is learned then moves by LAST_RATE. */
const LEARN_ALL = 128;
const LEARN_ONE_IN = 8;

const MAX_MODELS = 5_000;

/** Learns, from the usage that comes back, how many tokens a model makes of text; one a pod. */
export class TokenLearner {
  readonly #models = new Map<string, LearnedCounter>();

  /** `clientModel` counts where the target has no model of its own. */
  of(target: Target, clientModel: string): LearnedCounter {
    const key = target.model === null ? `${target.upstreamId}#${clientModel}` : target.upstreamId;
    let found = this.#models.get(key);
    if (found === undefined) {
      if (this.#models.size >= MAX_MODELS) this.#models.clear();
      found = new LearnedCounter(target.provider, (target.model ?? clientModel).toLowerCase());
      this.#models.set(key, found);
    }
    return found;
  }
}

export class LearnedCounter implements TokenCounter {
  #scales: TokenScales;
  /** How many requests' worth of each has been seen. */
  readonly #evidence = { words: 0, signs: 0, blanks: 0, cjk: 0, other: 0 };
  #answers = 0;
  readonly #provider: ProviderKind;
  readonly #model: string;

  constructor(provider: ProviderKind, model: string) {
    this.#provider = provider;
    this.#model = model;
    this.#scales = provider === 'Anthropic' || model.includes('claude') ? START_ANTHROPIC : START;
  }

  get scales(): TokenScales {
    return this.#scales;
  }

  imageTokens(image: ImageSize): number {
    return imageTokens(this.#provider, this.#model, image);
  }

  /**
   * Each kind of text answers for its part of the error: what is mostly Chinese says nothing of code. `inputTokens`: as the provider
   * told them, cached ones included.
   */
  learn(size: PromptSize, inputTokens: number): void {
    if (this.#answers++ > LEARN_ALL && this.#answers % LEARN_ONE_IN !== 0) return;
    const expected = textTokens(size, this.#scales);
    const actual = inputTokens - size.fixed;
    // What is mostly pictures tells of how those are counted.
    if (expected < MIN_TOKENS || actual < MIN_TOKENS || size.fixed > expected) return;
    const ratio = actual / expected;
    if (ratio > CREDIBLE || ratio < 1 / CREDIBLE) return;
    this.#scales = {
      words: this.#step('words', size, ratio, expected),
      signs: this.#step('signs', size, ratio, expected),
      blanks: this.#step('blanks', size, ratio, expected),
      cjk: this.#step('cjk', size, ratio, expected),
      other: this.#step('other', size, ratio, expected),
    };
  }

  #step(kind: keyof TokenScales, size: PromptSize, ratio: number, expected: number): number {
    const scale = this.#scales[kind];
    const share = (size[kind] * scale) / expected;
    this.#evidence[kind] += share;
    return scale * ratio ** (share * Math.max(LAST_RATE, 1 / (1 + this.#evidence[kind])));
  }
}
