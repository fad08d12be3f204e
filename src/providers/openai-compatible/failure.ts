/**
 * Failures of those who speak OpenAI's dialect in their own way. One table for all of them: who is on the other end is not
 * configured, so a row is told by the shape of the error; each row names its vendor. Where a vendor leaves only text, the row
 * is anchored at the text's beginning. Numbers are codes in the body, not statuses.
 */
import { STATUS_RULES, TYPE_RULES, type ErrorRule, type Verdict } from '../shared/classify.ts';
import { OPENAI_RULES, type FailureTable } from '../openai/failure.ts';
import type { FinishRules } from '../openai/finish.ts';

const FILTERS: readonly ErrorRule[] = [
  // DeepSeek, two envelopes: deepseek/chat-400-content-exists-risk-doc, …-detail-doc
  { message: /^Content Exists Risk$/, verdict: 'prompt_filtered' },
  // xAI, a 403 whose code is that of real access errors: xai/chat-403-usage-guidelines-doc, xai/chat-403-safety-check-bio-doc
  { message: /^Content violates usage guidelines\./, verdict: 'prompt_filtered' },
  // OpenRouter, a 403 with metadata.reasons: openrouter/chat-403-moderation-doc
  { status: [403], categories: true, verdict: 'prompt_filtered' },
  // Alibaba: https://www.alibabacloud.com/help/en/model-studio/error-code
  {
    names: ['data_inspection_failed', 'datainspectionfailed'],
    message: /^(?:<\d+> [\w.]+: )?Output /,
    verdict: 'completion_filtered',
  },
  { names: ['data_inspection_failed', 'datainspectionfailed'], verdict: 'prompt_filtered' },
  // Z.ai: https://docs.z.ai/api-reference/api-code
  { names: ['1301'], verdict: 'prompt_filtered' },
  // New API and its kin: https://doc.tokendog.io/zh/api-reference/guide/error-codes
  { names: ['sensitive_words_detected', 'prompt_blocked'], verdict: 'prompt_filtered' },
  // An aggregator's raw upstream error may be Azure's
  { names: ['responsibleaipolicyviolation'], verdict: 'prompt_filtered' },
];

const QUOTAS: readonly ErrorRule[] = [
  // Alibaba uses OpenAI's name for a limit per minute: "Throttling.AllocationQuota / insufficient_quota", https://www.alibabacloud.com/help/en/model-studio/error-code
  { names: ['insufficient_quota'], message: /^Allocated quota exceeded/, verdict: 'rate_limited' },
  // Moonshot: https://platform.kimi.ai/docs/api/errors
  { names: ['exceeded_current_quota_error'], verdict: 'quota_exhausted' },
  // Alibaba, a 400
  { names: ['arrearage'], verdict: 'quota_exhausted' },
  // Z.ai: in arrears; the plan's allowance is used up until a date, or has ended
  { names: ['1113', '1308', '1309', '1310'], verdict: 'quota_exhausted' },
  // xAI, a 403 or 429: https://github.com/continuedev/continue/issues/10373, https://github.com/Wei-Shaw/sub2api/issues/4069
  {
    message: /^Your (?:newly created )?team [\w-]{0,64} ?(?:has either used all available credits|doesn't have any credits)/,
    verdict: 'quota_exhausted',
  },
  { message: /^You have run out of credits /, verdict: 'quota_exhausted' },
  // New API and its kin
  { names: ['insufficient_user_quota', 'pre_consume_token_quota_failed'], verdict: 'quota_exhausted' },
  // OpenRouter, a 403: the key's own spending limit, https://github.com/gptme/gptme/issues/1449
  { status: [403], message: /^Key limit exceeded/, verdict: 'quota_exhausted' },
];

const CONTEXT: readonly ErrorRule[] = [
  // vLLM ≥ 0.16: vllm/chat-400-context-v016-doc
  {
    message: /^You passed \d+ input tokens and requested \d+ output tokens\. However, the model's context length is only \d/,
    verdict: 'context_exceeded',
  },
  // vLLM: https://github.com/xorbitsai/inference/issues/3785, https://github.com/tulerfeng/Video-R1/issues/102
  {
    message: /^The (?:decoder |encoder )?prompt \((?:total )?length \d+\) is (?:longer than the maximum|too long to fit)/,
    verdict: 'context_exceeded',
  },
  {
    message:
      /^'?max_(?:completion_)?tokens'?(?: or 'max_completion_tokens')? is too large: \d+\. ?This model's maximum context length is \d/,
    verdict: 'context_exceeded',
  },
  // SGLang (python/sglang/srt/managers/tokenizer_manager.py), Together
  { message: /^Requested token count exceeds the model's maximum context length of \d/, verdict: 'context_exceeded' },
  { message: /^The input \(\d+ tokens\) is longer than the model's context length/, verdict: 'context_exceeded' },
  {
    message:
      /^Input length \(?\d+(?: tokens)?\)? exceeds (?:the maximum allowed (?:input )?length|model's maximum context length)/,
    verdict: 'context_exceeded',
  },
  // TGI, and Together's older form of it: https://github.com/huggingface/chat-ui/issues/340, https://github.com/h2oai/h2ogpt/issues/373
  {
    message: /^(?:Input validation error: )?`inputs` (?:tokens \+ `max_new_tokens` must be <=|must have less than) \d/,
    verdict: 'context_exceeded',
  },
  // llama.cpp (tools/server/server-context.cpp), LM Studio: https://github.com/cline/cline/issues/3664
  { names: ['exceed_context_size_error'], verdict: 'context_exceeded' },
  { message: /^(?:the )?request (?:\(\d+ tokens\) )?exceeds the available context size/i, verdict: 'context_exceeded' },
  { message: /^Trying to keep the first \d+ tokens when context the overflows/, verdict: 'context_exceeded' },
  // Ollama: ollama/chat-json-400-context-exceeded
  { message: /^prompt too long; exceeded max context length/, verdict: 'context_exceeded' },
  // Perplexity: perplexity/chat-json-400-context-exceeded
  { names: ['too_many_prompt_tokens'], verdict: 'context_exceeded' },
  // Mistral: https://docs.mistral.ai/resources/known-limitations
  {
    message: /^Prompt contains \d+ tokens(?: and \d+ draft tokens)?, too large for model with \d+ maximum context length/,
    verdict: 'context_exceeded',
  },
  // Fireworks: https://github.com/langchain-ai/langchain/pull/37457
  { message: /^The prompt is too long: \d+, model maximum context length: \d/, verdict: 'context_exceeded' },
  // Groq, Cerebras, where the code is missing
  { message: /^Please reduce the length of the messages or completion/, verdict: 'context_exceeded' },
  // Moonshot: https://platform.kimi.ai/docs/api/errors
  {
    message: /^(?:Invalid request: )?(?:Your request exceeded model token limit|Input token length too long)/,
    verdict: 'context_exceeded',
  },
  // Alibaba
  { message: /^(?:<\d+> [\w.]+: )?Range of input length should be \[/, verdict: 'context_exceeded' },
  // Z.ai
  { names: ['1261'], verdict: 'context_exceeded' },
  // GitHub Models, a 413: https://github.com/actions/ai-inference/issues/128
  { names: ['tokens_limit_reached'], verdict: 'context_exceeded' },
  // Gemini's OpenAI endpoint: https://github.com/google-gemini/gemini-cli/issues/15184
  { message: /^The input token count (?:\(\d+\) )?exceeds the maximum number of tokens allowed/, verdict: 'context_exceeded' },
];

const OTHERS: readonly ErrorRule[] = [
  // Groq: the model's own output did not fit the tools or the schema, groq/chat-json-400-malformed-response-tools, https://console.groq.com/docs/structured-outputs
  { names: ['tool_use_failed', 'json_validate_failed'], verdict: 'malformed' },
  // Groq flex: https://console.groq.com/docs/flex-processing
  { status: [498], verdict: 'overloaded' },
  // Mistral, a 429 or 503 about its own capacity: mistral/chat-429-service-tier-capacity-doc, https://github.com/BerriAI/litellm/pull/25078
  { message: /^Service tier capacity exceeded for this model/, verdict: 'overloaded' },
  // Moonshot, a 429: https://platform.kimi.ai/docs/api/errors
  { names: ['engine_overloaded_error'], verdict: 'overloaded' },
  { names: ['rate_limit_reached_error'], verdict: 'rate_limited' },
  // Cerebras, a 429 about its queue: https://github.com/sandialabs/atlas-ui-3/issues/111
  { names: ['queue_exceeded'], verdict: 'overloaded' },
  // Z.ai: the model is at capacity; limits of concurrency and frequency; no such model; who is asking; its own network
  { names: ['1312'], verdict: 'overloaded' },
  { names: ['1302', '1303', '1304', '1305'], verdict: 'rate_limited' },
  { names: ['1211'], verdict: 'not_found' },
  { names: ['1001', '1002', '1003', '1004'], verdict: 'auth' },
  { names: ['1234'], verdict: 'server_error' },
  // xAI, a 400 for a wrong key: https://github.com/continuedev/continue/issues/10778
  { status: [400], message: /^Incorrect API key provided/, verdict: 'auth' },
  // Gemini's OpenAI endpoint, a 400 for a wrong key: vertex/vertexai-streaming-failure-api-key
  { names: ['api_key_invalid'], verdict: 'auth' },
  // Google's canonical codes, where no status says it: https://google.aip.dev/193
  { names: ['resource_exhausted'], verdict: 'rate_limited' },
  { names: ['unavailable'], verdict: 'overloaded' },
];

export const COMPATIBLE_RULES: readonly ErrorRule[] = [...FILTERS, ...QUOTAS, ...CONTEXT, ...OTHERS];

/** Finish reasons (lower case) that are failures, `native_finish_reason` of OpenRouter included. */
const COMPATIBLE_FINISHES: FinishRules = new Map<string, Verdict>([
  ['content_filter', 'completion_filtered'],
  // Z.ai: https://docs.z.ai/api-reference/llm/chat-completion
  ['sensitive', 'completion_filtered'],
  ['network_error', 'server_error'], // also openrouter/chat-stream-native-finish-network-error-doc
  // DeepSeek: deepseek/chat-finish-insufficient-system-resource-doc
  ['insufficient_system_resource', 'overloaded'],
  // Mistral, OpenRouter: mistral/chat-finish-error-doc, openrouter/chat-stream-mid-error-doc; vLLM and SGLang: `abort`
  ['error', 'server_error'],
  ['abort', 'server_error'],
  // OpenRouter's native reasons of Gemini, Anthropic and Bedrock: openrouter/chat-finish-content-filter-native-doc
  ['safety', 'completion_filtered'],
  ['prohibited_content', 'completion_filtered'],
  ['blocklist', 'completion_filtered'],
  ['recitation', 'completion_filtered'],
  ['spii', 'completion_filtered'],
  ['image_safety', 'completion_filtered'],
  ['refusal', 'completion_filtered'],
  ['guardrail_intervened', 'completion_filtered'],
  ['content_filtered', 'completion_filtered'],
]);

export const COMPATIBLE_FAILURES: FailureTable = {
  errors: [...COMPATIBLE_RULES, ...OPENAI_RULES, ...STATUS_RULES, ...TYPE_RULES],
  finishes: COMPATIBLE_FINISHES,
};
