/** Anthropic's errors. https://docs.claude.com/en/api/errors */
import { formatSseEvent } from '../sse.ts';
import type { ClientError } from '../client-error.ts';

/** Our types, which are OpenAI's, in Anthropic's words; others are the same. */
const TYPES: Readonly<Record<string, string>> = {
  upstream_error: 'api_error',
  server_error: 'api_error',
  insufficient_quota: 'billing_error',
};

export function anthropicErrorBody(error: ClientError): Buffer {
  return Buffer.from(errorJson(error));
}

export function anthropicErrorEvent(error: ClientError): Buffer {
  return formatSseEvent('error', errorJson(error));
}

function errorJson({ type, code, message, param }: ClientError): string {
  const named = code === 'request_too_large' ? code : (TYPES[type] ?? type);
  // `code` and `param` are beyond Anthropic's own: its clients pass them over, and people read them.
  return JSON.stringify({ type: 'error', error: { type: named, message, code, param } });
}
