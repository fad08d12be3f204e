import type { RequestFacts } from '../dialects/facts.ts';
import type { Operation } from '../lib/operation.ts';
import type { Usage } from '../lib/usage.ts';
import type { Target } from '../routetable/types.ts';

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

/** null: the cost is unknown, because the target's price is, or (a picture, a sound) what was used. */
export function costMicroUsd(target: Target, usage: Usage): number | null {
  const { pricing } = target;
  if (pricing === null || (usage.estimated && usage.inputTokens + usage.outputTokens === 0)) return null;
  const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens);
  return (
    fresh * pricing.inputMicroUsd +
    usage.cachedInputTokens * pricing.cachedInputMicroUsd +
    usage.outputTokens * pricing.outputMicroUsd
  );
}
