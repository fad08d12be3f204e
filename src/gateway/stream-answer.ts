import { SseSplitter } from '../dialects/sse.ts';
import type { Failure } from '../lib/failure.ts';
import { type AnswerHeaders, StreamEvent, type StreamReader } from '../providers/provider.ts';
import type { AnswerOwner } from './answer-owner.ts';

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
  #held: Buffer[] | null = [];
  #heldBytes = 0;
  #doneMark: Buffer | null = null;
  /** A filter cut the model short after output had flowed. */
  #filtered: Failure | null = null;
  #over = false;

  constructor(owner: AnswerOwner, headers: AnswerHeaders) {
    this.#owner = owner;
    this.#headers = headers;
    this.#reader = owner.exchange.readStream(headers);
  }

  get reader(): StreamReader {
    return this.#reader;
  }

  onChunk(chunk: Buffer): void {
    if (this.#over) return;
    this.#splitter.push(chunk);
    this.#relayEvents();
  }

  #relayEvents(): void {
    const splitter = this.#splitter;
    // Frames that follow each other in one chunk leave as one write.
    let source: Buffer | null = null;
    let start = 0;
    let end = 0;
    for (let event = splitter.next(); event !== null; event = splitter.next()) {
      const bits = event.data === '' ? 0 : this.#reader.read(event.event, event.data);
      if ((bits & StreamEvent.Failed) !== 0 && !this.#endsFiltered()) {
        if (source !== null) this.#write(source.subarray(start, end));
        this.#fail(this.#reader.failure ?? { kind: 'malformed', message: 'the stream failed without saying why' }, event.bytes);
        return;
      }
      if ((bits & StreamEvent.Done) !== 0) {
        this.#doneMark = event.bytes;
        continue;
      }
      let replaced: Buffer | null = null;
      if ((bits & StreamEvent.UsageOnly) !== 0) {
        if (!this.#owner.includeUsage) continue;
        replaced = this.#owner.decorateUsage(event.bytes);
      }
      if (this.#held !== null) {
        this.#hold(replaced ?? event.bytes);
        if ((bits & StreamEvent.Output) !== 0 || this.#heldBytes > HELD_MAX_BYTES) this.#commit();
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
    }
    if (source !== null) this.#write(source.subarray(start, end));
    if (splitter.overflowed) this.#fail({ kind: 'malformed', message: 'a frame of the stream is larger than 8 MiB' }, null);
  }

  onComplete(): void {
    if (this.#over) return;
    // A last frame that lacks its blank line.
    this.#splitter.end();
    this.#relayEvents();
    if (this.#over) return;
    if (!this.#reader.finished) {
      this.#fail({ kind: 'stream_broken', sentBytes: 0, message: 'the stream ended without a finish reason' }, null);
      return;
    }
    this.#over = true;
    // A whole stream without a word of output (an empty completion) commits at its end.
    if (this.#held !== null) this.#commit();
    this.#owner.ended(this.#doneMark ?? this.#owner.exchange.streamEnd, this.#filtered);
  }

  onBroken(failure: Failure): void {
    if (this.#over) return;
    // Everything arrived, then the connection broke instead of ending: the client lacks nothing.
    if (failure.kind === 'stream_broken' && this.#reader.finished && this.#doneMark !== null) this.onComplete();
    else this.#fail(failure, null);
  }

  release(): void {
    this.#over = true;
    this.#giveBack();
  }

  #hold(bytes: Buffer): void {
    this.#held?.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #giveBack(): void {
    this.#held = null;
    this.#heldBytes = 0;
  }

  #commit(): void {
    const held = this.#held ?? [];
    this.#giveBack();
    this.#owner.commit(this.#headers, 200);
    this.#write(held.length === 1 && held[0] !== undefined ? held[0] : Buffer.concat(held));
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
    const { failure } = this.#reader;
    if (this.#held !== null || failure?.kind !== 'content_filtered' || !this.#reader.finished) return false;
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
