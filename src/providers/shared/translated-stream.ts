/** Frames of an upstream → its reader → the client's writer. */
import type { LostPart, ReplySink, ReplyStream } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import type { Usage } from '../../lib/usage.ts';
import { type Masked, StreamEvent, type StreamTranslator } from '../provider.ts';
import type { FrameSource } from './frames.ts';
import type { UpstreamStream } from './upstream-dialect.ts';

export class TranslatedStream implements StreamTranslator {
  readonly #frames: FrameSource;
  readonly #reader: UpstreamStream;
  readonly #out: ReplyStream;
  #broken: Failure | null = null;
  #ended = false;
  /** The reader knows of the end. */
  #told = false;

  constructor(frames: FrameSource, reader: (sink: ReplySink) => UpstreamStream, out: ReplyStream) {
    this.#frames = frames;
    this.#reader = reader(out);
    this.#out = out;
  }

  push(chunk: Buffer): void {
    this.#frames.push(chunk);
  }

  end(): void {
    this.#ended = true;
    this.#frames.end();
  }

  next(): number {
    const frame = this.#frames.next();
    if (frame !== null) return frame.data === '' && frame.event === '' ? 0 : this.#reader.read(frame.event, frame.data);
    const { broken } = this.#frames;
    if (broken === null) {
      if (!this.#ended || this.#told) return -1;
      this.#told = true;
      return this.#reader.end?.() ?? -1;
    }
    this.#broken ??= { kind: 'stream_broken', sentBytes: 0, message: broken };
    return StreamEvent.Failed;
  }

  take(): string {
    return this.#out.take();
  }

  finish(): string {
    const { finishReason, stopSequence, usage, failure } = this.#reader;
    const finish = failure?.kind === 'content_filtered' ? 'content_filter' : (finishReason ?? 'stop');
    return this.#out.end({ finish, stopSequence, usage });
  }

  get finished(): boolean {
    return this.#broken === null && this.#reader.finished;
  }

  get finishReason(): string | null {
    return this.#reader.finishReason;
  }

  get failure(): Failure | null {
    return this.#reader.failure ?? this.#broken;
  }

  get usage(): Usage | null {
    return this.#reader.usage;
  }

  get outputUntold(): boolean {
    return this.#reader.outputUntold === true;
  }

  get masked(): Masked | null {
    return this.#reader.masked ?? null;
  }

  get outputChars(): number {
    return this.#reader.outputChars;
  }

  get lostParts(): ReadonlySet<LostPart> {
    return this.#out.lostParts;
  }

  get nextSequenceNumber(): number {
    return this.#out.nextSequenceNumber;
  }
}
