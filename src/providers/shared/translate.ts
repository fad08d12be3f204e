/** Makes an `Exchange` of two dialects: the client's, which is read and written, and an upstream's. */
import { HINTS } from '../../dialects/neutral/conversation.ts';
import { ReplyParts, type ReplyHead } from '../../dialects/neutral/reply.ts';
import { type ClientDialect, clientDialect, conversationOf } from '../../dialects/client.ts';
import { type BoundPaths, clampWritten } from '../../dialects/output-limit.ts';
import type { ParsedBody } from '../../dialects/parsed-body.ts';
import type { Failure } from '../../lib/failure.ts';
import { parseJson } from '../../lib/json.ts';
import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import type { Answer, AnswerHeaders, ClientAnswer, Exchange, Lacking, Translation } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from './classify.ts';
import { clientErrorOf } from './client-error.ts';
import { NO_FACTS } from './error-facts.ts';
import { httpErrorFacts } from './http-error.ts';
import { reduced } from './reduce.ts';
import { TranslatedStream } from './translated-stream.ts';
import type { Reading, UpstreamDialect } from './upstream-dialect.ts';

export interface TranslatedCall {
  readonly target: Target;
  readonly operation: Operation;
  readonly upstream: UpstreamDialect;
  /** Below the base URL's own path. */
  path(model: string, stream: boolean): string;
  /** Flat. */
  readonly headers: readonly string[];
}

/** null: clients cannot ask for this operation in a dialect that is translated. */
export function translated(call: TranslatedCall): Exchange | null {
  const client = clientDialect(call.operation);
  if (client === null) return null;
  const { target, upstream } = call;
  const secret = target.credential?.value.reveal() ?? '';
  const translation = new DialectTranslation(client, upstream, target, secret);
  return exchangeOf(target, (model, stream) => call.path(model, stream), call.headers, translation);
}

/** `path`: below the base URL's own, of the upstream's name of the model. */
export function exchangeOf(
  target: Target,
  path: (model: string, stream: boolean) => string,
  headers: readonly string[],
  translation: Translation,
): Exchange {
  const base = new URL(target.baseUrl);
  const prefix = base.pathname.replace(/\/+$/, '');
  return {
    origin: base.origin,
    path: (clientModel, stream) => prefix + path(target.model ?? clientModel, stream),
    headers,
    readAnswer: untranslated,
    readStream: untranslated,
    translation,
  };
}

function untranslated(): never {
  throw new Error('an answer that is translated is read by its translation');
}

class DialectTranslation implements Translation {
  readonly forwards = [];
  readonly #client: ClientDialect;
  readonly #upstream: UpstreamDialect;
  readonly #target: Target;
  readonly #secret: string;

  constructor(client: ClientDialect, upstream: UpstreamDialect, target: Target, secret: string) {
    this.#client = client;
    this.#upstream = upstream;
    this.#target = target;
    this.#secret = secret;
  }

  get streamType(): string {
    return this.#upstream.streamType;
  }

  lacks(body: ParsedBody): Lacking {
    const { uses, foreign, invalid, hints: known, thoughts } = conversationOf(this.#client, body);
    const taken = this.#upstream.thoughts;
    let refused = foreign;
    let hints = known;
    if (taken !== 'all') for (const [owner, place] of thoughts) if (owner === null || owner !== taken) hints = [...hints, place];
    for (const [feature, field] of uses) {
      if (!this.#upstream.lacks.has(feature)) continue;
      if (HINTS.has(feature)) hints = [...hints, field];
      else refused = [...refused, field];
    }
    return { invalid, refused, hints };
  }

  get bounds(): BoundPaths {
    return this.#upstream.bounds;
  }

  get answersAt(): readonly string[] | null {
    return this.#upstream.answersAt;
  }

  write(body: ParsedBody, _header: unknown, maxOutputTokens: number | null): Buffer {
    const conversation = conversationOf(this.#client, body);
    const taken = reduced(conversation, this.#upstream.lacks);
    const written = this.#upstream.write(taken, this.#target.model ?? conversation.model);
    // Parameters that a user sets for one model are written in that model's dialect.
    for (const [name, value] of this.#target.defaults) if (!Object.hasOwn(written, name)) written[name] = value;
    for (const [name, value] of this.#target.override) written[name] = value;
    if (maxOutputTokens !== null) clampWritten(written, this.bounds, maxOutputTokens);
    return Buffer.from(JSON.stringify(written));
  }

  answer(head: ReplyHead, status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer {
    const parts = new ReplyParts();
    const { reading, ...answer } = this.#read(parts, status, headers, body, complete);
    const { failure } = answer;
    const client = this.#clientAnswer(head, status, parts, failure, reading);
    return parts.lostParts.size === 0 ? { ...answer, client } : { ...answer, client, lost: [...parts.lostParts] };
  }

  stream(head: ReplyHead, headers: AnswerHeaders): TranslatedStream {
    const out = this.#client.writer.stream(head);
    return new TranslatedStream(
      this.#upstream.frames(),
      (sink) => this.#upstream.stream(sink, { headers, secret: this.#secret }),
      out,
    );
  }

  #read(
    parts: ReplyParts,
    status: number,
    headers: AnswerHeaders,
    body: Buffer,
    complete: boolean,
  ): Answer & { reading: Reading | null } {
    const origin: ErrorOrigin = { httpStatus: status, headers, outputSeen: false, secret: this.#secret };
    const fail = (failure: Failure): Answer & { reading: null } => ({ failure, usage: null, finishReason: null, reading: null });
    if (status >= 300) {
      const facts = httpErrorFacts(headers, body);
      return fail(classifyError(this.#upstream.errors, this.#upstream.errorFacts?.(headers, facts) ?? facts, origin));
    }
    const parsed = complete ? parseJson(body.toString('utf8')) : undefined;
    if (parsed === undefined) {
      const message = complete ? 'the answer is not JSON' : 'the answer is too large to be translated';
      return fail(failureOf('malformed', { ...NO_FACTS, message }, origin));
    }
    const reading = this.#upstream.read(parsed, parts, origin);
    const { failure, usage, finish, masked } = reading;
    const answer = { failure, usage, finishReason: failure?.kind === 'content_filtered' ? 'content_filter' : finish, reading };
    return masked === undefined ? answer : { ...answer, masked };
  }

  /** A filter's success is a success for the client too, which ends as a filtered one ends in its dialect. */
  #clientAnswer(
    head: ReplyHead,
    status: number,
    parts: ReplyParts,
    failure: Failure | null,
    reading: Reading | null,
  ): ClientAnswer {
    const contentType = 'application/json';
    if (failure !== null && (reading === null || failure.kind !== 'content_filtered'))
      return { status, contentType, body: this.#client.errorBody(clientErrorOf(failure)) };
    const end = {
      finish: failure === null ? (reading?.finish ?? 'stop') : ('content_filter' as const),
      stopSequence: reading?.stopSequence ?? null,
      usage: reading?.usage ?? null,
    };
    return { status, contentType, body: this.#client.writer.whole(head, parts, end) };
  }
}
