/** Why a model stopped, and when that is a failure. */
import type { Failure } from '../../lib/failure.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { failureOf, type ErrorOrigin, type Verdict } from '../shared/classify.ts';

/** Finish reasons (lower case) that mean that the answer failed. */
export type FinishRules = ReadonlyMap<string, Verdict>;

/** https://platform.openai.com/docs/api-reference/chat/object: the one failing finish reason of OpenAI and Azure. */
export const OPENAI_FINISHES: FinishRules = new Map([['content_filter', 'completion_filtered']]);

const MAX_REASON_CHARS = 64;

/** Words that compatible servers use for what OpenAI calls stop, length, tool_calls, content_filter. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['eos', 'stop'], // Together, fixture together/chat-json-stop-tools
  ['eos_token', 'stop'], // TGI
  ['end_turn', 'stop'], // Anthropic, behind gateways
  ['stop_sequence', 'stop'], // TGI, Anthropic
  ['model_length', 'length'], // Mistral, fixture mistral/chat-finish-model-length-doc
  ['max_tokens', 'length'], // Anthropic, Gemini
  ['model_context_window_exceeded', 'length'], // Z.ai, https://docs.z.ai/api-reference/llm/chat-completion
  ['tool_use', 'tool_calls'], // Anthropic
  ['sensitive', 'content_filter'], // Z.ai
]);

export function normalFinish(raw: string): string {
  const known = SYNONYMS.get(raw.toLowerCase());
  return known ?? (raw.length > MAX_REASON_CHARS ? raw.slice(0, MAX_REASON_CHARS) : raw);
}

/** `native`: what the model behind an aggregator said itself, which can be worse than what it was translated to; ''. */
export function finishVerdict(rules: FinishRules, raw: string, native: string): Verdict | null {
  return rules.get(raw.toLowerCase()) ?? (native === '' ? undefined : rules.get(native.toLowerCase())) ?? null;
}

export function finishFailure(verdict: Verdict, reason: string, categories: readonly string[], origin: ErrorOrigin): Failure {
  const code = reason === '' ? 'content_filter_results' : reason;
  return failureOf(verdict, { ...NO_FACTS, code, message: `the answer ended with ${code}`, categories }, origin);
}
