/**
 * Anthropic's own clients at Anthropic's models elsewhere (Bedrock's InvokeModel, Vertex AI): the same messages, with the model in
 * the path, a version in the body, and streams that may come framed otherwise. Nothing is lost, unknown members included.
 */
import { anthropicErrorBody } from '../../dialects/anthropic/answer.ts';
import { messagesWriter } from '../../dialects/anthropic/write-messages.ts';
import { ReplyParts, type ReplyHead } from '../../dialects/neutral/reply.ts';
import type { ParsedBody } from '../../dialects/request-body.ts';
import { formatSseEvent } from '../../dialects/sse.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, parseJson, stringOf } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import type { Target } from '../../routetable/types.ts';
import { readMessage } from '../anthropic/answer.ts';
import { MessagesStream } from '../anthropic/stream.ts';
import {
  type Answer,
  type AnswerHeaders,
  type Lacking,
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
}

const NOTHING: Lacking = { invalid: [], refused: [], hints: [] };

export class RawMessagesTranslation implements Translation {
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

  lacks(): Lacking {
    return NOTHING;
  }

  write(body: ParsedBody, header: (name: string) => string | undefined): Buffer {
    const { defaults, override } = this.#raw.target;
    const written: Record<string, unknown> = { anthropic_version: this.#raw.version, ...body.json };
    delete written['model'];
    // Told by the path on Bedrock, which refuses it in the body; Vertex AI wants it there.
    if (this.#raw.betasInBody) delete written['stream'];
    for (const [name, value] of defaults) if (!Object.hasOwn(written, name)) written[name] = value;
    for (const [name, value] of override) written[name] = value;
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
    if (failure !== null || !isObject(parsed) || parsed['type'] !== 'completion') return answer;
    const whole = messagesWriter.whole(head, parts.parts, { finish: finish ?? 'stop', stopSequence, usage });
    return { ...answer, client: { status, contentType: 'application/json', body: whole } };
  }

  stream(_head: ReplyHead, headers: AnswerHeaders): StreamTranslator {
    return new ReframedMessages(this.#raw, headers, this.#secret);
  }
}

class ReframedMessages implements StreamTranslator {
  readonly nextSequenceNumber = 0;
  readonly #raw: RawMessages;
  readonly #frames: FrameSource;
  readonly #reader: MessagesStream;
  readonly #origin: ErrorOrigin;
  #out = '';
  #ended = false;
  #failure: Failure | null = null;

  constructor(raw: RawMessages, headers: AnswerHeaders, secret: string) {
    this.#raw = raw;
    this.#frames = raw.frames();
    this.#reader = new MessagesStream(null, { headers, secret });
    this.#origin = { httpStatus: 200, headers, outputSeen: false, secret };
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
      this.#failure ??= classifyError(this.#raw.errors, facts, this.#origin);
      return StreamEvent.Failed;
    }
    if (data === '') return 0;
    const event = parseJson(data);
    const type = isObject(event) ? stringOf(event['type']) : '';
    const bits = this.#reader.read(type, data);
    if (type === 'message_stop') this.#ended = true;
    if ((bits & StreamEvent.Failed) === 0 || this.#reader.failure?.kind === 'content_filtered')
      this.#out += formatSseEvent(type, data).toString();
    return bits;
  }

  take(): string {
    const out = this.#out;
    this.#out = '';
    return out;
  }

  finish(): string {
    return this.#ended ? this.take() : `${this.take()}event: message_stop\ndata: {"type":"message_stop"}\n\n`;
  }

  get finished(): boolean {
    return this.#failure === null && this.#reader.finished;
  }

  get finishReason(): string | null {
    return this.#reader.finishReason;
  }

  get failure(): Failure | null {
    return this.#failure ?? this.#reader.failure;
  }

  get usage(): Usage | null {
    return this.#reader.usage;
  }

  get outputChars(): number {
    return this.#reader.outputChars;
  }
}
