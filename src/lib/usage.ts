/** Tokens of one answer in OpenAI's meaning: `input` includes cached tokens, `output` includes reasoning. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedInputTokens: number;
  readonly reasoningTokens: number;
  /** Part of the input that was written into the provider's prompt cache; absent where the provider does not tell. */
  readonly cacheWriteTokens?: number;
  /** Part of `cacheWriteTokens` that is kept for an hour, which costs more. */
  readonly cacheWriteHourTokens?: number;
  /** True where the provider gave none and these are our estimate. */
  readonly estimated: boolean;
}
