/** How those who speak OpenAI's dialect differ. A new one is a row, where there is something to say of it at all. */
import type { Operation } from '../../lib/operation.ts';

export interface Vendor {
  /** The end of its host's name. */
  readonly host: string;
  /** What it has no endpoint for, though its chat could answer. */
  readonly lacks: readonly Operation[];
  /** Where it takes back what its model thought (some refuse a conversation with calls that lacks it); absent: nowhere. */
  readonly thoughts?: 'reasoning_content' | 'reasoning';
  /** It takes Anthropic's prompt-cache markers. */
  readonly cacheMarkers?: true;
}

const KEEPING: readonly Operation[] = ['files', 'batches'];

/** Each by its API reference; who is not here is taken to have what OpenAI has, and says itself where it has not (404). */
const VENDORS: readonly Vendor[] = [
  // https://inference-docs.cerebras.ai/api-reference
  { host: 'api.cerebras.ai', lacks: ['responses'] },
  // https://platform.moonshot.ai/docs/api/chat
  { host: 'api.moonshot.ai', lacks: ['responses', 'completions'], thoughts: 'reasoning_content' },
  { host: 'api.moonshot.cn', lacks: ['responses', 'completions'], thoughts: 'reasoning_content' },
  // https://docs.z.ai/api-reference
  { host: 'api.z.ai', lacks: ['responses', 'completions'], thoughts: 'reasoning_content' },
  // https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
  { host: 'api.deepseek.com', lacks: ['responses', ...KEEPING], thoughts: 'reasoning_content' },
  // https://openrouter.ai/docs/features/prompt-caching, …/use-cases/reasoning-tokens
  { host: 'openrouter.ai', lacks: [...KEEPING], thoughts: 'reasoning', cacheMarkers: true },
  // https://docs.perplexity.ai/api-reference/chat-completions-post
  { host: 'api.perplexity.ai', lacks: ['responses', 'completions', ...KEEPING] },
  // https://docs.together.ai/reference
  { host: 'api.together.xyz', lacks: ['responses'] },
  { host: 'api.together.ai', lacks: ['responses'] },
  // https://ai.google.dev/gemini-api/docs/openai
  { host: 'generativelanguage.googleapis.com', lacks: ['responses', 'completions'] },
  // https://docs.claude.com/en/api/openai-sdk
  { host: 'api.anthropic.com', lacks: ['responses', 'completions', ...KEEPING] },
  // https://docs.cohere.com/docs/compatibility-api
  { host: 'api.cohere.ai', lacks: ['responses', 'completions', ...KEEPING] },
];

/** undefined: nothing is said of whoever is at this address. */
export function vendorAt(baseUrl: string): Vendor | undefined {
  const { hostname } = new URL(baseUrl);
  return VENDORS.find(({ host }) => hostname === host || hostname.endsWith(`.${host}`));
}

/** False: the operation goes by way of chat. */
export function serves(baseUrl: string, operation: Operation): boolean {
  return vendorAt(baseUrl)?.lacks.includes(operation) !== true;
}
