import type { Transform } from 'node:stream';
import { CONTENT_DECODERS } from '../lib/content-decoders.ts';
import type { Failure } from '../lib/failure.ts';
import type { Fields } from '../lib/http1/message-parser.ts';
import type { CallSink, UpstreamCall } from './call.ts';

/**
 * Stands between a call and its sink and takes off a `content-encoding` that the upstream used although it was asked not to.
 * Memory stays bounded however much a small body unfolds into: the call is paused while the decoder is ahead of its reader.
 */
export class DecodingSink implements CallSink {
  readonly #sink: CallSink;
  #call: UpstreamCall | null = null;
  #decoder: Transform | null = null;
  /** Anything at all has come to be decoded. */
  #fed = false;
  #over = false;

  constructor(sink: CallSink) {
    this.#sink = sink;
  }

  attach(call: UpstreamCall): void {
    this.#call = call;
  }

  onAnswer(status: number, headers: Readonly<Fields>): void {
    const encoding = headers['content-encoding'];
    if (encoding === undefined || encoding === 'identity' || encoding === '') {
      this.#sink.onAnswer(status, headers);
      return;
    }
    const create = CONTENT_DECODERS.get(encoding.toLowerCase());
    if (create === undefined) {
      this.#fail(`content-encoding ${JSON.stringify(encoding.slice(0, 64))} cannot be decoded`);
      return;
    }
    const decoder = create();
    this.#decoder = decoder;
    decoder.on('data', (chunk: Buffer) => {
      if (!this.#over) this.#sink.onChunk(chunk);
    });
    decoder.on('end', () => {
      if (this.#over) return;
      this.#over = true;
      this.#sink.onComplete();
    });
    decoder.on('error', (error) => this.#fail(`the ${encoding} body is damaged: ${error.message}`));
    decoder.on('drain', () => this.#call?.resume());
    const { 'content-encoding': _encoding, 'content-length': _length, ...rest } = headers;
    this.#sink.onAnswer(status, rest);
  }

  onChunk(chunk: Buffer): void {
    if (this.#over) return;
    this.#fed = true;
    if (this.#decoder === null) this.#sink.onChunk(chunk);
    else if (!this.#decoder.write(chunk)) this.#call?.pause();
  }

  onComplete(): void {
    if (this.#over) return;
    // No bytes are no body, whatever it would have been encoded in.
    if (this.#decoder === null || !this.#fed) this.#sink.onComplete();
    else this.#decoder.end();
  }

  onBroken(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    this.#sink.onBroken(failure);
  }

  /** The reader is behind or has caught up. */
  pause(): void {
    if (this.#decoder === null) this.#call?.pause();
    else this.#decoder.pause();
  }

  resume(): void {
    if (this.#decoder === null) this.#call?.resume();
    else this.#decoder.resume();
  }

  /** Nothing more is told, and the call is left a moment to end. */
  enough(): void {
    this.#over = true;
    this.#decoder?.destroy();
    this.#call?.enough();
  }

  cancel(): void {
    this.#over = true;
    this.#decoder?.destroy();
    this.#call?.cancel();
  }

  #fail(message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#decoder?.destroy();
    this.#call?.cancel();
    this.#sink.onBroken({ kind: 'malformed', message });
  }
}
