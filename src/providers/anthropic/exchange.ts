/** Anthropic's own clients at Anthropic's own API: bytes pass, answers are read for what went wrong and what was used. */
import { parseJson, isObject } from '../../lib/json.ts';
import type { Target } from '../../routetable/types.ts';
import type { Answer, AnswerHeaders, Exchange } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { httpErrorFacts } from '../shared/http-error.ts';
import { ReplyParts } from '../../dialects/neutral/reply.ts';
import { readMessage } from './answer.ts';
import { ANTHROPIC_RULES } from './failure.ts';
import { withoutForeignThoughts } from './own-thoughts.ts';
import { MessagesStream } from './stream.ts';

export function anthropicExchange(target: Target, path: string, headers: readonly string[]): Exchange {
  const base = new URL(target.baseUrl);
  const whole = base.pathname.replace(/\/+$/, '') + path;
  const secret = target.credential?.value.reveal() ?? '';
  return {
    origin: base.origin,
    path: () => whole,
    headers,
    readAnswer: (status, answerHeaders, body, complete) =>
      readAnthropicAnswer(path.endsWith('/count_tokens'), secret, status, answerHeaders, body, complete),
    readStream: (answerHeaders) => new MessagesStream(null, { headers: answerHeaders, secret }),
    translation: null,
    adapt: ({ json }) => withoutForeignThoughts(json),
  };
}

function readAnthropicAnswer(
  counts: boolean,
  secret: string,
  status: number,
  headers: AnswerHeaders,
  body: Buffer,
  complete: boolean,
): Answer {
  const origin: ErrorOrigin = { httpStatus: status, headers, outputSeen: false, secret };
  if (status >= 300)
    return { failure: classifyError(ANTHROPIC_RULES, httpErrorFacts(headers, body), origin), usage: null, finishReason: null };
  if (!complete) return { failure: null, usage: null, finishReason: null };
  const parsed = parseJson(body.toString('utf8'));
  if (!counts) {
    const { failure, usage, finish } = readMessage(parsed, new ReplyParts(), origin);
    return { failure, usage, finishReason: finish };
  }
  const counted = isObject(parsed) && typeof parsed['input_tokens'] === 'number';
  const failure = counted ? null : failureOf('malformed', { ...NO_FACTS, message: 'the answer has no input_tokens' }, origin);
  // Counting is free of charge: https://docs.claude.com/en/docs/build-with-claude/token-counting
  const usage = { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0, estimated: false };
  return { failure, usage, finishReason: null };
}
