import { SseSplitter } from '../dialects/sse.ts';
import type { Failure } from '../lib/failure.ts';
import type { StreamReader } from '../providers/provider.ts';
import { sequenceNumberAfter } from './sequence-number.ts';

/** The events of a response that an upstream keeps, from wherever the client wants them; whole ones only, as they came. */
export class StoredStream {
  readonly #reader: StreamReader;
  readonly #splitter = new SseSplitter();
  #lastData = '';

  constructor(reader: StreamReader) {
    this.#reader = reader;
  }

  /** What of it can go out; empty where no event has come to its end. */
  read(chunk: Buffer): Buffer {
    this.#splitter.push(chunk);
    return this.#events();
  }

  /** A last event that lacks its blank line. */
  end(): Buffer {
    this.#splitter.end();
    return this.#events();
  }

  /** What follows the last event that was given out. */
  get nextSequenceNumber(): number {
    return sequenceNumberAfter(this.#lastData);
  }

  /** Why it cannot go on; null: it can. */
  get broken(): Failure | null {
    return this.#splitter.overflowed ? { kind: 'malformed', message: 'a frame of the stream is larger than 8 MiB' } : null;
  }

  /** Its last event is there: also one that says how the response failed, which is an answer to who asks for it. */
  get finished(): boolean {
    const { finished, failure } = this.#reader;
    return finished || (failure !== null && failure.kind !== 'malformed');
  }

  #events(): Buffer {
    const found: Buffer[] = [];
    for (let event = this.#splitter.next(); event !== null; event = this.#splitter.next()) {
      if (event.data !== '') {
        this.#reader.read(event.event, event.data);
        this.#lastData = event.data;
      }
      found.push(event.bytes);
    }
    return found.length === 1 && found[0] !== undefined ? found[0] : Buffer.concat(found);
  }
}
