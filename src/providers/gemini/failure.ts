/** Gemini's and Vertex AI's failures: canonical codes, https://google.aip.dev/193, after what names itself better. */
import type { FinishReason } from '../../dialects/neutral/reply.ts';
import { STATUS_RULES, type ErrorRule, type Verdict } from '../shared/classify.ts';
import type { FinishTable } from '../shared/finish.ts';

export const GEMINI_RULES: readonly ErrorRule[] = [
  // A 400 for a wrong or expired key: gemini/generatecontent-json-400-auth, https://ai.google.dev/gemini-api/docs/troubleshooting
  { names: ['api_key_invalid'], verdict: 'auth' },
  { message: /^API [Kk]ey (?:not valid|not found|expired)/, verdict: 'auth' },
  // A 400: vertex/vertexai-unary-failure-unsupported-user-location
  { message: /^User location is not supported/, verdict: 'permission' },
  // The same 429 for a minute and for a day: gemini/generatecontent-429-daily-quota-doc
  { names: ['quota_per_day'], verdict: 'quota_exhausted' },
  // Money, in the code of a minute's limit: https://ai.google.dev/gemini-api/docs/billing
  { message: /^Your prepayment credits are depleted/, verdict: 'quota_exhausted' },
  { message: /^Your project has exceeded its monthly spending cap/, verdict: 'quota_exhausted' },
  { names: ['billing_disabled'], verdict: 'quota_exhausted' },
  // https://ai.google.dev/gemini-api/docs/troubleshooting: the free tier where it is not offered
  { names: ['failed_precondition'], message: /^(?:Gemini API free tier|Billing)/, verdict: 'quota_exhausted' },
  // https://github.com/google-gemini/gemini-cli/issues/15184; Vertex: vertex/generatecontent-json-400-context-exceeded
  { message: /^The input token count (?:\(\d+\) )?exceeds the maximum number of tokens allowed/, verdict: 'context_exceeded' },
  {
    message:
      /^(?:Unable to submit request because )?(?:[Tt]he )?input token count is \d+ but (?:the )?model only supports up to \d/,
    verdict: 'context_exceeded',
  },
  { message: /^Request payload size exceeds the limit/, verdict: 'payload_too_large' },
  // Vertex AI, 400s about the target: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
  { message: /^Publisher Model .{0,300}is not servable in region/, verdict: 'not_found' },
  { message: /^Project .{0,100}is not allowed to use Publisher Model/, verdict: 'permission' },
  { names: ['service_disabled', 'iam_permission_denied', 'api_key_service_blocked'], verdict: 'permission' },
  { names: ['unauthenticated', 'access_token_expired'], verdict: 'auth' },
  { names: ['permission_denied'], verdict: 'permission' },
  { names: ['not_found'], verdict: 'not_found' },
  { names: ['resource_exhausted'], verdict: 'rate_limited' },
  { names: ['unavailable'], verdict: 'overloaded' },
  { names: ['deadline_exceeded'], verdict: 'timeout' },
  { names: ['internal', 'unknown', 'data_loss'], verdict: 'server_error' },
  { names: ['aborted', 'already_exists'], verdict: 'conflict' },
  { names: ['cancelled'], verdict: 'server_error' },
  ...STATUS_RULES,
  { names: ['invalid_argument', 'failed_precondition', 'out_of_range', 'unimplemented'], verdict: 'invalid_request' },
];

/** https://ai.google.dev/api/generate-content#FinishReason, https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse */
const GOOD: readonly (readonly [string, FinishReason])[] = [
  ['STOP', 'stop'],
  ['MAX_TOKENS', 'length'],
];
const FILTERS = [
  'SAFETY',
  'RECITATION',
  // An unsupported language is refused by the provider, not by a fault of the model.
  'LANGUAGE',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'MODEL_ARMOR',
  'IMAGE_SAFETY',
  'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION',
];

/** By number, as `enum-encoding=int` has them: the same in both APIs as far as this. https://cloud.google.com/apis/docs/system-parameters */
const BY_NUMBER = [
  '',
  'STOP',
  'MAX_TOKENS',
  'SAFETY',
  'RECITATION',
  'OTHER',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'MALFORMED_FUNCTION_CALL',
];

/** '': not finished. */
export function finishName(reason: unknown): string {
  if (typeof reason === 'number') return BY_NUMBER[reason] ?? `FINISH_REASON_${reason}`;
  return typeof reason === 'string' && reason !== 'FINISH_REASON_UNSPECIFIED' ? reason : '';
}

/** Everything else (OTHER, MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, …, and what is new) is no answer. */
export const GEMINI_FINISHES: FinishTable = {
  good: new Map(GOOD),
  bad: new Map(FILTERS.map((reason): readonly [string, Verdict] => [reason, 'completion_filtered'])),
};
