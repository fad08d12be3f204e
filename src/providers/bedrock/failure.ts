/** Bedrock's failures: exceptions by name. https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html */
import type { FinishReason } from '../../dialects/neutral/reply.ts';
import { STATUS_RULES, type ErrorRule, type Verdict } from '../shared/classify.ts';
import type { FinishTable } from '../shared/finish.ts';

export const BEDROCK_RULES: readonly ErrorRule[] = [
  // bedrock/converse-json-400-context-exceeded; models behind it have their own words, which come after a fixed beginning
  {
    message:
      /^(?:The model returned the following errors: )?(?:Input Tokens Exceeded|Input is too long|prompt is too long|The input is too long|Too many input tokens|input length and `max_tokens` exceed)/i,
    verdict: 'context_exceeded',
  },
  {
    message: /^(?:The model returned the following errors: )?This model's maximum context length is/,
    verdict: 'context_exceeded',
  },
  // Anthropic's, of a model behind it
  {
    message: /^(?:The model returned the following errors: )?Output blocked by content filtering policy/,
    verdict: 'completion_filtered',
  },
  // bedrock/converse-json-400-not-found, and the ways in which a model is not to be had at this address
  { message: /^The provided model identifier is invalid/, verdict: 'not_found' },
  { message: /^Invocation of model ID .{1,200} with on-demand throughput isn/, verdict: 'not_found' },
  { message: /^This model version has reached the end of its life/, verdict: 'not_found' },
  { names: ['resourcenotfoundexception'], verdict: 'not_found' },
  // A day's allowance, in the words of a minute's: https://repost.aws/questions/QUtYWgmf6QQlqWqFmCLxRCDw
  { message: /^Too many tokens per day/, verdict: 'quota_exhausted' },
  { names: ['servicequotaexceededexception'], verdict: 'quota_exhausted' },
  { names: ['throttlingexception', 'toomanyrequestsexception', 'throttling'], verdict: 'rate_limited' },
  // A 429 about the model, not about us: bedrock/converse-429-modelnotready-doc
  { names: ['modelnotreadyexception', 'serviceunavailableexception'], verdict: 'overloaded' },
  { names: ['modeltimeoutexception'], verdict: 'timeout' },
  {
    names: [
      'unrecognizedclientexception',
      'invalidsignatureexception',
      'signaturedoesnotmatch',
      'incompletesignatureexception',
      'missingauthenticationtokenexception',
      'invalidclienttokenid',
      'expiredtokenexception',
      'expiredtoken',
      'notauthorized',
      // https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html, without their package's ending
      'incompletesignature',
      'missingauthenticationtoken',
      'requestexpired',
    ],
    verdict: 'auth',
  },
  // An AccessDeniedException about who is asking, and what proxies pass on without the name
  { message: /^(?:Authentication failed|Bearer Token has expired|Signature expired)\b/, verdict: 'auth' },
  { message: /^The security token included in the request is (?:invalid|expired)/, verdict: 'auth' },
  { message: /^The request signature we calculated does not match/, verdict: 'auth' },
  { names: ['accessdeniedexception', 'optinrequired'], verdict: 'permission' },
  {
    names: ['modelerrorexception', 'modelstreamerrorexception', 'internalserverexception', 'internalfailure'],
    verdict: 'server_error',
  },
  { names: ['conflictexception'], verdict: 'conflict' },
  { names: ['validationexception', 'validationerror'], verdict: 'invalid_request' },
  ...STATUS_RULES,
];

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html; `guardrail_intervened` is decided by its trace. */
const GOOD: readonly (readonly [string, FinishReason])[] = [
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['tool_use', 'tool_calls'],
];
const BAD: readonly (readonly [string, Verdict])[] = [
  ['content_filtered', 'completion_filtered'],
  ['malformed_model_output', 'malformed'],
  ['malformed_tool_use', 'malformed'],
];

export const BEDROCK_FINISHES: FinishTable = { good: new Map(GOOD), bad: new Map(BAD) };
