import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { atTurnEnd, type Flushable } from '../lib/turn-end.ts';
import { writeHead } from './write-head.ts';

/**
 * The client's side of an answer, whole or streamed. A stream is opened at the commit point, or earlier when silence has lasted so long that a proxy in
 * between might cut it: then comments keep it alive while failover goes on behind it.
 *
 * Each write leaves as one buffer, already framed as an HTTP chunk: `ServerResponse.write` makes four of it, which was half the
 * cost of relaying an event. What is written in one turn of the event loop goes out at its end.
 */
export class ClientStream implements Flushable {
  readonly #response: ServerResponse;
  #opened = false;
  #chunked = true;
  /** What to do when the client has caught up; null: nobody waits for it. */
  #onDrain: (() => void) | null = null;
  /** The connection that holds back this turn's writes. */
  #corked: Socket | null = null;
  /** A whole answer whose head is written. */
  #whole: Buffer | null = null;
  /** Bytes of the body of a stream written so far. */
  sentBytes = 0;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** A whole answer, all at once. `headers` is flat: name, value, …; without content-length. */
  whole(status: number, headers: string[], body: Buffer): void {
    headers.push('content-length', String(body.length));
    writeHead(this.#response, status, headers);
    this.#whole = body;
    atTurnEnd(this);
  }

  /** Writes a stream's head. `headers` is flat: name, value, …; content-type is the caller's. */
  open(headers: readonly string[]): void {
    if (this.#opened) return;
    this.#opened = true;
    writeHead(this.#response, 200, headers);
    // From here on the body is framed by us (see above); an HTTP/1.0 client gets it unframed, ended by the connection's end.
    this.#chunked = this.#response.chunkedEncoding;
    this.#response.chunkedEncoding = false;
  }

  /** False: the client is behind; the `onDrain` of the last such write is called once when it has caught up. */
  write(bytes: Buffer, onDrain: () => void): boolean {
    // An empty chunk would end the body.
    if (bytes.length === 0) return true;
    this.sentBytes += bytes.length;
    if (this.#corked === null) this.#cork();
    const flowing = this.#response.write(this.#chunked ? frame(bytes) : bytes);
    if (!flowing) {
      if (this.#onDrain === null) this.#response.once('drain', () => this.#drained());
      this.#onDrain = onDrain;
    }
    return flowing;
  }

  #cork(): void {
    const { socket } = this.#response;
    if (socket === null) return;
    this.#corked = socket;
    socket.cork();
    atTurnEnd(this);
  }

  /** The turn's end. An answer that has ended meanwhile has let go of its connection: then this does nothing. */
  flush(): void {
    // As text it joins the head in one string, which node writes at once; as bytes it would be a second piece of a gathered write.
    if (this.#whole !== null && this.#whole.length <= ONE_WRITE_MAX_BYTES)
      this.#response.end(this.#whole.toString('latin1'), 'latin1');
    else if (this.#whole !== null) this.#response.end(this.#whole);
    this.#corked?.uncork();
    this.#corked = null;
  }

  end(bytes: Buffer | null): void {
    if (bytes !== null) this.sentBytes += bytes.length;
    if (!this.#chunked) {
      this.#response.end(bytes ?? undefined);
    } else if (bytes === null || bytes.length === 0) {
      this.#response.end(LAST_CHUNK);
    } else {
      this.#response.end(Buffer.concat([frame(bytes), LAST_CHUNK]));
    }
  }

  /** Ends the connection in a way that no client can take for a whole answer. */
  abort(): void {
    // Unframed, a mere end of the connection would be the end of the answer.
    if (this.#chunked) this.#response.destroy();
    else this.#response.socket?.resetAndDestroy();
  }

  #drained(): void {
    const onDrain = this.#onDrain;
    this.#onDrain = null;
    onDrain?.();
  }
}

/** Above it node encodes text on the heap. */
const ONE_WRITE_MAX_BYTES = 12 * 1024;
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const CR = 13;
const LF = 10;
const HEX = Buffer.from('0123456789abcdef');

/** RFC 9112 section 7.1: size in hex, CRLF, data, CRLF. */
function frame(bytes: Buffer): Buffer {
  const length = bytes.length;
  let digits = 1;
  for (let rest = length >>> 4; rest > 0; rest >>>= 4) digits += 1;
  const framed = Buffer.allocUnsafe(digits + 2 + length + 2);
  for (let index = digits - 1, rest = length; index >= 0; index -= 1, rest >>>= 4) framed[index] = HEX[rest & 15] ?? 0;
  framed[digits] = CR;
  framed[digits + 1] = LF;
  framed.set(bytes, digits + 2);
  framed[digits + 2 + length] = CR;
  framed[digits + 3 + length] = LF;
  return framed;
}
