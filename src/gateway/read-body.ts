import type { Transform } from 'node:stream';
import { CONTENT_DECODERS } from '../lib/content-decoders.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { GatewayError } from './errors.ts';
import type { BodySink, Exchange } from './http1/exchange.ts';

export interface BodyReader {
  onBody(body: Buffer): void;
  onBodyError(error: GatewayError): void;
}

/** A body may come in chunks of a byte, each an object of a hundred: so many pieces become one where they are small. */
const JOIN_PIECES = 256;
const JOIN_MAX_BYTES = JOIN_PIECES * 1024;

/**
 * Reads one request body, decoded, of at most `maxBytes` before and after decoding. What it takes from the budget it counts in
 * `heldBytes`; the owner gives it back by `release` when the request is over, read or not.
 */
export class RequestBody implements BodySink {
  heldBytes = 0;
  readonly #exchange: Exchange;
  readonly #budget: BufferBudget;
  readonly #maxBytes: number;
  readonly #reader: BodyReader;
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;
  /** Of `#more`, at its end: not looked at yet whether they are to be joined. */
  #loosePieces = 0;
  #looseBytes = 0;
  #length = 0;
  #encoding: string | undefined;
  #over = false;

  constructor(exchange: Exchange, budget: BufferBudget, maxBytes: number, reader: BodyReader) {
    this.#exchange = exchange;
    this.#budget = budget;
    this.#maxBytes = maxBytes;
    this.#reader = reader;
  }

  start(): void {
    if ((this.#exchange.contentLength ?? 0) > this.#maxBytes) {
      this.#fail(this.#tooLarge());
      return;
    }
    const encoding = this.#exchange.headers['content-encoding']?.toLowerCase();
    if (encoding !== undefined && encoding !== 'identity' && encoding !== '' && !CONTENT_DECODERS.has(encoding)) {
      this.#fail({
        code: 'unsupported_encoding',
        message: `The request's content-encoding ${JSON.stringify(encoding.slice(0, 64))} is not supported; send gzip, deflate, br, zstd or none.`,
      });
      return;
    }
    this.#encoding = encoding;
    this.#exchange.readBody(this);
  }

  release(): void {
    this.#over = true;
    this.#budget.give(this.heldBytes);
    this.heldBytes = 0;
    this.#first = null;
    this.#more = null;
  }

  onBodyBytes(chunk: Buffer): void {
    if (this.#over) return;
    this.#length += chunk.length;
    if (this.#length > this.#maxBytes) {
      this.#fail(this.#tooLarge());
      return;
    }
    if (!this.hold(chunk.length)) return;
    if (this.#first === null) this.#first = chunk;
    else this.#append((this.#more ??= [this.#first]), chunk);
  }

  #append(pieces: Buffer[], chunk: Buffer): void {
    pieces.push(chunk);
    this.#loosePieces += 1;
    this.#looseBytes += chunk.length;
    if (this.#loosePieces < JOIN_PIECES) return;
    if (this.#looseBytes <= JOIN_MAX_BYTES) pieces.push(Buffer.concat(pieces.splice(-JOIN_PIECES), this.#looseBytes));
    this.#loosePieces = 0;
    this.#looseBytes = 0;
  }

  onBodyEnd(): void {
    if (this.#over) return;
    const encoding = this.#encoding;
    const body = this.#more === null ? (this.#first ?? EMPTY) : Buffer.concat(this.#more, this.#length);
    this.#more = null;
    const decoder = encoding === undefined ? undefined : CONTENT_DECODERS.get(encoding);
    if (decoder === undefined) this.#reader.onBody(body);
    else this.#decode(decoder(), body);
  }

  /** Piece by piece: many small bodies that unfold at the same moment would take more than there is before the first is whole. */
  #decode(decoder: Transform, body: Buffer): void {
    const pieces: Buffer[] = [];
    let length = 0;
    decoder.on('data', (piece: Buffer) => {
      if (!this.#over) {
        length += piece.length;
        if (length > this.#maxBytes) this.#fail(this.#tooLarge(', decoded,'));
        else if (this.hold(piece.length)) pieces.push(piece);
      }
      if (this.#over) decoder.destroy();
    });
    decoder.on('end', () => {
      if (!this.#over) this.#reader.onBody(Buffer.concat(pieces, length));
    });
    decoder.on('error', ({ message }) => {
      if (this.#over) return;
      this.#fail({ code: 'invalid_body', message: `The request body is not valid ${this.#encoding ?? ''} data: ${message}.` });
    });
    decoder.end(body);
  }

  /** False: there is no room, and the reader has been told. */
  hold(bytes: number): boolean {
    if (this.#budget.take(bytes)) {
      this.heldBytes += bytes;
      return true;
    }
    this.#fail({
      code: 'overloaded',
      message: 'This gateway holds as many request bytes as it may; try again shortly.',
      retryAfterMs: 1000,
    });
    return false;
  }

  #tooLarge(how = ''): GatewayError {
    return {
      code: 'request_too_large',
      message: `The request body${how} is larger than this gateway takes (${this.#maxBytes} bytes).`,
    };
  }

  #fail(error: GatewayError): void {
    this.#over = true;
    this.#reader.onBodyError(error);
  }
}

const EMPTY = Buffer.alloc(0);
