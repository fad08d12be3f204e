import { anthropicErrorBody } from '../dialects/anthropic/answer.ts';
import { errorBody, errorEvent, modelObject, modelsList } from '../dialects/openai/answer.ts';
import type { Operation } from '../lib/operation.ts';
import type { Remaining, RemainingByUnit } from '../limits/limiter.ts';
import type { AnswerHeaders } from '../providers/provider.ts';
import { allowedPart, modelAllowed } from '../auth/client-keys.ts';
import { errorObject, GATEWAY_ERRORS, type GatewayError } from './errors.ts';
import type { Exchange } from './http1/exchange.ts';
import type { RequestContext } from './request-context.ts';

/**
 * What of an upstream's answer head reaches the client. Its rate limits are ours to keep, its account's names nobody's business. What
 * HTTP/1.1 has no room for is in none of them: a head with such bytes is not read. Each is read by its name where it stands, because
 * V8 finds a name from a list more slowly.
 */
export function passedHeaders(headers: string[], upstream: AnswerHeaders): void {
  add(headers, 'content-type', upstream['content-type']);
  add(headers, 'content-disposition', upstream['content-disposition']);
  add(headers, 'openai-processing-ms', upstream['openai-processing-ms']);
  add(headers, 'openai-version', upstream['openai-version']);
  add(headers, 'retry-after', upstream['retry-after']);
}

function add(headers: string[], name: string, value: string | undefined): void {
  if (value !== undefined) headers.push(name, value);
}

const MAX_LISTED_CHARS = 1024;

/** Names as one header value; a list that is long is cut where a client can see it. */
export function headerList(names: readonly string[]): string {
  const list = names.map((name) => name.replaceAll(/[^\x21-\x7e]|,/g, '_')).join(', ');
  return list.length <= MAX_LISTED_CHARS ? list : `${list.slice(0, MAX_LISTED_CHARS)}...`;
}

/** What an answer says of its limits while Redis is away. */
const HELD_TO = { none: 'unchecked', share: 'local-share' } as const;

/** OpenAI's form, so that clients which pace themselves by these headers go on doing so. */
export function addLimitHeaders(headers: string[], remaining: RemainingByUnit): void {
  if (remaining.heldTo !== undefined) headers.push('x-fairlead-limits', HELD_TO[remaining.heldTo]);
  if (remaining.requests !== undefined) addRemaining(headers, REQUESTS, remaining.requests);
  if (remaining.tokens !== undefined) addRemaining(headers, TOKENS, remaining.tokens);
}

type LimitNames = readonly [limit: string, remaining: string, reset: string];
const REQUESTS: LimitNames = ['x-ratelimit-limit-requests', 'x-ratelimit-remaining-requests', 'x-ratelimit-reset-requests'];
const TOKENS: LimitNames = ['x-ratelimit-limit-tokens', 'x-ratelimit-remaining-tokens', 'x-ratelimit-reset-tokens'];

function addRemaining(headers: string[], names: LimitNames, { limit, remaining, resetMs }: Remaining): void {
  headers.push(names[0], String(limit), names[1], String(Math.max(0, Math.floor(remaining))), names[2], resetText(resetMs));
}

/** `88ms`, `1.5s`, `6m0s`: what OpenAI's own headers look like. Of whole numbers, which are several times quicker to write than fractions. */
function resetText(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  if (ms < 60_000) {
    const hundredths = Math.ceil(ms / 10);
    const part = hundredths % 100;
    const text = part % 10 === 0 ? `${part / 10}` : part < 10 ? `0${part}` : `${part}`;
    return part === 0 ? `${hundredths / 100}s` : `${Math.floor(hundredths / 100)}.${text}s`;
  }
  const seconds = Math.ceil(ms / 1000);
  return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

/** Answers with the gateway's own error, in the client's dialect. After a body that is too large the connection is closed. */
export function sendError(exchange: Exchange, requestId: string, error: GatewayError, operation: Operation | null): void {
  if (exchange.answering) {
    exchange.abort();
    return;
  }
  const { status, retryable } = GATEWAY_ERRORS[error.code];
  const anthropic = operation === 'messages' || operation === 'count_tokens';
  const body = anthropic ? anthropicErrorBody(errorObject(error)) : errorBody(errorObject(error));
  const headers = [
    'content-type',
    'application/json',
    'x-request-id',
    requestId,
    'x-should-retry',
    String(retryable),
    ...(error.headers ?? []),
  ];
  if (error.retryAfterMs !== undefined) {
    headers.push(
      'retry-after-ms',
      String(Math.ceil(error.retryAfterMs)),
      'retry-after',
      String(Math.ceil(error.retryAfterMs / 1000)),
    );
  }
  if (status === 413) exchange.last = true;
  exchange.answer(status, headers, body);
}

/** `sequenceNumber`: what follows the last event sent, for the dialect that numbers them. */
export function streamErrorEvent(operation: Operation, error: GatewayError, sequenceNumber: number): Buffer {
  return errorEvent(operation, errorObject(error), sequenceNumber);
}

/** GET /v1/models: exact names and, as they were written, prefixes; of both what the key may use. */
export function sendModelsList(context: RequestContext): void {
  const names = context.table.names
    .list(context.caller)
    .flatMap((name) => allowedPart(context.caller, name))
    .map(({ value, wildcard }) => (wildcard ? `${value}*` : value));
  sendJson(context, modelsList([...new Set(names)].sort(), CREATED_SECONDS));
}

/** GET /v1/models/{id}; false where the caller may not use it. */
export function sendModel(context: RequestContext, id: string): boolean {
  if (!modelAllowed(context.caller, id) || context.table.names.resolve(context.caller, id) === null) return false;
  sendJson(context, modelObject(id, CREATED_SECONDS));
  return true;
}

/** OpenAI's shape asks for a creation time; a route's name has none worth telling, and one that never changes is cacheable. */
const CREATED_SECONDS = 1_735_689_600;

/** Of count_tokens where no provider behind the model counts. https://docs.claude.com/en/api/messages-count-tokens */
export function sendTokenEstimate(context: RequestContext, inputTokens: number): void {
  sendJson(context, Buffer.from(JSON.stringify({ input_tokens: inputTokens })), ['x-fairlead-reason', 'estimated']);
}

export function sendJson({ exchange, requestId }: RequestContext, body: Buffer, more: readonly string[] = []): void {
  exchange.answer(200, ['content-type', 'application/json', 'x-request-id', requestId, ...more], body);
}
