/**
 * Anthropic's own clients at Anthropic's models elsewhere (Bedrock's InvokeModel, Vertex AI): the same messages, with the model in
 * the path, a version in the body, and streams that may come framed otherwise. Nothing is lost, unknown members included.
 */
import { anthropicErrorBody } from '../../dialects/anthropic/answer.ts';
import { messagesWriter } from '../../dialects/anthropic/write-messages.ts';
import { type LostPart, ReplyParts, type ReplyHead } from '../../dialects/neutral/reply.ts';
import { clampWritten } from '../../dialects/output-limit.ts';
import type { ParsedBody } from '../../dialects/parsed-body.ts';
import { formatSseEvent } from '../../dialects/sse.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, type JsonObject, parseJson, stringOf } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import type { Target } from '../../routetable/types.ts';
import { readMessage } from '../anthropic/answer.ts';
import { withoutForeignThoughts } from '../anthropic/own-thoughts.ts';
import { MessagesStream } from '../anthropic/stream.ts';
import {
  type Answer,
  type AnswerHeaders,
  type Lacking,
  type Masked,
  StreamEvent,
  type StreamTranslator,
  type Translation,
} from '../provider.ts';
import { classifyError, type ErrorOrigin, type ErrorRule } from './classify.ts';
import { clientErrorOf } from './client-error.ts';
import { NO_FACTS, type ErrorFacts } from './error-facts.ts';
import type { Frame, FrameSource } from './frames.ts';
import { httpErrorFacts } from './http-error.ts';

export interface RawMessages {
  readonly target: Target;
  /** `anthropic_version` of the body. */
  readonly version: string;
  /** Betas go into the body instead of the header. */
  readonly betasInBody: boolean;
  readonly errors: readonly ErrorRule[];
  errorFacts(headers: AnswerHeaders, facts: ErrorFacts): ErrorFacts;
  readonly streamType: string;
  frames(): FrameSource;
  /** A frame's event of Anthropic's stream as JSON text; null: the frame is an error of the service itself (`event` begins with `!`). */
  unwrap(frame: Frame): string | null;
  /** What the service itself did to an answer, or by the events of a stream; null: nothing. Absent: it does nothing. */
  interventionOf?(answer: JsonObject, origin: ErrorOrigin): Intervention | null;
}

/** An answer that was blocked, or one in which something was masked. */
export type Intervention =
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'masked'; readonly masked: Masked };

const NOTHING: Lacking = { invalid: [], refused: [], hints: [] };

export class RawMessagesTranslation implements Translation {
  readonly passesMembers = true;
  readonly bounds = [['max_tokens']];
  readonly answersAt = null;
  readonly forwards: readonly string[];
  readonly streamType: string;
  readonly #raw: RawMessages;
  readonly #secret: string;

  constructor(raw: RawMessages) {
    this.#raw = raw;
    this.#secret = raw.target.credential?.value.reveal() ?? '';
    this.streamType = raw.streamType;
    this.forwards = raw.betasInBody ? [] : ['anthropic-beta'];
  }

  lacks(body: ParsedBody): Lacking {
    const foreign = withoutForeignThoughts(body.json);
    return foreign === null ? NOTHING : { ...NOTHING, hints: foreign.dropped };
  }

  write(body: ParsedBody, header: (name: string) => string | undefined, maxOutputTokens: number | null): Buffer {
    const { defaults, override } = this.#raw.target;
    const own = withoutForeignThoughts(body.json)?.json ?? body.json;
    const written: Record<string, unknown> = { anthropic_version: this.#raw.version, ...own };
    delete written['model'];
    // Told by the path on Bedrock, which refuses it in the body; Vertex AI wants it there.
    if (this.#raw.betasInBody) delete written['stream'];
    for (const [name, value] of defaults) if (!Object.hasOwn(written, name)) written[name] = value;
    for (const [name, value] of override) written[name] = value;
    if (maxOutputTokens !== null) clampWritten(written, this.bounds, maxOutputTokens);
    const betas = header('anthropic-beta');
    if (this.#raw.betasInBody && betas !== undefined) written['anthropic_beta'] = betas.split(',').map((beta) => beta.trim());
    return Buffer.from(JSON.stringify(written));
  }

  answer(head: ReplyHead, status: number, headers: AnswerHeaders, body: Buffer, complete: boolean): Answer {
    const origin: ErrorOrigin = { httpStatus: status, headers, outputSeen: false, secret: this.#secret };
    if (status >= 300) {
      const facts = this.#raw.errorFacts(headers, httpErrorFacts(headers, body));
      const failure = classifyError(this.#raw.errors, facts, origin);
      const client = { status, contentType: 'application/json', body: anthropicErrorBody(clientErrorOf(failure)) };
      return { failure, usage: null, finishReason: null, client };
    }
    const parsed = complete ? parseJson(body.toString('utf8')) : undefined;
    const parts = new ReplyParts();
    const { failure, usage, finish, stopSequence } = readMessage(parsed, parts, origin);
    const answer = { failure, usage, finishReason: finish };
    const found = failure === null && isObject(parsed) ? (this.#raw.interventionOf?.(parsed, origin) ?? null) : null;
    if (found?.kind === 'failed') {
      const refused = Buffer.from(JSON.stringify({ ...(parsed as JsonObject), stop_reason: 'refusal' }));
      const client = { status, contentType: 'application/json', body: refused };
      return { failure: found.failure, usage, finishReason: 'content_filter', client };
    }
    if (found !== null) return { ...answer, masked: found.masked };
    if (failure !== null || !isObject(parsed) || parsed['type'] !== 'completion') return answer;
    const whole = messagesWriter.whole(head, parts, { finish: finish ?? 'stop', stopSequence, usage });
    return { ...answer, client: { status, contentType: 'application/json', body: whole } };
  }

  stream(_head: ReplyHead, headers: AnswerHeaders): StreamTranslator {
    return new ReframedMessages(this.#raw, headers, this.#secret);
  }
}

class ReframedMessages implements StreamTranslator {
  readonly nextSequenceNumber = 0;
  readonly lostParts: ReadonlySet<LostPart> = new Set();
  readonly #raw: RawMessages;
  readonly #frames: FrameSource;
  readonly #reader: MessagesStream;
  readonly #context: Pick<ErrorOrigin, 'headers' | 'secret'>;
  masked: Masked | null = null;
  /** The event that says why the model stopped, held until the next one. */
  #stop: JsonObject | null = null;
  #out = '';
  #ended = false;
  #failure: Failure | null = null;

  constructor(raw: RawMessages, headers: AnswerHeaders, secret: string) {
    this.#raw = raw;
    this.#frames = raw.frames();
    this.#reader = new MessagesStream(null, { headers, secret });
    this.#context = { headers, secret };
  }

  push(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  end(): void {
    this.#frames.end();
  }

  next(): number {
    const frame = this.#frames.next();
    if (frame === null) {
      const { broken } = this.#frames;
      if (broken === null) return -1;
      this.#failure ??= { kind: 'stream_broken', sentBytes: 0, message: broken };
      return StreamEvent.Failed;
    }
    if (frame.event === '' && frame.data === '') return 0;
    const data = this.#raw.unwrap(frame);
    if (data === null) {
      const name = frame.event.slice(1);
      const said = parseJson(frame.data);
      const message = isObject(said) ? stringOf(said['message'] ?? said['Message']) : '';
      const facts = { ...NO_FACTS, code: name, names: [name.toLowerCase()], message };
      this.#failure ??= classifyError(this.#raw.errors, facts, this.#origin());
      return StreamEvent.Failed;
    }
    if (data === '') return 0;
    const event = parseJson(data);
    const type = isObject(event) ? stringOf(event['type']) : '';
    const bits = this.#reader.read(type, data);
    if (type === 'message_stop') this.#ended = true;
    const found = isObject(event) ? (this.#raw.interventionOf?.(event, this.#origin()) ?? null) : null;
    if (found?.kind === 'failed') {
      this.#failure ??= found.failure;
      if (this.#stop !== null) this.#stop = { ...this.#stop, delta: { stop_reason: 'refusal', stop_sequence: null } };
      return bits | StreamEvent.Failed;
    }
    if (found !== null) this.masked = found.masked;
    this.#out += this.#stopped();
    // Why the model stopped is told before what was done to its answer.
    if (type === 'message_delta' && isObject(event) && this.#raw.interventionOf !== undefined) {
      this.#stop = event;
      return bits;
    }
    if ((bits & StreamEvent.Failed) === 0 || this.#reader.failure?.kind === 'content_filtered')
      this.#out += formatSseEvent(type, data).toString();
    return bits;
  }

  #stopped(): string {
    const held = this.#stop;
    this.#stop = null;
    return held === null ? '' : formatSseEvent('message_delta', JSON.stringify(held)).toString();
  }

  #origin(): ErrorOrigin {
    return { httpStatus: 200, outputSeen: this.#reader.outputSeen, ...this.#context };
  }

  take(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  finish(): string {
    this.#out += this.#stopped();
    return this.#ended && this.#failure === null
      ? this.take()
      : `${this.take()}event: message_stop\ndata: {"type":"message_stop"}\n\n`;
  }

  get finished(): boolean {
    return this.#failure === null && this.#reader.finished;
  }

  get finishReason(): string | null {
    return this.#failure?.kind === 'content_filtered' ? 'content_filter' : this.#reader.finishReason;
  }

  get failure(): Failure | null {
    return this.#failure ?? this.#reader.failure;
  }

  get usage(): Usage | null {
    return this.#reader.usage;
  }

  get outputUntold(): boolean {
    return this.#reader.outputUntold;
  }

  get outputChars(): number {
    return this.#reader.outputChars;
  }
}
