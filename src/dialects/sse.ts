/**
 * Server-sent events by bytes, as the WHATWG HTML standard frames them (section 9.2.6): lines end in \n, \r\n or \r, a blank
 * line ends an event, an event that the stream does not finish is none.
 */

/** A frame larger than this is no event of a language model; reading stops there. */
const MAX_SSE_FRAME_BYTES = 8 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const EMPTY = Buffer.alloc(0);
const BLANK_LINE = Buffer.of(LF);

/** One frame of a stream. Comments, ids and retries are frames with empty `data`. */
export class SseEvent {
  /** The bytes this frame lies in; frames that follow each other in one source are contiguous. */
  readonly source: Buffer;
  readonly start: number;
  readonly end: number;
  /** The `event:` field, or ''. */
  readonly event: string;
  /** The `data:` lines joined with \n. */
  readonly data: string;

  constructor(source: Buffer, start: number, end: number, event: string, data: string) {
    this.source = source;
    this.start = start;
    this.end = end;
    this.event = event;
    this.data = data;
  }

  /** The whole frame, its blank line included: a view, never written to again. */
  get bytes(): Buffer {
    return this.source.subarray(this.start, this.end);
  }
}

/**
 * Splits a byte stream into frames: `push` a chunk, then call `next` until it gives null. The frames do not depend on how
 * the bytes were cut into chunks. Chunks must not be written to after they were pushed. No copy is made unless a frame
 * spans chunks; then each byte is copied a bounded number of times.
 */
export class SseSplitter {
  readonly #maxFrameBytes: number;
  /** From `#frame` on: bytes not yet handed out. */
  #buffer: Buffer = EMPTY;
  /** The allocation behind `#buffer` where it is our own and may have room after it; else null. */
  #store: Buffer | null = null;
  /** The unfinished frame's first byte, and its first line that has not been read. */
  #frame = 0;
  #line = 0;
  /** The first \n and \r at or after `#line`; -1: none in the buffer. Kept so that no byte is searched twice. */
  #lf = -1;
  #cr = -1;
  #event = '';
  #data: string | null = null;
  #atStart = true;
  #ended = false;
  #overflowed = false;

  constructor(maxFrameBytes = MAX_SSE_FRAME_BYTES) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** True once a frame was larger than allowed; there are no further events. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** What is left of an unfinished frame; empty where the stream ended (or stands) between frames. */
  get leftover(): Buffer {
    return this.#buffer.subarray(this.#frame);
  }

  push(chunk: Buffer): void {
    if (this.#overflowed || chunk.length === 0) return;
    const pending = this.#buffer.length - this.#frame;
    if (pending === 0) {
      this.#buffer = chunk;
      this.#store = null;
      this.#frame = 0;
      this.#line = 0;
      this.#lf = chunk.indexOf(LF);
      this.#cr = chunk.indexOf(CR);
      return;
    }
    const searched = this.#append(chunk, pending);
    if (this.#lf === -1) this.#lf = this.#buffer.indexOf(LF, searched);
    if (this.#cr === -1) this.#cr = this.#buffer.indexOf(CR, searched);
  }

  /**
   * Nothing more will be pushed: call `next` until null once more, then `leftover` says whether the stream was cut within a
   * line. A last frame that lacks only its blank line (Gemini and some relays end so) is an event, contrary to the standard:
   * its lines are whole. Its `bytes` get the blank line, or a client would drop what we have read.
   */
  end(): void {
    this.#ended = true;
  }

  /** The next whole frame, or null until more is pushed. */
  next(): SseEvent | null {
    const buffer = this.#buffer;
    for (;;) {
      const line = this.#line;
      let lineEnd = this.#lf;
      let after = lineEnd + 1;
      const cr = this.#cr;
      if (cr !== -1 && (lineEnd === -1 || cr < lineEnd)) {
        lineEnd = cr;
        if (cr + 1 === buffer.length && !this.#ended) return this.#wait();
        after = buffer[cr + 1] === LF ? cr + 2 : cr + 1;
        this.#cr = buffer.indexOf(CR, after);
      } else if (lineEnd === -1) {
        return this.#wait();
      }
      // A blank line's \n follows at once: no search needed.
      if (this.#lf < after) this.#lf = buffer[after] === LF ? after : buffer.indexOf(LF, after);
      this.#line = after;

      let start = line;
      if (this.#atStart) {
        this.#atStart = false;
        if (buffer[start] === 0xef && buffer[start + 1] === 0xbb && buffer[start + 2] === 0xbf) start += 3;
        this.#frame = start;
      }
      if (start < lineEnd) {
        this.#readField(buffer, start, lineEnd);
      } else if (this.#frame === start) {
        // Blank lines between frames belong to none.
        this.#frame = after;
      } else {
        return this.#finish(buffer, after);
      }
    }
  }

  #finish(buffer: Buffer, end: number): SseEvent | null {
    if (end - this.#frame > this.#maxFrameBytes) return this.#overflow();
    const event = new SseEvent(buffer, this.#frame, end, this.#event, this.#data ?? '');
    this.#frame = end;
    this.#event = '';
    this.#data = null;
    return event;
  }

  #wait(): SseEvent | null {
    const buffer = this.#buffer;
    const pending = buffer.length - this.#frame;
    if (pending > this.#maxFrameBytes) return this.#overflow();
    if (!this.#ended || pending === 0 || this.#line !== buffer.length) return null;
    this.#buffer = Buffer.concat([buffer.subarray(this.#frame), BLANK_LINE]);
    this.#frame = 0;
    this.#line = this.#buffer.length;
    return this.#finish(this.#buffer, this.#line);
  }

  #overflow(): null {
    this.#overflowed = true;
    this.#buffer = EMPTY;
    this.#store = null;
    this.#frame = 0;
    this.#line = 0;
    this.#lf = -1;
    this.#cr = -1;
    return null;
  }

  #readField(buffer: Buffer, start: number, end: number): void {
    // "data", "event" and "error", each alone or before a colon; everything else (comments, id, retry) says nothing to us.
    const first = buffer[start];
    if (first === 0x64) {
      if (buffer[start + 1] !== 0x61 || buffer[start + 2] !== 0x74 || buffer[start + 3] !== 0x61) return;
      const value = fieldValue(buffer, start + 4, end);
      if (value !== null) this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    } else if (first === 0x65 && buffer[start + 1] === 0x76) {
      if (buffer[start + 2] !== 0x65 || buffer[start + 3] !== 0x6e || buffer[start + 4] !== 0x74) return;
      this.#event = fieldValue(buffer, start + 5, end) ?? this.#event;
    } else if (first === 0x65) {
      this.#readError(buffer, start, end);
    }
  }

  /** Unknown to the standard: llama.cpp and what is built on it send `error: {…}` (tools/server/utils.hpp) where others have an event. */
  #readError(buffer: Buffer, start: number, end: number): void {
    if (buffer.toString('latin1', start, Math.min(start + 6, end)) !== 'error:') return;
    this.#event = 'error';
    this.#data = fieldValue(buffer, start + 5, end);
  }

  /** Joins the unfinished frame and the chunk; returns the offset up to which the buffer has been searched. */
  #append(chunk: Buffer, pending: number): number {
    const used = this.#buffer.length;
    if (this.#store !== null && used + chunk.length <= this.#store.length) {
      // Behind what was handed out, so no view changes.
      chunk.copy(this.#store, used);
      this.#buffer = this.#store.subarray(0, used + chunk.length);
      return used;
    }
    // Doubled where small chunks feed a large frame, so that its copies stay linear.
    const size = pending + chunk.length;
    const store = Buffer.allocUnsafe(pending > chunk.length ? 2 * size : size);
    this.#buffer.copy(store, 0, this.#frame);
    chunk.copy(store, pending);
    if (this.#lf !== -1) this.#lf -= this.#frame;
    if (this.#cr !== -1) this.#cr -= this.#frame;
    this.#line -= this.#frame;
    this.#frame = 0;
    this.#store = store;
    this.#buffer = store.subarray(0, size);
    return pending;
  }
}

/** The value behind a field's name, which ends at `at`; null where the name goes on. */
function fieldValue(buffer: Buffer, at: number, end: number): string | null {
  if (at === end) return '';
  if (at > end || buffer[at] !== COLON) return null;
  const start = buffer[at + 1] === SPACE ? at + 2 : at + 1;
  return start < end ? buffer.toString('utf8', start, end) : '';
}

/** A comment: keeps proxies in front from cutting a silent connection, and says nothing to a client. */
export const SSE_KEEP_ALIVE: Buffer = Buffer.from(': keep-alive\n\n');

/** The frame of one event. `event` '' leaves the field out; it must not contain a line end. */
export function formatSseEvent(event: string, data: string): Buffer {
  const name = event === '' ? '' : `event: ${event}\n`;
  const lines = data.includes('\n') || data.includes('\r') ? data.replaceAll(/\r\n|\n|\r/g, '\ndata: ') : data;
  return Buffer.from(`${name}data: ${lines}\n\n`);
}
