/**
 * What an error body says in structure, whichever of the known envelopes it came in. The rules that decide on a failure see
 * only this.
 */
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { FilterPhase } from '../../lib/failure.ts';
import { filterFindings } from './content-filter.ts';
import { parseDurationMs } from './retry-after.ts';

export interface ErrorFacts {
  /** The status the body itself names (numeric `code`, `status`, `status_code`); 0: none. */
  readonly bodyStatus: number;
  /** The provider's own code (else its type), as it is; '' where it gave none. */
  readonly code: string;
  /** Every identifier in the structure: code, type, inner codes, reasons. Lower case. */
  readonly names: readonly string[];
  /** The request parameter the error is about, e.g. `messages[0].content`; ''. */
  readonly param: string;
  /** The provider's text. It may quote what the user wrote: rules match it at its beginning only. */
  readonly message: string;
  /** Categories of content that a filter acted on. */
  readonly categories: readonly string[];
  /** The side that the filter says it acted on; null: it does not say. */
  readonly filteredPhase: FilterPhase | null;
  /** When to come back, where the body itself says so in structure; null: it does not. */
  readonly retryDelayMs: number | null;
}

export const NO_FACTS: ErrorFacts = {
  bodyStatus: 0,
  code: '',
  names: [],
  param: '',
  message: '',
  categories: [],
  filteredPhase: null,
  retryDelayMs: null,
};

/**
 * The envelopes, in the order tried. null: this is no error body.
 * - `{error: {message, type, param, code}}`: OpenAI, Azure, Groq, vLLM ≥ 0.16, …; in an array: Gemini's OpenAI endpoint
 * - `{error: "text", code?, type?, error_type?}`: xAI, Ollama, TGI, Hugging Face
 * - `{object: "error", message, type, code}`: vLLM < 0.16, Mistral, SGLang; `{type: "error", …}`: an event of Responses
 * - `{statusCode, message}`: Azure API Management · `{__type, message}`: AWS · `{detail}`: FastAPI
 * - `{errors: [{code, message}]}`, `{error: [{code, message}]}`: Cloudflare · `{error_type, error_message}`: Venice
 * - `{base_resp: {status_code, status_msg}}`: MiniMax, beside everything that an answer has
 */
export function readErrorFacts(body: unknown): ErrorFacts | null {
  const root: unknown = Array.isArray(body) ? body[0] : body;
  if (!isObject(root)) return null;
  const given = root['error'];
  const error: unknown = Array.isArray(given) ? given[0] : given;
  if (isObject(error) && Object.keys(error).length > 0) return factsOf(error, root);
  if (typeof error === 'string' && error !== '')
    return factsOf({ ...root, message: error, type: root['error_type'] ?? root['type'] }, root);
  if (root['object'] === 'error' || root['type'] === 'error') return factsOf(root, root);
  if (typeof root['error_message'] === 'string' && root['error_message'] !== '')
    return factsOf({ message: root['error_message'], type: root['error_type'], code: root['error_code'] }, root);
  const { base_resp: base } = root;
  if (isObject(base) && typeof base['status_code'] === 'number' && base['status_code'] !== 0)
    return factsOf({ message: base['status_msg'], code: `minimax_${base['status_code']}` }, root);
  const detail = root['detail'];
  if (isObject(detail)) return readErrorFacts(detail) ?? factsOf(detail, root);
  if (typeof detail === 'string' || Array.isArray(detail)) return factsOf({ message: detail }, root);
  const first = objectsOf(root['errors'])[0];
  if (first !== undefined) return factsOf(first, root);
  if (root['message'] !== undefined && ['code', 'statusCode', 'type', '__type'].some((name) => root[name] !== undefined))
    return factsOf(root, root);
  return null;
}

function factsOf(error: JsonObject, root: JsonObject): ErrorFacts {
  const names: string[] = [];
  addName(names, error['code']);
  addName(names, error['type'] === 'error' ? undefined : error['type']);
  addName(names, error['status']);
  // Novita: `{code: 403, reason: "NOT_ENOUGH_BALANCE", message}`.
  addName(names, error['reason']);
  // AWS: a shape's name, behind that of its package.
  addName(names, stringOf(error['__type']).split('#').at(-1));
  const inner = error['innererror'] ?? error['inner_error'];
  if (isObject(inner)) addName(names, inner['code']);
  let retryDelayMs: number | null = null;
  for (const detail of objectsOf(error['details'])) {
    addName(names, detail['reason']);
    // Google's QuotaFailure: which allowance is used up; RetryInfo: until when.
    for (const { quotaId } of objectsOf(detail['violations'])) if (/PerDay/.test(stringOf(quotaId))) names.push('quota_per_day');
    retryDelayMs ??= parseDurationMs(stringOf(detail['retryDelay']));
  }
  // Anthropic: one code that tells two meanings of a type apart.
  if (isObject(error['details'])) addName(names, error['details']['error_code']);

  const findings = filterFindings(error);
  if (isObject(inner)) findings.add(inner);
  // Responses: what was filtered stands beside the error.
  if (root !== error) findings.add(root);
  const metadata = error['metadata'];
  // OpenRouter: `metadata.reasons` are the categories its moderation flagged; `metadata.raw` is the upstream's own error body.
  if (isObject(metadata)) findings.addNames(metadata['reasons']);
  // OpenAI images: `moderation_details {moderation_stage, categories}`.
  const moderation = error['moderation_details'];
  if (isObject(moderation)) {
    findings.addNames(moderation['categories']);
    findings.addPhase(moderation['moderation_stage'] === 'output' ? 'completion' : 'prompt');
  }
  const said = messageOf(error['message']);
  // Google has sent its message's template in the place of the message, which stands among the details.
  const message = said.startsWith('$') ? (originalError(error['details']) ?? said) : said;
  // xAI names its check at the end of the text only: `…, Failed check: SAFETY_CHECK_TYPE_BIO`.
  const check = /, Failed check: ([A-Z_]{3,60})$/.exec(message);
  if (check !== null) findings.addNames([check[1]]);

  const facts: ErrorFacts = {
    bodyStatus:
      statusOf(error['code']) ||
      statusOf(error['status']) ||
      statusOf(error['status_code']) ||
      // TGI, in a stream: https://github.com/huggingface/text-generation-inference/blob/main/router/src/server.rs
      statusOf(error['http_status_code']) ||
      // MiniMax; Mistral
      statusOf(error['http_code']) ||
      statusOf(error['raw_status_code']) ||
      statusOf(root['statusCode']),
    code: codeOf(error['code']) || codeOf(error['type']),
    names,
    param: stringOf(error['param']),
    message,
    categories: findings.categories,
    filteredPhase: findings.phase,
    retryDelayMs,
  };
  const raw = isObject(metadata) ? rawFacts(metadata['raw']) : null;
  return raw === null ? facts : mergeRaw(facts, raw);
}

/** An upstream's error inside an aggregator's is the one that says what happened; the outer message is only a wrapper. */
function mergeRaw(outer: ErrorFacts, raw: ErrorFacts): ErrorFacts {
  return {
    bodyStatus: outer.bodyStatus || raw.bodyStatus,
    code: raw.code || outer.code,
    names: [...outer.names, ...raw.names],
    param: raw.param,
    message: raw.message || outer.message,
    categories: [...outer.categories, ...raw.categories],
    filteredPhase: raw.filteredPhase ?? outer.filteredPhase,
    retryDelayMs: raw.retryDelayMs ?? outer.retryDelayMs,
  };
}

function rawFacts(raw: unknown): ErrorFacts | null {
  if (isObject(raw)) return readErrorFacts({ ...raw, metadata: undefined });
  if (typeof raw !== 'string' || !raw.trimStart().startsWith('{')) return null;
  const parsed = parseJson(raw);
  // One level: an aggregator behind an aggregator is not followed further.
  return isObject(parsed) && isObject(parsed['error'])
    ? readErrorFacts({ error: { ...parsed['error'], metadata: undefined } })
    : readErrorFacts(parsed);
}

function addName(names: string[], value: unknown): void {
  if (typeof value === 'string' && value !== '') {
    const name = value.toLowerCase();
    names.push(name);
    // Volcengine, Alibaba: `SensitiveContentDetected.SevereViolation`, the kind before its particular.
    const stem = /^[a-z]{1,64}(?=\.[a-z])/.exec(name)?.[0];
    if (stem !== undefined) names.push(stem);
  }
  // Some give `code: 0` for no error.
  else if (typeof value === 'number' && value !== 0) names.push(String(value));
}

function originalError(details: unknown): string | null {
  for (const { detail } of objectsOf(details)) {
    const found = /^\[ORIGINAL ERROR\] generic::[a-z_]{1,40}: ([^\n[]{1,512})/.exec(stringOf(detail));
    if (found !== null) return (found[1] ?? '').trim();
  }
  return null;
}

function codeOf(value: unknown): string {
  return typeof value === 'number' ? String(value) : stringOf(value);
}

function statusOf(value: unknown): number {
  const number = typeof value === 'string' && /^\d{3}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 400 && number <= 599 ? number : 0;
}

/** Validation errors (FastAPI, Mistral: an object or list where others have text) are told by place and message, never by the value they reject. */
function messageOf(value: unknown): string {
  if (typeof value === 'string') return value.trim();
  const details = isObject(value) ? value['detail'] : value;
  if (typeof details === 'string') return details.trim();
  const lines: string[] = [];
  for (const detail of objectsOf(details).slice(0, 8)) {
    const place = Array.isArray(detail['loc'])
      ? detail['loc'].filter((step) => typeof step === 'string' || typeof step === 'number').join('.')
      : '';
    const text = stringOf(detail['msg']);
    if (text !== '') lines.push(place === '' ? text : `${place}: ${text}`);
  }
  return lines.join('; ');
}
