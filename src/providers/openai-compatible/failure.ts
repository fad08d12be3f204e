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
  {
    names: ['data_inspection_failed', 'datainspectionfailed'],
    message: /^(?:<\d+> [\w.]+: )?Input or output /,
    verdict: 'filtered',
  },
  { names: ['data_inspection_failed', 'datainspectionfailed'], verdict: 'prompt_filtered' },
  // Z.ai: https://docs.z.ai/api-reference/api-code
  { names: ['1301'], verdict: 'prompt_filtered' },
  // Volcengine: https://www.volcengine.com/docs/82379/1299023; a kind of content may follow, behind a dot
  {
    names: [
      'outputtextsensitivecontentdetected',
      'outputimagesensitivecontentdetected',
      'outputtextriskdetection',
      'outputimageriskdetection',
    ],
    verdict: 'completion_filtered',
  },
  {
    names: [
      'sensitivecontentdetected',
      'inputtextsensitivecontentdetected',
      'inputimagesensitivecontentdetected',
      'inputtextriskdetection',
      'inputimageriskdetection',
    ],
    verdict: 'prompt_filtered',
  },
  // MiniMax, under HTTP 200: https://platform.minimax.io/docs/api-reference/errorcode
  { names: ['minimax_1026'], verdict: 'prompt_filtered' },
  { names: ['minimax_1027'], verdict: 'completion_filtered' },
  // … and as a 422: https://github.com/router-for-me/CLIProxyAPI
  { message: /^input new_sensitive\b/, verdict: 'prompt_filtered' },
  { message: /^output new_sensitive\b/, verdict: 'completion_filtered' },
  // StepFun, a 451 that does not say on which side: https://platform.stepfun.com/docs/api-reference/errors
  { names: ['censorship_blocked'], verdict: 'filtered' },
  // LiteLLM's proxy names its own exception before what the upstream said: https://docs.litellm.ai/docs/exception_mapping
  { message: /^litellm\.ContentPolicyViolationError: /, verdict: 'filtered' },
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
  // Alibaba, 400s, 403s and 429s
  {
    names: ['arrearage', 'allocationquota.freetieronly', 'prepaidbilloverdue', 'postpaidbilloverdue', 'commoditynotpurchased'],
    verdict: 'quota_exhausted',
  },
  // Z.ai: in arrears; the day's calls are used up; the plan's allowance is used up until a date, or has ended
  { names: ['1113', '1304', '1308', '1309', '1310'], verdict: 'quota_exhausted' },
  // xAI, a 403 or 429: https://github.com/continuedev/continue/issues/10373, https://github.com/Wei-Shaw/sub2api/issues/4069
  {
    message: /^Your (?:newly created )?team [\w-]{0,64} ?(?:has either used all available credits|doesn't have any credits)/,
    verdict: 'quota_exhausted',
  },
  { message: /^You have run out of credits /, verdict: 'quota_exhausted' },
  // Groq, a 400: https://console.groq.com/docs/spend-limits
  { names: ['blocked_api_access'], verdict: 'quota_exhausted' },
  // Fireworks, a 412: https://docs.fireworks.ai/guides/inference-error-codes
  {
    message: /^Account [\w-]{1,64} is suspended, possibly due to reaching the monthly spending limit/,
    verdict: 'quota_exhausted',
  },
  // Volcengine: in arrears; a limit that the account set itself; a plan's or a trial's allowance
  { names: ['accountoverdueerror', 'setlimitexceeded', 'accountquotaexceeded', 'quotaexceeded'], verdict: 'quota_exhausted' },
  // SiliconFlow (https://docs.siliconflow.cn/en/faqs/error-code), MiniMax: no balance, a plan's allowance
  { names: ['30001', 'minimax_1008', 'minimax_2056'], verdict: 'quota_exhausted' },
  // MiniMax, as 429s
  { message: /^(?:insufficient balance|(?:Token Plan )?usage limit exceeded)\b/, verdict: 'quota_exhausted' },
  // Cloudflare, a 429: https://developers.cloudflare.com/workers-ai/platform/errors/
  { message: /^(?:AiError: |\d{4}: ){0,3}you have used up your daily free allocation/i, verdict: 'quota_exhausted' },
  // OpenRouter's free models, a 429: https://openrouter.ai/docs/api/reference/limits
  { message: /^Rate limit exceeded: free-models-per-day/, verdict: 'quota_exhausted' },
  // Hugging Face: https://huggingface.co/docs/inference-providers/pricing
  { message: /^You have exceeded your monthly included credits/, verdict: 'quota_exhausted' },
  // Ollama's cloud, a 429: https://github.com/continuedev/continue/issues/11444
  {
    message: /^you(?:'ve| have| \([\w.-]{1,64}\) have) reached your (?:hourly|session|daily|weekly|monthly) usage limit/,
    verdict: 'quota_exhausted',
  },
  // watsonx, a 403: https://cloud.ibm.com/apidocs/watsonx-ai
  { names: ['token_quota_reached'], verdict: 'quota_exhausted' },
  // Tencent: https://cloud.tencent.com/document/api/1729/101838
  {
    names: [
      'failedoperation.resourcepackexhausted',
      'failedoperation.freeresourcepackexhausted',
      'resourceunavailable.lowbalance',
      'resourceunavailable.inarrears',
    ],
    verdict: 'quota_exhausted',
  },
  // Novita, a 403; LiteLLM's proxy, a 400 or 429
  { names: ['not_enough_balance', 'budget_exceeded'], verdict: 'quota_exhausted' },
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
      /^Input length \(?\d+(?: tokens)?\)? exceeds (?:the maximum (?:allowed )?(?:input )?length|model's maximum context length)/,
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
  {
    message:
      /^(?:Trying to keep the first \d+ tokens when context the overflows|The number of tokens to keep from the initial prompt is greater than the context length)/,
    verdict: 'context_exceeded',
  },
  // Ollama: ollama/chat-json-400-context-exceeded
  {
    message: /^(?:prompt too long; exceeded max context length|the input length exceeds the context length)/,
    verdict: 'context_exceeded',
  },
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
  // GitHub Copilot, with a code and without: https://github.com/jjleng/copilot-more/issues/35
  { message: /^prompt token count of \d+ exceeds the limit of \d/, verdict: 'context_exceeded' },
  // MiniMax
  { message: /^invalid params, context window exceeds limit/, verdict: 'context_exceeded' },
  // Volcengine
  { message: /^Total tokens of image and text exceed max message tokens/, verdict: 'context_exceeded' },
  // SiliconFlow
  { message: /^length of prompt_tokens \(\d+\) must be less than max_seq_len/, verdict: 'context_exceeded' },
  // DeepInfra
  { message: /^Requested input length \d+ exceeds maximum input length/, verdict: 'context_exceeded' },
  // Cloudflare, a 413
  {
    message: /^(?:AiError: |\d{4}: ){0,3}The estimated number of input and maximum output tokens \(\d+\) exceeded/,
    verdict: 'context_exceeded',
  },
  // watsonx
  {
    message: /^Invalid input argument for Model '[^']{1,100}': the number of input tokens \d+ cannot exceed/,
    verdict: 'context_exceeded',
  },
  // Snowflake: https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api
  { message: /^max tokens of \d+ exceeded/, verdict: 'context_exceeded' },
  // Together, a 403: https://docs.together.ai/docs/error-codes
  { message: /^Input token count \+ `?max_tokens`? parameter must be less than the context length/, verdict: 'context_exceeded' },
  // LiteLLM's proxy
  { message: /^litellm\.ContextWindowExceededError: /, verdict: 'context_exceeded' },
  // Anthropic's and Bedrock's, as aggregators pass them on
  { message: /^prompt is too long: \d+ tokens > \d/, verdict: 'context_exceeded' },
  { message: /^input length and `max_tokens` exceed context limit/, verdict: 'context_exceeded' },
  {
    message: /^(?:The model returned the following errors: )?Input is too long for requested model/,
    verdict: 'context_exceeded',
  },
  // Gemini's OpenAI endpoint: https://github.com/google-gemini/gemini-cli/issues/15184
  { message: /^The input token count (?:\(\d+\) )?exceeds the maximum number of tokens allowed/, verdict: 'context_exceeded' },
];

const OTHERS: readonly ErrorRule[] = [
  // Groq: the model's own output did not fit the tools or the schema, groq/chat-json-400-malformed-response-tools, https://console.groq.com/docs/structured-outputs
  { names: ['tool_use_failed', 'json_validate_failed', 'output_parse_failed'], verdict: 'malformed' },
  // Groq, 400s: https://console.groq.com/docs/errors, …/deprecations
  { names: ['organization_restricted', 'model_terms_required'], verdict: 'permission' },
  // Groq; Hugging Face's router; Together; Mistral: https://docs.mistral.ai/api; SiliconFlow. 400s all of them.
  {
    names: ['model_decommissioned', 'model_not_supported', 'model_not_available', 'invalid_model', '20012'],
    verdict: 'not_found',
  },
  // DeepSeek, a 400: https://api-docs.deepseek.com/quick_start/error_codes; xAI, a 400: https://docs.x.ai/docs/key-information/debugging
  { status: [400], message: /^(?:Model Not Exist$|Model not found(?:$|: ))/, verdict: 'not_found' },
  // OpenRouter, Snowflake, LM Studio, 400s: https://github.com/OpenRouterTeam/openrouter-examples/issues/74
  { status: [400], message: /^(?:\S{1,200} is not a valid model ID$|unknown model |No models loaded\. )/, verdict: 'not_found' },
  // Cloudflare, a 400
  { message: /^(?:AiError: |\d{4}: ){0,3}No such model /, verdict: 'not_found' },
  // GitHub Models, 400s; Volcengine, a 400
  { names: ['unknown_model', 'unavailable_model', 'invalidendpoint.closedendpoint'], verdict: 'not_found' },
  // TGI, a 429 and in a stream without a name
  { message: /^Model is overloaded$/, verdict: 'overloaded' },
  // Cloudflare, DeepInfra, 429s about their own capacity
  {
    message: /^(?:(?:AiError: |\d{4}: ){0,3}Capacity temporarily exceeded|Model busy, retry later)/,
    verdict: 'overloaded',
  },
  // Volcengine, 429s
  { names: ['serveroverloaded', 'modelloadingerror'], verdict: 'overloaded' },
  // Alibaba, 500s
  { names: ['requesttimeout', 'responsetimeout', 'internalerror.timeout'], verdict: 'timeout' },
  // MiniMax, under HTTP 200: its limits; who is asking; too slow; what was asked
  { names: ['minimax_1002', 'minimax_1039', 'minimax_1041', 'minimax_2045'], verdict: 'rate_limited' },
  { names: ['minimax_1004', 'minimax_2049'], verdict: 'auth' },
  { names: ['minimax_1001'], verdict: 'timeout' },
  { names: ['minimax_2013'], verdict: 'invalid_request' },
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
  { names: ['1302', '1303', '1305'], verdict: 'rate_limited' },
  // … and 429s about the account: it does not exist or was locked; its plan lacks the model
  { status: [429], names: ['1111', '1112', '1121', '1311'], verdict: 'permission' },
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

const COMPATIBLE_RULES: readonly ErrorRule[] = [...FILTERS, ...QUOTAS, ...CONTEXT, ...OTHERS];

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
