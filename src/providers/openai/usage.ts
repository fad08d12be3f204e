import type { Usage } from '../../lib/usage.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';

/** Beyond any real answer; keeps an absurd figure from eating a tenant's limit for good. */
const MAX_TOKENS = 1_000_000_000;

/**
 * `usage` of chat, completions, embeddings (`prompt_tokens`, …) or Responses (`input_tokens`, …) in our meaning. null: none given.
 *
 * Two services leave reasoning out of `completion_tokens` and tell it by `total_tokens` only: xAI's chat
 * (https://docs.x.ai/docs/guides/reasoning, fixture xai/xai-text) and Gemini's OpenAI endpoint (fixture
 * gemini/chat-json-stop-tools-think). Both bill it as output, so the surplus of the total counts as output here.
 */
export function readUsage(value: unknown): Usage | null {
  if (!isObject(value)) return null;
  const given =
    value['prompt_tokens'] ??
    value['input_tokens'] ??
    value['completion_tokens'] ??
    value['output_tokens'] ??
    value['total_tokens'];
  if (typeof given !== 'number') return null;
  const inputTokens = tokens(value['prompt_tokens'] ?? value['input_tokens']);
  const counted = tokens(value['completion_tokens'] ?? value['output_tokens']);
  const surplus = Math.max(0, tokens(value['total_tokens']) - inputTokens - counted);
  // DeepSeek, Moonshot and Together tell what came from the cache in fields of their own.
  const cached =
    detail(value, 'prompt_tokens_details', 'input_tokens_details', 'cached_tokens') ??
    value['prompt_cache_hit_tokens'] ??
    value['cached_tokens'];
  const reasoning = detail(value, 'completion_tokens_details', 'output_tokens_details', 'reasoning_tokens');
  // OpenRouter (https://openrouter.ai/docs/features/prompt-caching) and OpenAI; Alibaba's explicit cache
  const written =
    detail(value, 'prompt_tokens_details', 'input_tokens_details', 'cache_write_tokens') ??
    detail(value, 'prompt_tokens_details', 'input_tokens_details', 'cache_creation_input_tokens');
  const outputTokens = Math.min(MAX_TOKENS, counted + surplus);
  // Azure's Grok counts cached tokens that are not part of the prompt (fixture azure-openai/chat-sse-stop-cache-usageopt).
  const cachedInputTokens = Math.min(inputTokens, tokens(cached));
  const cacheWriteTokens = Math.min(inputTokens - cachedInputTokens, tokens(written));
  return {
    inputTokens,
    outputTokens,
    cachedInputTokens,
    ...(cacheWriteTokens === 0 ? {} : { cacheWriteTokens }),
    reasoningTokens: Math.min(outputTokens, Math.max(surplus, tokens(reasoning))),
    estimated: false,
  };
}

function detail(usage: JsonObject, chatName: string, responsesName: string, field: string): unknown {
  const details = usage[chatName] ?? usage[responsesName];
  return isObject(details) ? details[field] : undefined;
}

function tokens(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(MAX_TOKENS, Math.trunc(value)) : 0;
}
