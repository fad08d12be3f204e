/** Anthropic's failures, its own names first. https://docs.claude.com/en/api/errors */
import type { FinishReason } from '../../dialects/neutral/reply.ts';
import { STATUS_RULES, TYPE_RULES, type ErrorRule } from '../shared/classify.ts';
import type { FinishTable } from '../shared/finish.ts';

export const ANTHROPIC_RULES: readonly ErrorRule[] = [
  // A 400 about what the model was about to say: https://github.com/anthropics/claude-code/issues/58367
  { message: /^Output blocked by content filtering policy/, verdict: 'completion_filtered' },
  { message: /^(?:Input|Prompt) blocked by content filtering policy/, verdict: 'prompt_filtered' },
  // The same 429 as a rate limit's, told apart by its detail: anthropic/messages-429-spend-limit-doc
  { names: ['enforced_spend_limit_reached'], verdict: 'quota_exhausted' },
  { message: /^You have reached your specified (?:API|workspace) usage limits/, verdict: 'quota_exhausted' },
  // A 400: https://github.com/anthropics/claude-code/issues/1473
  { message: /^Your credit balance is too low/, verdict: 'quota_exhausted' },
  { names: ['billing_error'], verdict: 'quota_exhausted' },
  // A 400 about who is asking: https://github.com/anthropics/claude-code/issues/19028
  { message: /^This organization has been disabled/, verdict: 'permission' },
  // https://docs.claude.com/en/docs/build-with-claude/context-windows
  { message: /^prompt is too long: \d+ tokens > \d/, verdict: 'context_exceeded' },
  { message: /^input length and `max_tokens` exceed context limit/, verdict: 'context_exceeded' },
  // On Vertex AI, a 413: https://github.com/anthropics/claude-code/issues/2569
  { message: /^Prompt is too long$/, verdict: 'context_exceeded' },
  // One request longer than the account may send: https://github.com/anthropics/claude-code/issues/41054
  {
    names: ['rate_limit_error'],
    message: /^(?:Extra usage is|Usage credits are) required for long context/,
    verdict: 'larger_than_limit',
  },
  // An acceleration limit has no other word than its message; it is a rate limit by its type.
  { names: ['rate_limit_error'], verdict: 'rate_limited' },
  { names: ['overloaded_error'], verdict: 'overloaded' },
  { names: ['request_too_large'], verdict: 'payload_too_large' },
  { names: ['timeout_error'], verdict: 'timeout' },
  { names: ['authentication_error'], verdict: 'auth' },
  { names: ['permission_error'], verdict: 'permission' },
  // Only a model is the target's; a file or batch is the client's own reference.
  { names: ['not_found_error'], message: /^(?!model:|models?\b|Not Found|Not found)/, verdict: 'invalid_request' },
  { names: ['not_found_error'], verdict: 'not_found' },
  { names: ['api_error'], verdict: 'server_error' },
  ...STATUS_RULES,
  ...TYPE_RULES,
];

const FINISHES: readonly (readonly [string, FinishReason])[] = [
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  // A turn that goes on when it is sent back: https://docs.claude.com/en/docs/build-with-claude/handling-stop-reasons
  ['pause_turn', 'stop'],
  ['compaction', 'stop'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['tool_use', 'tool_calls'],
];

export const ANTHROPIC_FINISHES: FinishTable = {
  good: new Map(FINISHES),
  bad: new Map([['refusal', 'completion_filtered']]),
};
