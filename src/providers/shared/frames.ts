/** How upstreams cut their streams into events: SSE, lines of JSON, AWS's binary event stream. */
import { EventStreamCodec } from '@smithy/eventstream-codec';
import { SseSplitter } from '../../dialects/sse.ts';

export interface Frame {
  /** What kind of event it is, where the framing tells; ''. */
  readonly event: string;
  readonly data: string;
}

export interface FrameSource {
  push(chunk: Buffer): void;
  /** Nothing more will be pushed. */
  end(): void;
  /** null until more is pushed. */
  next(): Frame | null;
  /** Why nothing can be read any more; null: it can. */
  readonly broken: string | null;
}

const MAX_FRAME_BYTES = 8 * 1024 * 1024;

export class SseFrames implements FrameSource {
  readonly #splitter = new SseSplitter();

  push(chunk: Buffer): void {
    this.#splitter.push(chunk);
  }

  end(): void {
    this.#splitter.end();
  }

  next(): Frame | null {
    return this.#splitter.next();
  }

  get broken(): string | null {
    return this.#splitter.overflowed ? 'a frame of the stream is larger than 8 MiB' : null;
  }
}

const LF = 0x0a;

/** One JSON value a line, as Ollama streams. */
export class LineFrames implements FrameSource {
  broken: string | null = null;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #lines: string[] = [];

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, from)) {
      this.#hold(chunk.subarray(from, at));
      this.#flush();
      from = at + 1;
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from));
  }

  end(): void {
    this.#flush();
  }

  next(): Frame | null {
    const data = this.#lines.shift();
    return data === undefined ? null : { event: '', data };
  }

  #hold(bytes: Buffer): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > MAX_FRAME_BYTES) this.broken = 'a line of the stream is longer than 8 MiB';
    else this.#held.push(bytes);
  }

  #flush(): void {
    const line = Buffer.concat(this.#held).toString('utf8').trim();
    this.#held = [];
    this.#heldBytes = 0;
    if (line !== '') this.#lines.push(line);
  }
}

const CODEC = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
);
/** Total length and header length, each of four bytes, and the CRC of both. */
const PRELUDE_BYTES = 12;
/** Prelude and the message's own CRC. */
const MIN_MESSAGE_BYTES = PRELUDE_BYTES + 4;

/**
 * `application/vnd.amazon.eventstream`: length-prefixed messages with headers, both CRCs checked.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
 */
export class EventStreamFrames implements FrameSource {
  broken: string | null = null;
  /** Joined when a message is whole, so that one in many chunks is copied a bounded number of times. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Nothing can be read of fewer bytes. */
  #neededBytes = PRELUDE_BYTES;
  #ended = false;

  push(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  end(): void {
    this.#ended = true;
  }

  next(): Frame | null {
    if (this.broken !== null) return null;
    if (this.#heldBytes < this.#neededBytes) return this.#wait();
    const buffer = this.#joined();
    const length = buffer.readUInt32BE(0);
    if (length < MIN_MESSAGE_BYTES || length > MAX_FRAME_BYTES) {
      this.broken = `a message of the event stream claims a length of ${length} bytes`;
      return null;
    }
    if (buffer.length < length) {
      this.#neededBytes = length;
      return this.#wait();
    }
    this.#keep(buffer.subarray(length));
    try {
      const { headers, body } = CODEC.decode(buffer.subarray(0, length));
      const text = (name: string): string => {
        const header = headers[name];
        return header?.type === 'string' ? header.value : '';
      };
      const type = text(':message-type');
      // An exception names itself; an `error` is one that the service did not model.
      const event =
        type === 'exception'
          ? `!${text(':exception-type')}`
          : type === 'error'
            ? `!${text(':error-code') || 'error'}`
            : text(':event-type');
      const data = type === 'error' ? JSON.stringify({ message: text(':error-message') }) : Buffer.from(body).toString('utf8');
      return { event, data };
    } catch (error) {
      this.broken = `a message of the event stream is damaged: ${error instanceof Error ? error.message : 'unreadable'}`;
      return null;
    }
  }

  #joined(): Buffer {
    const [first] = this.#held;
    const buffer = this.#held.length === 1 && first !== undefined ? first : Buffer.concat(this.#held, this.#heldBytes);
    this.#held = [buffer];
    return buffer;
  }

  #keep(rest: Buffer): void {
    this.#held = [rest];
    this.#heldBytes = rest.length;
    this.#neededBytes = PRELUDE_BYTES;
  }

  #wait(): null {
    if (this.#ended && this.#heldBytes > 0) this.broken = 'the event stream was cut within a message';
    return null;
  }
}
