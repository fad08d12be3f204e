import { SseSplitter } from '../dialects/sse.ts';
import type { Failure } from '../lib/failure.ts';
import { type AnswerHeaders, StreamEvent, type StreamReader } from '../providers/provider.ts';
import type { AnswerOwner } from './answer-owner.ts';
import { sequenceNumberAfter } from './sequence-number.ts';
import type { StructuredCheck } from './structured.ts';

/** Frames before the first output are held so that a failure among them can still fail over; more than this is output in disguise. */
const HELD_MAX_BYTES = 1024 * 1024;

/**
 * Relays an event stream. Until the first output (the commit point) frames are held; from then on they pass as they came,
 * byte for byte, but for a usage chunk that the client did not ask for. A stream ends cleanly only after a finish reason:
 * neither the upstream's end of body nor its `[DONE]` is proof of one.
 */
export class StreamAnswer {
  readonly #owner: AnswerOwner;
  readonly #headers: AnswerHeaders;
  readonly #reader: StreamReader;
  readonly #splitter = new SseSplitter();
  /** The dialect has no end mark but a last event, which alone tells a finish reason. */
  readonly #endsItself: boolean;
  #held: Buffer[] | null = [];
  #heldBytes = 0;
  /** What of it the budget has given. */
  #takenBytes = 0;
  /** Of the last event that was read. */
  #lastData = '';
  #doneMark: Buffer | null = null;
  /** A filter cut the model short after output had flowed. */
  #filtered: Failure | null = null;
  #over = false;

  constructor(owner: AnswerOwner, headers: AnswerHeaders) {
    this.#owner = owner;
    this.#headers = headers;
    this.#reader = owner.exchange.readStream(headers);
    this.#endsItself = owner.exchange.streamEnd.length === 0;
  }

  get reader(): StreamReader {
    return this.#reader;
  }

  /** What follows the last event that the client was sent, in a dialect that numbers its events. */
  get nextSequenceNumber(): number {
    return this.#held === null ? sequenceNumberAfter(this.#lastData) : 0;
  }

  onChunk(chunk: Buffer): void {
    if (this.#over) return;
    this.#splitter.push(chunk);
    this.#relayEvents();
  }

  #relayEvents(): void {
    const splitter = this.#splitter;
    const { structured } = this.#owner;
    // Frames that follow each other in one chunk leave as one write.
    let source: Buffer | null = null;
    let start = 0;
    let end = 0;
    for (let event = splitter.next(); event !== null; event = splitter.next()) {
      const { usage } = this.#reader;
      const bits = event.data === '' ? 0 : this.#reader.read(event.event, event.data);
      if ((bits & StreamEvent.Failed) !== 0 && !this.#endsFiltered()) {
        if (source !== null) this.#write(source.subarray(start, end));
        this.#fail(this.#reader.failure ?? { kind: 'malformed', message: 'the stream failed without saying why' }, event.bytes);
        return;
      }
      if ((bits & StreamEvent.Done) !== 0) {
        this.#doneMark = event.bytes;
        if (this.#isComplete()) break;
        continue;
      }
      if ((bits & StreamEvent.UsageOnly) !== 0 && !this.#owner.includeUsage) continue;
      const replaced = this.#reader.usage === usage ? null : this.#decorated(event.bytes);
      if (event.data !== '') this.#lastData = event.data;
      structured?.read(event.data);
      if (this.#held !== null) {
        const fits = this.#hold(replaced ?? event.bytes);
        if (((bits & StreamEvent.Output) !== 0 && structured?.holds !== true) || !fits) this.#commit();
        if (this.#endsItself && this.#isComplete()) break;
        continue;
      }
      if (source !== null && (source !== event.source || end !== event.start || replaced !== null)) {
        this.#write(source.subarray(start, end));
        source = null;
      }
      if (replaced !== null) {
        this.#write(replaced);
      } else {
        if (source === null) {
          ({ source, start } = event);
        }
        end = event.end;
      }
      if (this.#endsItself && this.#isComplete()) break;
    }
    if (source !== null) this.#write(source.subarray(start, end));
    if (splitter.overflowed) this.#fail({ kind: 'malformed', message: 'a frame of the stream is larger than 8 MiB' }, null);
    else if (this.#isComplete()) this.#finish();
  }

  /** All that the client needs is there; the transport's end may be long in coming. */
  #isComplete(): boolean {
    if (!this.#reader.finished) return false;
    return this.#doneMark !== null || (this.#endsItself && this.#reader.finishReason !== null);
  }

  onComplete(): void {
    if (this.#over) return;
    // A last frame that lacks its blank line.
    this.#splitter.end();
    this.#relayEvents();
    if (this.#over) return;
    if (this.#reader.finished) this.#finish();
    else this.#fail({ kind: 'stream_broken', sentBytes: 0, message: 'the stream ended without a finish reason' }, null);
  }

  onBroken(failure: Failure): void {
    if (!this.#over) this.#fail(failure, null);
  }

  release(): void {
    this.#over = true;
    this.#giveBack();
  }

  /** The call itself goes on until its transport ends: a connection that is not cut can be used again. */
  #finish(): void {
    this.#over = true;
    const { structured } = this.#owner;
    if (structured !== null && this.#filtered === null && !this.#isAsAsked(structured)) return;
    // A whole stream without a word of output (an empty completion) commits at its end.
    if (this.#held !== null) this.#commit();
    const end = this.#doneMark ?? this.#owner.exchange.streamEnd;
    const comment = structured?.comment ?? '';
    this.#owner.ended(comment === '' ? end : Buffer.concat([Buffer.from(comment), end]), this.#filtered);
    // Nobody will read on, however far behind the client is.
    this.#owner.enough();
  }

  /** False: the stream has failed for what it says. One that was held may have been mended. */
  #isAsAsked(structured: StructuredCheck): boolean {
    const held = this.#held === null ? null : Buffer.concat(this.#held).toString('utf8');
    const checked = structured.streamed(held);
    if (checked === null) return true;
    if (typeof checked !== 'string') {
      this.#fail(checked, null);
      return false;
    }
    if (checked !== held) this.#held = [Buffer.from(checked)];
    return true;
  }

  /** False: there is no room for more. */
  #hold(bytes: Buffer): boolean {
    this.#held?.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_MAX_BYTES || !this.#owner.budget.take(bytes.length)) return false;
    this.#takenBytes += bytes.length;
    return true;
  }

  #giveBack(): void {
    this.#owner.budget.give(this.#takenBytes);
    this.#takenBytes = 0;
    this.#held = null;
    this.#heldBytes = 0;
  }

  #commit(): void {
    const held = this.#held ?? [];
    this.#giveBack();
    this.#owner.commit(this.#headers, 200, held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held));
  }

  /** null: the usage event goes out as it is. */
  #decorated(bytes: Buffer): Buffer | null {
    const decorated = this.#owner.decorateUsage(bytes);
    return decorated === bytes ? null : decorated;
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const owner = this.#owner;
    if (!owner.clientStream.write(bytes, () => owner.resume())) owner.pause();
  }

  /**
   * True for a filter that stopped the model in mid-answer, after the commit: the provider's own frame carries the finish reason
   * that clients know, so the stream goes on to its proper end.
   */
  #endsFiltered(): boolean {
    const { failure, finishReason } = this.#reader;
    if (this.#held !== null || failure?.kind !== 'content_filtered' || finishReason !== 'content_filter') return false;
    this.#filtered = failure;
    return true;
  }

  /** Before the commit the host decides (failover); after it the client is told. `frame` is the event that said so. */
  #fail(failure: Failure, frame: Buffer | null): void {
    this.#over = true;
    const { exchange } = this.#owner;
    const held = this.#held;
    this.#giveBack();
    this.#owner.cancel();
    if (held === null) {
      const told = failure.kind === 'stream_broken' ? { ...failure, sentBytes: this.#owner.clientStream.sentBytes } : failure;
      this.#owner.ended(null, told);
    } else if (failure.kind === 'content_filtered' && frame !== null && this.#reader.finished) {
      // The provider's own way of saying it, for a route that does not fail over.
      const body = Buffer.concat([...held, frame, exchange.streamEnd]);
      this.#owner.failed(failure, { status: 200, headers: this.#headers, body });
    } else {
      this.#owner.failed(failure, null);
    }
  }
}
