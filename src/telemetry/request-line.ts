import type { Usage } from '../lib/usage.ts';
import { redactSecrets } from './redact.ts';

/** One upstream call of a request. */
export interface AttemptLine {
  /** Its name in the route's pool. */
  readonly target: string;
  /** `ok` or the failure's kind. */
  readonly outcome: string;
  readonly ms: number;
  /** Of a Service: the pod's. */
  readonly address?: string;
  /** Of a filter: what it acted on, `prompt`, `completion`, `mid_stream` or `unknown`; of a deadline: which. */
  readonly phase?: string;
  /** Of a filter: what it found, by the provider's names. */
  readonly categories?: readonly string[];
  /** When the provider wants to be asked again. */
  readonly retryAfterMs?: number;
  /** A guardrail took something out of an answer that is whole otherwise: on which side. */
  readonly masked?: string;
  /** What a failed call has used, where its provider tells: it is billed all the same. */
  readonly usage?: Usage;
}

/** A target that the plan went without. */
export interface LeftOutLine {
  readonly target: string;
  readonly reason: string;
}

/** What is logged of a request: no prompts, no answers, no credentials. null: does not apply, or was never reached. */
export interface RequestLine {
  /** `requestLabels` of this line, where the caller has kept them from an earlier one. */
  readonly labels?: string;
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
  /** Absent: none. */
  readonly leftOut?: readonly LeftOutLine[];
  /** Members of the request, and parts of the answer (`answer.…`), that one side had no place for; absent: none. */
  readonly dropped?: readonly string[];
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
const MAX_DROPPED = 32;
const MAX_MESSAGE_CHARS = 1_024;

/** What is the same for all requests of one client to one target by one rule: worth keeping, as JSON members. */
export function requestLabels(
  line: Pick<RequestLine, 'operation' | 'route' | 'rule' | 'target' | 'upstreamModel' | 'tenant' | 'keyId'>,
): string {
  const asked = text('operation', line.operation) + text('route', line.route) + text('rule', line.rule);
  const answered = text('target', line.target) + text('upstreamModel', line.upstreamModel);
  return asked + answered + text('tenant', line.tenant) + text('keyId', line.keyId);
}

/** A line of JSON like pino's, put together by hand: cheaper than an object without its nulls that is serialized. `time`: ISO 8601. */
export function formatRequestLine(line: RequestLine, level: string, time: string): string {
  let json = `{"level":"${level}","time":"${time}","msg":"request","requestId":${JSON.stringify(line.requestId)}`;
  json += line.labels ?? requestLabels(line);
  json += shared('model', cut(line.model, MAX_MODEL_CHARS));
  json += `,"status":${line.status},"stream":${line.stream}`;
  json += shared('reason', line.reason);
  json += ',"attempts":[';
  for (let i = 0; i < line.attempts.length; i++) {
    const attempt = line.attempts[i];
    if (attempt === undefined) continue;
    json += `${i === 0 ? '' : ','}{"target":${quoted(attempt.target)},"outcome":${quoted(attempt.outcome)},"ms":${rounded(attempt.ms)}`;
    if (attempt.address !== undefined) json += `,"address":${quoted(attempt.address)}`;
    json += attempt.outcome === 'ok' && attempt.masked === undefined ? '}' : `${attemptDetails(attempt)}}`;
  }
  json += ']';
  if (line.leftOut !== undefined && line.leftOut.length > 0) json += `,"leftOut":[${line.leftOut.map(leftOutMember).join(',')}]`;
  if (line.dropped !== undefined && line.dropped.length > 0)
    json += `,"dropped":${JSON.stringify(line.dropped.slice(0, MAX_DROPPED).map((name) => name.slice(0, MAX_MODEL_CHARS)))}`;
  const { usage } = line;
  if (usage !== null) json += usageMembers(usage);
  if (line.costMicroUsd !== null) json += `,"costMicroUsd":${rounded(line.costMicroUsd)}`;
  else if (usage !== null) json += ',"costUnknown":true';
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

function leftOutMember({ target, reason }: LeftOutLine): string {
  return `{"target":${quoted(target)},"reason":${quoted(reason)}}`;
}

function attemptDetails({ phase, categories, retryAfterMs, masked, usage }: AttemptLine): string {
  let json = text('phase', phase ?? null) + text('masked', masked ?? null);
  if (categories !== undefined && categories.length > 0) json += `,"categories":${JSON.stringify(categories)}`;
  if (retryAfterMs !== undefined) json += `,"retryAfterMs":${rounded(retryAfterMs)}`;
  return usage === undefined ? json : json + usageMembers(usage);
}

function usageMembers(usage: Usage): string {
  let json = `,"inputTokens":${usage.inputTokens},"outputTokens":${usage.outputTokens}`;
  if (usage.cachedInputTokens > 0) json += `,"cachedInputTokens":${usage.cachedInputTokens}`;
  if (usage.cacheWriteTokens !== undefined && usage.cacheWriteTokens > 0) json += `,"cacheWriteTokens":${usage.cacheWriteTokens}`;
  if (usage.cacheWriteHourTokens !== undefined && usage.cacheWriteHourTokens > 0)
    json += `,"cacheWriteHourTokens":${usage.cacheWriteHourTokens}`;
  if (usage.reasoningTokens > 0) json += `,"reasoningTokens":${usage.reasoningTokens}`;
  return usage.estimated ? `${json},"usageEstimated":true` : json;
}

/** Members that many lines share, ready as JSON, by name and value: names of routes, targets, tenants, keys. */
const sharedMembers = new Map<string, Map<string, string>>();
/** Values are few but for models, which clients may invent. */
const MAX_SHARED_VALUES = 1_000;

/** A recurring value as a JSON string. */
function quoted(value: string): string {
  return shared('', value).slice(4);
}

/** A member whose value recurs. */
function shared(name: string, value: string | null): string {
  if (value === null) return '';
  let byValue = sharedMembers.get(name);
  if (byValue === undefined) sharedMembers.set(name, (byValue = new Map<string, string>()));
  let member = byValue.get(value);
  if (member === undefined) {
    member = text(name, value);
    if (byValue.size >= MAX_SHARED_VALUES) byValue.clear();
    byValue.set(value, member);
  }
  return member;
}

function text(name: string, value: string | null): string {
  return value === null ? '' : `,"${name}":${JSON.stringify(value)}`;
}

function cut(value: string | null, maxChars: number): string | null {
  return value === null || value.length <= maxChars ? value : `${value.slice(0, maxChars)}…`;
}

/** `.001` to `.999` without trailing zeros, by thousandths; '' for none. */
const THOUSANDTHS = Array.from({ length: 1_000 }, (_, i) => (i === 0 ? '' : `.${String(i).padStart(3, '0').replace(/0+$/, '')}`));

/** To three decimals. By integers: printing a double costs ten times as much. */
function rounded(value: number): string {
  const thousandths = Math.round(value * 1_000);
  if (thousandths < 0 || thousandths > 0x7fffffff) return String(thousandths / 1_000);
  const whole = Math.floor(thousandths / 1_000);
  return whole + (THOUSANDTHS[thousandths - whole * 1_000] ?? '');
}
