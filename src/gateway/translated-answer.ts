import { type LostPart, lostName } from '../dialects/neutral/reply.ts';
import type { Failure } from '../lib/failure.ts';
import { type AnswerHeaders, StreamEvent, type StreamTranslator } from '../providers/provider.ts';
import type { AnswerOwner } from './answer-owner.ts';

/** As of a stream that passes: what fails before the first output may fail over. */
const HELD_MAX_BYTES = 1024 * 1024;

/** What a stream leaves out is known when its headers are long gone: clients pass comments over, people read them. */
function droppedComment(lost: ReadonlySet<LostPart>): string {
  return lost.size === 0 ? '' : `: x-fairlead-dropped ${[...lost].map(lostName).join(', ')}\n\n`;
}

const STREAM_HEADERS: AnswerHeaders = { 'content-type': 'text/event-stream; charset=utf-8' };

/**
 * Relays a stream of another dialect, rewritten as it comes, by the same commit point as one that passes: until the first output
 * nothing is sent, a clean end needs a finish reason, what breaks after output is told.
 */
export class TranslatedAnswer {
  readonly reader: StreamTranslator;
  readonly #owner: AnswerOwner;
  #held: string | null = '';
  /** A filter cut the model short after output had flowed. */
  #filtered: Failure | null = null;
  #over = false;

  constructor(owner: AnswerOwner, reader: StreamTranslator) {
    this.#owner = owner;
    this.reader = reader;
  }

  get nextSequenceNumber(): number {
    return this.reader.nextSequenceNumber;
  }

  onChunk(chunk: Buffer): void {
    if (this.#over) return;
    this.reader.push(chunk);
    this.#relay();
  }

  onComplete(): void {
    if (this.#over) return;
    this.reader.end();
    this.#relay();
    if (this.#over) return;
    if (this.reader.finished || this.#filtered !== null) this.#finish();
    else this.#fail({ kind: 'stream_broken', sentBytes: 0, message: 'the stream ended without a finish reason' });
  }

  onBroken(failure: Failure): void {
    if (!this.#over) this.#fail(failure);
  }

  release(): void {
    this.#over = true;
    this.#held = null;
  }

  #relay(): void {
    const { reader } = this;
    for (let bits = reader.next(); bits !== -1; bits = reader.next()) {
      if ((bits & StreamEvent.Failed) !== 0) {
        const failure = reader.failure ?? { kind: 'malformed', message: 'the stream failed without saying why' };
        // Cut short in mid-answer: the client's dialect has a finish reason for that.
        if (this.#held === null && failure.kind === 'content_filtered') this.#filtered = failure;
        else return this.#fail(failure);
      }
      if ((bits & StreamEvent.Output) !== 0 && this.#held !== null && this.#owner.structured?.holds !== true) this.#commit();
      if ((bits & StreamEvent.Done) !== 0 && reader.finished) {
        this.#finish();
        return;
      }
    }
    this.#send();
  }

  #commit(): void {
    const held = this.#held ?? '';
    this.#held = null;
    this.#owner.commit(STREAM_HEADERS, 200, Buffer.from(held));
  }

  /** What one chunk has brought leaves as one write. */
  #send(): void {
    const text = this.reader.take();
    this.#owner.structured?.readFrames(text);
    if (this.#held === null) this.#write(text);
    else {
      this.#held += text;
      if (this.#held.length > HELD_MAX_BYTES) this.#commit();
    }
  }

  #write(text: string): void {
    if (text === '') return;
    const owner = this.#owner;
    if (!owner.clientStream.write(Buffer.from(text), () => owner.resume())) owner.pause();
  }

  #finish(): void {
    this.#over = true;
    this.#send();
    const checked = this.#filtered === null ? (this.#owner.structured?.streamed(this.#held) ?? this.#held) : this.#held;
    if (checked !== null && typeof checked !== 'string') return this.#fail(checked);
    this.#held = checked;
    if (this.#held !== null) this.#commit();
    this.#owner.ended(this.#decorated(this.#tail()), this.#filtered);
    this.#owner.enough();
  }

  #tail(): string {
    const { structured } = this.#owner;
    const dropped = droppedComment(this.reader.lostParts);
    const tail = this.reader.finish();
    return structured === null ? dropped + tail : dropped + structured.comment + structured.tail(tail);
  }

  /** The cost goes into whichever frame has the usage. */
  #decorated(tail: string): Buffer {
    if (!tail.includes('"usage"')) return Buffer.from(tail);
    const frames = tail.split(/(?<=\n\n)/);
    return Buffer.concat(
      frames.map((frame) => {
        const bytes = Buffer.from(frame);
        return frame.includes('"usage"') ? this.#owner.decorateUsage(bytes) : bytes;
      }),
    );
  }

  #fail(failure: Failure): void {
    this.#over = true;
    const held = this.#held;
    this.#held = null;
    this.#owner.cancel();
    if (held === null) {
      const text = this.reader.take();
      if (text !== '') this.#write(text);
      const told = failure.kind === 'stream_broken' ? { ...failure, sentBytes: this.#owner.clientStream.sentBytes } : failure;
      this.#owner.ended(null, told);
    } else if (failure.kind === 'content_filtered') {
      // For a route that does not fail over: the provider's refusal in the client's dialect.
      const body = Buffer.from(held + this.reader.take() + this.reader.finish());
      this.#owner.failed(failure, { status: 200, headers: STREAM_HEADERS, body });
    } else {
      this.#owner.failed(failure, null);
    }
  }
}
