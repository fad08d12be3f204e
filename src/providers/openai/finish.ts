/** Why a model stopped, and when that is a failure. */
import type { Failure } from '../../lib/failure.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { failureOf, type ErrorOrigin, type Verdict } from '../shared/classify.ts';

/** Finish reasons (lower case) that mean that the answer failed. */
export type FinishRules = ReadonlyMap<string, Verdict>;

/** https://platform.openai.com/docs/api-reference/chat/object: the one failing finish reason of OpenAI and Azure. */
export const OPENAI_FINISHES: FinishRules = new Map([['content_filter', 'completion_filtered']]);

const MAX_REASON_CHARS = 64;

/** OpenAI's words, and those that compatible servers use for what it calls stop, length, tool_calls, content_filter. */
const KNOWN: ReadonlyMap<string, string> = new Map([
  ['stop', 'stop'],
  ['length', 'length'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'function_call'],
  ['content_filter', 'content_filter'],
  ['eos', 'stop'], // Together, fixture together/chat-json-stop-tools
  ['eos_token', 'stop'], // TGI, watsonx
  ['end_turn', 'stop'], // Anthropic, behind gateways
  ['pause_turn', 'stop'],
  ['stop_sequence', 'stop'], // TGI, Anthropic
  ['stop_token', 'stop'],
  ['complete', 'stop'], // Cohere, behind gateways
  ['done', 'stop'], // Cerebras, https://github.com/Cerebras/cerebras-cloud-sdk-python
  ['repetition', 'stop'], // vLLM, https://docs.vllm.ai/en/latest/api/vllm/v1/engine/
  ['model_length', 'length'], // Mistral, fixture mistral/chat-finish-model-length-doc
  ['max_tokens', 'length'], // Anthropic, Gemini
  ['max_output_tokens', 'length'],
  ['token_limit', 'length'], // watsonx
  ['model_context_window_exceeded', 'length'], // Z.ai, https://docs.z.ai/api-reference/llm/chat-completion
  ['tool_use', 'tool_calls'], // Anthropic
  ['tool_call', 'tool_calls'], // Cohere, behind gateways
  ['sensitive', 'content_filter'], // Z.ai
]);

export function normalFinish(raw: string): string {
  const known = KNOWN.get(raw.toLowerCase());
  return known ?? (raw.length > MAX_REASON_CHARS ? raw.slice(0, MAX_REASON_CHARS) : raw);
}

/**
 * What nobody knows is no good end. `native`: what the model behind an aggregator said itself, which can be worse than what it was
 * translated to; ''.
 */
export function finishVerdict(rules: FinishRules, raw: string, native: string): Verdict | null {
  const failed = rules.get(raw.toLowerCase()) ?? (native === '' ? undefined : rules.get(native.toLowerCase()));
  return failed ?? (raw === '' || KNOWN.has(raw.toLowerCase()) ? null : 'malformed');
}

export function finishFailure(verdict: Verdict, reason: string, categories: readonly string[], origin: ErrorOrigin): Failure {
  const code = reason === '' ? 'content_filter_results' : reason;
  return failureOf(verdict, { ...NO_FACTS, code, message: `the answer ended with ${code}`, categories }, origin);
}
