/** OpenAI's embeddings over those who have embeddings in a form of their own. https://platform.openai.com/docs/api-reference/embeddings/create */
import { errorBody } from '../../dialects/openai/answer.ts';
import type { ReplyHead } from '../../dialects/neutral/reply.ts';
import { isNoOp } from '../../dialects/neutral/reading.ts';
import type { ParsedBody } from '../../dialects/parsed-body.ts';
import type { Failure } from '../../lib/failure.ts';
import { parseJson } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import type { Target } from '../../routetable/types.ts';
import type { Answer, AnswerHeaders, ClientAnswer, Exchange, Lacking, StreamTranslator, Translation } from '../provider.ts';
import { classifyError, failureOf, type ErrorRule } from './classify.ts';
import { clientErrorOf } from './client-error.ts';
import { NO_FACTS, type ErrorFacts } from './error-facts.ts';
import { httpErrorFacts } from './http-error.ts';
import { exchangeOf } from './translate.ts';

/** What the client asks for. */
export interface EmbeddingRequest {
  readonly texts: readonly string[];
  readonly dimensions: number | null;
  /** What the vectors are for, in Cohere's words; null: the client does not say. */
  readonly inputType: string | null;
}

export interface EmbeddingReply {
  readonly vectors: readonly (readonly number[])[];
  /** null: not told. */
  readonly inputTokens: number | null;
}

/** How an upstream has its embeddings. */
export interface EmbeddingDialect {
  /** Below the base URL's own path. */
  path(model: string): string;
  /** What it has no place for, by OpenAI's names. */
  readonly lacks: ReadonlySet<'dimensions' | 'input_type'>;
  /** More texts in one call are refused before it. */
  readonly maxTexts: number;
  readonly errors: readonly ErrorRule[];
  write(request: EmbeddingRequest, model: string): Record<string, unknown>;
  /** null: it is not an answer. */
  read(answer: unknown, headers: AnswerHeaders): EmbeddingReply | null;
  errorFacts?(headers: AnswerHeaders, facts: ErrorFacts): ErrorFacts;
}

export function embeddingsExchange(target: Target, headers: readonly string[], dialect: EmbeddingDialect): Exchange {
  return exchangeOf(target, (model) => dialect.path(model), headers, new EmbeddingTranslation(target, dialect));
}

const KNOWN: ReadonlySet<string> = new Set(['model', 'input', 'dimensions', 'encoding_format', 'user', 'input_type']);
const CHARS_PER_TOKEN = 4;

class EmbeddingTranslation implements Translation {
  readonly streamType = 'text/event-stream';
  readonly forwards = [];
  readonly bounds = [];
  readonly answersAt = null;
  readonly #target: Target;
  readonly #dialect: EmbeddingDialect;

  constructor(target: Target, dialect: EmbeddingDialect) {
    this.#target = target;
    this.#dialect = dialect;
  }

  lacks(body: ParsedBody): Lacking {
    const { json } = body;
    const texts = textsOf(json['input']);
    const { maxTexts, lacks } = this.#dialect;
    const refused = Object.keys(json).filter((name) => !KNOWN.has(name) && !isNoOp(json[name]));
    for (const name of lacks) if (!isNoOp(json[name])) refused.push(name);
    // Tokens are another model's.
    if (texts === null || texts.length > maxTexts) refused.push('input');
    const invalid = isNoOp(json['input'])
      ? [{ param: 'input', message: "Invalid 'input': expected a text or a list of texts." }]
      : [];
    return { invalid, refused: invalid.length > 0 ? [] : refused, hints: isNoOp(json['user']) ? [] : ['user'] };
  }

  write(body: ParsedBody): Buffer {
    const written = this.#dialect.write(this.#requestOf(body), this.#target.model ?? body.model);
    for (const [name, value] of this.#target.defaults) if (!Object.hasOwn(written, name)) written[name] = value;
    for (const [name, value] of this.#target.override) written[name] = value;
    return Buffer.from(JSON.stringify(written));
  }

  #requestOf({ json }: ParsedBody): EmbeddingRequest {
    const { dimensions, input_type: inputType } = json;
    return {
      texts: textsOf(json['input']) ?? [],
      dimensions: typeof dimensions === 'number' && !this.#dialect.lacks.has('dimensions') ? dimensions : null,
      inputType: typeof inputType === 'string' && !this.#dialect.lacks.has('input_type') ? inputType : null,
    };
  }

  answer(head: ReplyHead, status: number, headers: AnswerHeaders, body: Buffer, complete: boolean, asked?: ParsedBody): Answer {
    const secret = this.#target.credential?.value.reveal() ?? '';
    const origin = { httpStatus: status, headers, outputSeen: false, secret };
    if (status >= 300) {
      const facts = httpErrorFacts(headers, body);
      return failed(classifyError(this.#dialect.errors, this.#dialect.errorFacts?.(headers, facts) ?? facts, origin), status);
    }
    const reply = complete ? this.#dialect.read(parseJson(body.toString('utf8')), headers) : null;
    const request = asked === undefined ? undefined : this.#requestOf(asked);
    if (reply === null || (request !== undefined && reply.vectors.length !== request.texts.length)) {
      const message = reply === null ? 'the answer has no embeddings' : 'the answer has another number of embeddings than texts';
      return failed(failureOf('malformed', { ...NO_FACTS, message }, origin), status);
    }
    const usage = usageOf(reply, request);
    const client = clientAnswer(head, reply, usage, asked?.json['encoding_format'] === 'base64');
    return { failure: null, usage, finishReason: null, client };
  }

  stream(): StreamTranslator {
    throw new Error('embeddings are not streamed');
  }
}

function failed(failure: Failure, status: number): Answer {
  const client = { status, contentType: 'application/json', body: errorBody(clientErrorOf(failure)) };
  return { failure, usage: null, finishReason: null, client };
}

/** null: there is something else than texts. */
function textsOf(input: unknown): readonly string[] | null {
  const list: readonly unknown[] = Array.isArray(input) ? input : [input];
  return list.every((text) => typeof text === 'string') ? list : null;
}

function usageOf({ inputTokens }: EmbeddingReply, request: EmbeddingRequest | undefined): Usage {
  const chars = request?.texts.reduce((sum, text) => sum + text.length, 0) ?? 0;
  const counted = inputTokens ?? Math.ceil(chars / CHARS_PER_TOKEN);
  return { inputTokens: counted, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0, estimated: inputTokens === null };
}

function clientAnswer({ model }: ReplyHead, { vectors }: EmbeddingReply, { inputTokens }: Usage, base64: boolean): ClientAnswer {
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: base64 ? packed(vector) : vector,
  }));
  const usage = { prompt_tokens: inputTokens, total_tokens: inputTokens };
  const body = Buffer.from(JSON.stringify({ object: 'list', data, model, usage }));
  return { status: 200, contentType: 'application/json', body };
}

/** Little-endian floats of four bytes, as OpenAI's clients ask for them by themselves. */
function packed(vector: readonly number[]): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}

/** Lists of numbers, one a text; null: it is something else. */
export function vectorsOf(value: unknown): readonly (readonly number[])[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const lists: readonly unknown[] = value;
  const isVector = (list: unknown): list is readonly number[] =>
    Array.isArray(list) && list.length > 0 && (list as readonly unknown[]).every((each) => typeof each === 'number');
  return lists.every(isVector) ? lists : null;
}

export function countOf(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 ? Math.trunc(value) : null;
}
