/** How much there is to read in a request, by what tokenizers treat differently; what a tokenizer would make of it is estimated from that. */
export interface PromptSize {
  /** Words in Latin letters, in tokens of OpenAI's newer tokenizers (o200k) that their number and length make probable. */
  readonly words: number;
  /** Numbers, signs and line breaks, likewise. */
  readonly signs: number;
  /** Blanks beyond one, as code is indented by: tokenizers differ in them most. */
  readonly blanks: number;
  /** Chinese, Japanese and Korean, in characters. */
  readonly cjk: number;
  /** Other scripts, in characters. */
  readonly other: number;
  /** Tokens of what is not text. */
  readonly fixed: number;
}

/** Tokens that a model makes of each. */
export interface TokenScales {
  readonly words: number;
  readonly signs: number;
  readonly blanks: number;
  readonly cjk: number;
  readonly other: number;
}

export interface ImageSize {
  /** Pixels; null: not told, because the image is somewhere else. */
  readonly width: number | null;
  readonly height: number | null;
  readonly low: boolean;
}

/** How a model counts: what `readFacts` is handed. */
export interface TokenCounter {
  readonly scales: TokenScales;
  imageTokens(image: ImageSize): number;
}

export function textTokens(size: PromptSize, scales: TokenScales): number {
  return (
    size.words * scales.words +
    size.signs * scales.signs +
    size.blanks * scales.blanks +
    size.cjk * scales.cjk +
    size.other * scales.other
  );
}
