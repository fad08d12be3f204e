/**
 * OpenAI's failures. Rows are tried in order: what is named before what the status says. Sources: the error-code guide
 * (https://platform.openai.com/docs/guides/error-codes), the API reference's enum of `response.error.code`, issues, and
 * fixture ids (provider/case) of ../shared/data/providers. Names are lower case.
 */
import { STATUS_RULES, TYPE_RULES, type ErrorRule } from '../shared/classify.ts';
import { OPENAI_FINISHES, type FinishRules } from './finish.ts';

/** What a provider calls a failure: of errors, and of finish reasons. */
export interface FailureTable {
  readonly errors: readonly ErrorRule[];
  readonly finishes: FinishRules;
}

/** Parameters that hold the prompt: too long a string elsewhere (an id, a name) is a mistake, not a context overflow. */
const PROMPT_PARAM =
  /^(?:messages|input|prompt|instructions)(?:\[\d{1,6}\])*(?:\.(?:content|text|output|input_text)(?:\[\d{1,6}\])*)*$/;

export const OPENAI_RULES: readonly ErrorRule[] = [
  // Azure's word for a filtered prompt, also Moonshot's type: azure-openai/chat-400-prompt-filter-*, https://platform.kimi.ai/docs/api/errors
  { names: ['content_filter'], verdict: 'prompt_filtered' },
  // Images: https://platform.openai.com/docs/guides/image-generation#content-moderation
  { names: ['content_policy_violation', 'image_content_policy_violation', 'moderation_blocked'], verdict: 'prompt_filtered' },
  // Reasoning models, "flagged as potentially violating our usage policy": openai/chat-400-invalid-prompt-usage-policy-doc
  { names: ['invalid_prompt'], verdict: 'prompt_filtered' },
  // openai-ruby's SessionTurnError, Codex: a policy refused the request before the model saw it
  { names: ['cyber_policy', 'bio_policy', 'misalignment_policy_violation'], verdict: 'prompt_filtered' },

  // Also Azure's and, as a type, Perplexity's: openai/openai-error.1
  { names: ['insufficient_quota'], verdict: 'quota_exhausted' },
  // A 400 on images: https://github.com/dfinke/PowerShellAI/issues/127; the other: https://platform.openai.com/docs/guides/error-codes
  { names: ['billing_hard_limit_reached', 'billing_not_active'], verdict: 'quota_exhausted' },

  // openai/chat-400-context-classic-doc, openai/responses-json-400-context-exceeded
  { names: ['context_length_exceeded'], verdict: 'context_exceeded' },
  { names: ['string_above_max_length'], param: PROMPT_PARAM, verdict: 'context_exceeded' },
  // Embeddings: more tokens in one request than the endpoint takes, https://github.com/assafelovic/gpt-researcher/issues/1500
  { names: ['max_tokens_per_request'], verdict: 'context_exceeded' },
  // Embeddings give no code: https://github.com/microsoft/PubSec-Info-Assistant/issues/755; also vllm/chat-400-context-flat-doc,
  // deepseek/chat-json-400-context-exceeded, xAI (`prompt`), OpenRouter (`endpoint`)
  { message: /^This (?:model|endpoint)'s maximum (?:context|prompt|input) length is \d/, verdict: 'context_exceeded' },
  { message: /^Invalid 'input(?:\[\d{1,6}\])?': maximum (?:context|input) length is \d/, verdict: 'context_exceeded' },

  // openai/chat-429-request-larger-than-limit-doc, groq/chat-413-request-too-large-tpm-doc (a 413)
  { names: ['rate_limit_exceeded'], message: /^Request too large for /, verdict: 'larger_than_limit' },
  // openai/chat-429-tpm-doc, groq/chat-429-tpm-doc; the status may be missing (response.failed)
  { names: ['rate_limit_exceeded'], verdict: 'rate_limited' },

  // openai/chat-503-overloaded-doc; "Slow Down" of the error-code guide; flex processing: https://platform.openai.com/docs/guides/flex-processing
  {
    names: [
      'server_is_overloaded',
      'server_overloaded',
      'engine_overloaded',
      'slow_down',
      'resource_unavailable',
      'flex_unavailable',
    ],
    verdict: 'overloaded',
  },
  { names: ['overloaded_error', 'overloaded', 'service_unavailable_error'], verdict: 'overloaded' },
  // "The server is currently overloaded with other requests" came as a 429 of this type: https://github.com/acheong08/ChatGPT/issues/607
  { status: [429], names: ['server_error'], verdict: 'overloaded' },

  // The model is there, and not for this project: https://platform.openai.com/docs/guides/error-codes
  { status: [403], names: ['model_not_found'], verdict: 'permission' },
  // A 400 on Responses: openai/responses-json-400-not-found
  { names: ['model_not_found'], verdict: 'not_found' },
  // The client's own reference, not the target: https://github.com/maximhq/bifrost/issues/2441
  { names: ['previous_response_not_found'], verdict: 'invalid_request' },
  // "Item with id … not found", param input: https://github.com/home-assistant/core/issues/150251. Only `model` is about the target.
  { status: [404], param: /^(?!model$)./, verdict: 'invalid_request' },

  // `response.error.code` of the API reference; a stream tells them without a status
  {
    names: [
      'invalid_image',
      'invalid_image_format',
      'invalid_base64_image',
      'invalid_image_url',
      'invalid_image_mode',
      'image_too_large',
      'image_too_small',
      'image_parse_error',
      'image_file_too_large',
      'unsupported_image_media_type',
      'empty_image_file',
      'failed_to_download_image',
      'image_file_not_found',
    ],
    verdict: 'invalid_request',
  },
  { names: ['vector_store_timeout'], verdict: 'timeout' },

  { names: ['invalid_api_key'], verdict: 'auth' },
  // A 401 for a key that is known and may not: https://github.com/openai/openai-python/issues/1550
  { message: /^You have insufficient permissions for this operation\b/, verdict: 'permission' },
  // openai/chat-403-unsupported-country-doc
  { names: ['unsupported_country_region_territory'], verdict: 'permission' },
  // A 400: https://help.openai.com/en/articles/10910291-api-organization-verification
  { message: /^Your organization must be verified to /, verdict: 'permission' },
];

export const OPENAI_FAILURES: FailureTable = {
  errors: [...OPENAI_RULES, ...STATUS_RULES, ...TYPE_RULES],
  finishes: OPENAI_FINISHES,
};
