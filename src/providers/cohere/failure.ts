/** Cohere's failures. https://docs.cohere.com/reference/errors */
import type { FinishReason } from '../../dialects/neutral/reply.ts';
import { STATUS_RULES, type ErrorRule, type Verdict } from '../shared/classify.ts';
import type { FinishTable } from '../shared/finish.ts';

export const COHERE_RULES: readonly ErrorRule[] = [
  // https://docs.cohere.com/docs/rate-limits: a trial key's allowance of a month, in the status of a minute's
  {
    status: [429],
    message: /^You are (?:past|using a Trial key, which is limited to) .{0,60}(?:month|API calls \/ month)/,
    verdict: 'quota_exhausted',
  },
  { message: /^(?:invalid request: )?too many tokens\b/, verdict: 'context_exceeded' },
  { message: /^(?:invalid request: )?(?:the )?(?:input|prompt) (?:is too long|exceeds)/i, verdict: 'context_exceeded' },
  // https://docs.cohere.com/docs/tokens-and-tokenizers
  { message: /^(?:invalid request: )?total number of tokens in the (?:input|prompt) cannot exceed/, verdict: 'context_exceeded' },
  { status: [404], message: /^model /, verdict: 'not_found' },
  // A model that has gone: https://docs.cohere.com/docs/deprecations
  { status: [400], message: /^model '[^']{1,100}' (?:was removed|not found)/, verdict: 'not_found' },
  // "a request or response contains a deny-listed token": https://docs.cohere.com/reference/chat
  { status: [498], verdict: 'filtered' },
  { message: /^(?:invalid api token|no api key supplied)/i, verdict: 'auth' },
  ...STATUS_RULES,
];

const GOOD: readonly (readonly [string, FinishReason])[] = [
  ['COMPLETE', 'stop'],
  ['STOP_SEQUENCE', 'stop'],
  ['MAX_TOKENS', 'length'],
  ['TOOL_CALL', 'tool_calls'],
  // v1: the context was full
  ['ERROR_LIMIT', 'length'],
];
const BAD: readonly (readonly [string, Verdict])[] = [
  ['ERROR', 'server_error'],
  ['TIMEOUT', 'timeout'],
  // v1: https://github.com/cohere-ai/cohere-python src/cohere/types/finish_reason.py
  ['ERROR_TOXIC', 'completion_filtered'],
];

export const COHERE_FINISHES: FinishTable = { good: new Map(GOOD), bad: new Map(BAD) };
