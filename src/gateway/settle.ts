import type { RequestFacts } from '../dialects/facts.ts';
import { formatUsd } from '../lib/money.ts';
import type { Operation } from '../lib/operation.ts';
import type { Usage } from '../lib/usage.ts';
import { costNanoUsd } from '../prices/cost.ts';
import type { StreamState } from '../providers/provider.ts';
import type { Pricing } from '../routetable/types.ts';

/** Characters of output to one token: the same rule of thumb as for prompts. */
const CHARS_PER_TOKEN = 4;

/** Whose answers are text that a model wrote. The size of a vector, a sound or a picture says nothing of tokens. */
const WRITING: ReadonlySet<Operation> = new Set(['chat', 'completions', 'responses', 'messages']);

/** What an answer probably used, where its provider did not say; marked as an estimate wherever it is told. */
export function estimateUsage(facts: RequestFacts, outputChars: number): Usage {
  return {
    inputTokens: facts.promptTokens,
    outputTokens: WRITING.has(facts.operation) ? Math.ceil(outputChars / CHARS_PER_TOKEN) : 0,
    cachedInputTokens: 0,
    reasoningTokens: 0,
    estimated: true,
  };
}

/** What a stream has used as far as it has come: its end, which alone tells what its output used, may never come. */
export function usedSoFar({ usage, outputUntold, outputChars }: StreamState): Usage | null {
  if (usage === null || outputUntold !== true) return usage;
  const outputTokens = Math.max(usage.outputTokens, Math.ceil(outputChars / CHARS_PER_TOKEN));
  return { ...usage, outputTokens, estimated: true };
}

const NOT_BILLED: ReadonlySet<Operation> = new Set(['count_tokens', 'moderations', 'files']);

/** False for what providers do for nothing. */
export function isBilled(operation: Operation): boolean {
  return !NOT_BILLED.has(operation);
}

/** null: the cost is unknown, because the price is, or (a picture, a sound) what was used. */
export function costOf(pricing: Pricing | null, usage: Usage): number | null {
  if (pricing === null || (usage.estimated && usage.inputTokens + usage.outputTokens === 0)) return null;
  return costNanoUsd(pricing, usage);
}

/** Said where it is unknown too: an absent cost would be taken for none. */
export function costHeader(nanoUsd: number | null): string {
  return nanoUsd === null ? 'unknown' : formatUsd(nanoUsd);
}

/** As `usage.cost` says it in JSON: US dollars, or null for an unknown cost. */
export function usageCost(nanoUsd: number | null): string {
  return nanoUsd === null ? 'null' : formatUsd(nanoUsd);
}
