import type { Usage } from '../lib/usage.ts';
import { redactSecrets } from './redact.ts';

/** One upstream call of a request. */
export interface AttemptLine {
  /** Its name in the route's pool. */
  readonly target: string;
  /** `ok` or the failure's kind. */
  readonly outcome: string;
  readonly ms: number;
}

/** What is logged of a request: no prompts, no answers, no credentials. null: does not apply, or was never reached. */
export interface RequestLine {
  readonly requestId: string;
  readonly operation: string | null;
  /** `namespace/name`. */
  readonly route: string | null;
  readonly rule: string | null;
  /** As the client named it. */
  readonly model: string | null;
  readonly target: string | null;
  readonly upstreamModel: string | null;
  readonly tenant: string | null;
  readonly keyId: string | null;
  readonly status: number;
  readonly stream: boolean;
  readonly attempts: readonly AttemptLine[];
  /** Why the target was chosen. */
  readonly reason: string | null;
  readonly usage: Usage | null;
  readonly costMicroUsd: number | null;
  readonly durationMs: number;
  readonly firstTokenMs: number | null;
  /** What the gateway itself added before its first attempt. */
  readonly overheadMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The gateway's own error code. */
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly clientGone: boolean;
}

/** Longer texts of others are cut. */
const MAX_MODEL_CHARS = 256;
const MAX_MESSAGE_CHARS = 1_024;

/** A line of JSON like pino's, put together by hand: cheaper than an object without its nulls that is serialized. `time`: ISO 8601. */
export function formatRequestLine(line: RequestLine, level: string, time: string): string {
  let json = `{"level":"${level}","time":"${time}","msg":"request","requestId":${JSON.stringify(line.requestId)}`;
  json += text('operation', line.operation) + text('route', line.route) + text('rule', line.rule);
  json +=
    text('model', cut(line.model, MAX_MODEL_CHARS)) + text('target', line.target) + text('upstreamModel', line.upstreamModel);
  json += text('tenant', line.tenant) + text('keyId', line.keyId);
  json += `,"status":${line.status},"stream":${line.stream}`;
  json += text('reason', line.reason);
  json += ',"attempts":[';
  for (let i = 0; i < line.attempts.length; i++) {
    const attempt = line.attempts[i];
    if (attempt === undefined) continue;
    json += `${i === 0 ? '' : ','}{"target":${JSON.stringify(attempt.target)},"outcome":${JSON.stringify(attempt.outcome)},"ms":${rounded(attempt.ms)}}`;
  }
  json += ']';
  const { usage } = line;
  if (usage !== null) {
    json += `,"inputTokens":${usage.inputTokens},"outputTokens":${usage.outputTokens}`;
    if (usage.cachedInputTokens > 0) json += `,"cachedInputTokens":${usage.cachedInputTokens}`;
    if (usage.reasoningTokens > 0) json += `,"reasoningTokens":${usage.reasoningTokens}`;
    if (usage.estimated) json += ',"usageEstimated":true';
  }
  if (line.costMicroUsd !== null) json += `,"costMicroUsd":${rounded(line.costMicroUsd)}`;
  json += `,"durationMs":${rounded(line.durationMs)}`;
  if (line.firstTokenMs !== null) json += `,"firstTokenMs":${rounded(line.firstTokenMs)}`;
  if (line.overheadMs !== null) json += `,"overheadMs":${rounded(line.overheadMs)}`;
  json += `,"bytesIn":${line.bytesIn},"bytesOut":${line.bytesOut}`;
  json += text('errorCode', line.errorCode);
  // Cut last: half a secret would not be known as one.
  if (line.errorMessage !== null) json += text('errorMessage', cut(redactSecrets(line.errorMessage), MAX_MESSAGE_CHARS));
  if (line.clientGone) json += ',"clientGone":true';
  return json + '}\n';
}

function text(name: string, value: string | null): string {
  return value === null ? '' : `,"${name}":${JSON.stringify(value)}`;
}

function cut(value: string | null, maxChars: number): string | null {
  return value === null || value.length <= maxChars ? value : `${value.slice(0, maxChars)}…`;
}

/** To three decimals. */
function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
