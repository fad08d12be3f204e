/** Reads complete answers. A 200 is not yet a success: it must have the operation's shape and no error or filter in it. */
import { errorBody } from '../../dialects/openai/answer.ts';
import type { Failure } from '../../lib/failure.ts';
import type { Operation } from '../../lib/operation.ts';
import type { Usage } from '../../lib/usage.ts';
import type { Answer, AnswerHeaders } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin, type Verdict } from '../shared/classify.ts';
import { clientErrorOf } from '../shared/client-error.ts';
import { filterFindings } from '../shared/content-filter.ts';
import { NO_FACTS, readErrorFacts, type ErrorFacts } from '../shared/error-facts.ts';
import { httpErrorFacts, notJson } from '../shared/http-error.ts';
import { isObject, objectsOf, parseJson, parseWithoutContent, stringOf, type JsonObject } from '../../lib/json.ts';
import type { FailureTable } from './failure.ts';
import { finishFailure, finishVerdict, normalFinish } from './finish.ts';
import { readUsage } from './usage.ts';

const TRUSTED: Answer = { failure: null, usage: null, finishReason: null };

/** `secret`: the credential that was sent, kept out of messages; ''. The rest as `Exchange.readAnswer`. */
export function readAnswer(
  table: FailureTable,
  operation: Operation,
  secret: string,
  status: number,
  headers: AnswerHeaders,
  body: Buffer,
  complete: boolean,
): Answer {
  const origin: ErrorOrigin = { httpStatus: status, headers, outputSeen: false, secret };
  if (status >= 300) return failed(classifyError(table.errors, httpErrorFacts(headers, body), origin));
  if (!complete) return operation === 'responses' ? { ...TRUSTED, storedId: storedIdAhead(body) } : TRUSTED;
  switch (operation) {
    case 'chat':
    case 'completions':
    case 'embeddings':
    case 'responses': {
      const text = body.toString('utf8');
      const parsed = operation === 'chat' ? parseWithoutContent(text) : parseJson(text);
      if (!isObject(parsed)) return unreadable(table, parsed, body, origin);
      return withoutAnswer(parsed, readSuccess(table, operation, origin, parsed));
    }
    case 'files':
    case 'batches': {
      const parsed = parseJson(body.toString('utf8'));
      return isObject(parsed) ? readKept(table, origin, parsed) : unreadable(table, parsed, body, origin);
    }
    // Files of sound and pictures, and answers that nothing is decided on: passed through as they are.
    case 'images_generations':
    case 'images_edits':
    case 'images_variations':
    case 'audio_speech':
    case 'audio_transcriptions':
    case 'audio_translations':
    case 'moderations':
    case 'messages':
    case 'count_tokens':
      return TRUSTED;
  }
}

/**
 * An error under a success (MiniMax's `base_resp`, OpenRouter's `error`): a client that was told 200 looks for an answer, finds none and
 * says so in words of its own. It gets an error that looks like one.
 */
function withoutAnswer(body: JsonObject, answer: Answer): Answer {
  const { failure } = answer;
  const answers = ['choices', 'output', 'data'].some((member) => Array.isArray(body[member]));
  if (failure === null || answers || body['object'] === 'response') return answer;
  return { ...answer, client: { status: 400, contentType: 'application/json', body: errorBody(clientErrorOf(failure)) } };
}

/** Of an answer with a status of success: what it says. */
export function readSuccess(
  table: FailureTable,
  operation: 'chat' | 'completions' | 'embeddings' | 'responses',
  origin: ErrorOrigin,
  body: JsonObject,
): Answer {
  const usage = readUsage(body['usage']);
  const error = namedError(body);
  if (error !== null) return { failure: classifyError(table.errors, error, origin), usage, finishReason: null };
  switch (operation) {
    case 'chat':
    case 'completions':
      return readChoices(table, origin, body, usage);
    case 'embeddings':
      return Array.isArray(body['data']) ? { failure: null, usage, finishReason: null } : shapeless(table, body, 'data', origin);
    case 'responses':
      return readResponse(table, origin, body, usage);
  }
}

/** A file or a batch: without an id nobody could ask for it. */
function readKept(table: FailureTable, origin: ErrorOrigin, body: JsonObject): Answer {
  const error = namedError(body);
  if (error !== null) return failed(classifyError(table.errors, error, origin));
  const storedId = stringOf(body['id']);
  return storedId === '' ? shapeless(table, body, 'id', origin) : { ...TRUSTED, storedId };
}

/** An error that names itself in `error` or as an object of type error; null: there is none, or an empty place for one. */
export function namedError(body: JsonObject): ErrorFacts | null {
  const error = body['error'];
  const absent = error === undefined || error === null || error === '';
  if (absent && body['object'] !== 'error' && body['type'] !== 'error') return null;
  const facts = readErrorFacts(body);
  return facts === null || (facts.message === '' && facts.names.length === 0) ? null : facts;
}

function readChoices(table: FailureTable, origin: ErrorOrigin, body: JsonObject, usage: Usage | null): Answer {
  const choices = body['choices'];
  if (!Array.isArray(choices) || choices.length === 0) return shapeless(table, body, 'choices', origin);
  const prompt = filterFindings(body);
  prompt.addPrompts(body['prompt_filter_results']);
  let failure: Failure | null = null;
  let finishReason: string | null = null;
  for (const choice of objectsOf(choices)) {
    const raw = stringOf(choice['finish_reason']);
    if (raw !== '') finishReason ??= normalFinish(raw);
    failure ??= choiceFailure(table, choice, raw, origin);
  }
  if (prompt.filtered)
    failure = failureOf(
      'prompt_filtered',
      { ...NO_FACTS, code: 'prompt_filter_results', message: 'the prompt was filtered', categories: prompt.categories },
      origin,
    );
  if (failure?.kind === 'content_filtered') finishReason = 'content_filter';
  return { failure, usage, finishReason };
}

/** One choice of a whole answer or of a stream's chunk; null: it has not failed. */
export function choiceFailure(table: FailureTable, choice: JsonObject, rawFinish: string, origin: ErrorOrigin): Failure | null {
  // An aggregator tells a choice's own error inside the choice (OpenRouter's non-streaming choices, https://openrouter.ai/docs/api-reference/overview).
  const error = isObject(choice['error']) ? readErrorFacts(choice) : null;
  if (error !== null) return classifyError(table.errors, error, origin);
  const verdict = finishVerdict(table.finishes, rawFinish, stringOf(choice['native_finish_reason']));
  const annotated = choice['content_filter_results'] !== undefined || choice['content_filter_result'] !== undefined;
  if (verdict === null && !annotated) return null;
  const findings = filterFindings(choice);
  if (verdict === null && !findings.filtered) return null;
  const effective: Verdict = findings.filtered ? 'completion_filtered' : (verdict ?? 'completion_filtered');
  return finishFailure(effective, rawFinish, findings.categories, origin);
}

function readResponse(table: FailureTable, origin: ErrorOrigin, body: JsonObject, usage: Usage | null): Answer {
  if (typeof body['status'] !== 'string' && !Array.isArray(body['output'])) return shapeless(table, body, 'output', origin);
  return {
    failure: responseFailure(table, body, origin),
    usage,
    finishReason: responseFinish(body, false),
    storedId: storedIdOf(body),
    encrypted: encryptedIn(body),
  };
}

/** https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items */
export function encryptedIn(response: JsonObject): readonly string[] {
  return objectsOf(response['output']).flatMap((item) => {
    const encrypted = item['type'] === 'reasoning' ? item['encrypted_content'] : null;
    return typeof encrypted === 'string' && encrypted !== '' ? [encrypted] : [];
  });
}

/** Responses are kept where nobody says otherwise. https://platform.openai.com/docs/api-reference/responses/create#responses-create-store */
export function storedIdOf(response: JsonObject): string | null {
  const { id } = response;
  return typeof id === 'string' && id !== '' && response['store'] !== false ? id : null;
}

/** The members of an object up to its `id`, as long as these are no objects or lists. */
const ID_AHEAD = /^\s*\{(?:\s*"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,)*?\s*"id"\s*:\s*"([^"\\]+)"/;
const AHEAD_BYTES = 4_096;

/** Of a response whose end is not there: whether it is kept is said behind its output. */
function storedIdAhead(body: Buffer): string | null {
  return ID_AHEAD.exec(body.toString('latin1', 0, AHEAD_BYTES))?.[1] ?? null;
}

/** https://platform.openai.com/docs/api-reference/responses/object; those that go on are for what runs in the background. */
const STATUSES: ReadonlySet<string> = new Set([
  'completed',
  // Of servers that copied it not quite.
  'complete',
  'incomplete',
  'failed',
  'cancelled',
  'queued',
  'in_progress',
]);
const INCOMPLETE_REASONS: ReadonlySet<string> = new Set([
  '',
  'max_output_tokens',
  'max_tokens',
  'max_tool_calls',
  'content_filter',
]);

/** Of a Responses object that has ended: failed, or cut short by a filter. null: it has not failed. */
export function responseFailure(table: FailureTable, response: JsonObject, origin: ErrorOrigin): Failure | null {
  const status = response['status'];
  if (status === 'failed' || status === 'cancelled') {
    return classifyError(table.errors, namedError(response) ?? { ...NO_FACTS, message: `the response is ${status}` }, origin);
  }
  const reason = incompleteReason(response);
  const unknown = typeof status === 'string' && !STATUSES.has(status) ? status : INCOMPLETE_REASONS.has(reason) ? '' : reason;
  if (unknown !== '') return finishFailure('malformed', normalFinish(unknown), [], origin);
  if (status !== 'incomplete' || reason !== 'content_filter') return null;
  const findings = filterFindings(response);
  const phase = findings.phase === 'prompt' ? 'prompt_filtered' : 'completion_filtered';
  return finishFailure(phase, 'content_filter', findings.categories, origin);
}

/** In chat's vocabulary. `calledTool`: a stream saw a call that its final event does not repeat. null: not ended. */
export function responseFinish(response: JsonObject, calledTool: boolean): string | null {
  switch (response['status']) {
    case 'completed':
      return calledTool || objectsOf(response['output']).some(isToolCall) ? 'tool_calls' : 'stop';
    case 'incomplete':
      return incompleteReason(response) === 'content_filter' ? 'content_filter' : 'length';
    default:
      return null;
  }
}

/** Calls that the client has to answer; those that the service runs itself (web_search_call, …) are not. */
export function isToolCall(item: JsonObject): boolean {
  return item['type'] === 'function_call' || item['type'] === 'custom_tool_call';
}

function incompleteReason(response: JsonObject): string {
  const details = response['incomplete_details'];
  return isObject(details) ? stringOf(details['reason']) : '';
}

/** A JSON object under a 200 without the part that makes it an answer: an error in another envelope, or nonsense. */
function shapeless(table: FailureTable, body: JsonObject, missing: string, origin: ErrorOrigin): Answer {
  const facts = readErrorFacts(body);
  if (facts !== null) return failed(classifyError(table.errors, facts, origin));
  return failed(failureOf('malformed', { ...NO_FACTS, message: `the answer has no ${missing}` }, origin));
}

function unreadable(table: FailureTable, parsed: unknown, body: Buffer, origin: ErrorOrigin): Answer {
  const facts = readErrorFacts(parsed);
  if (facts !== null) return failed(classifyError(table.errors, facts, origin));
  return failed(failureOf('malformed', { ...NO_FACTS, message: notJson(origin.headers, body) }, origin));
}

function failed(failure: Failure): Answer {
  return { failure, usage: null, finishReason: null };
}
