/** The largest object that etcd takes is 1.5 MB; with room for how JSON may blow it up. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines, wherever its chunks end. */
export class LineDecoder {
  #pieces: Buffer[] = [];
  #bytes = 0;
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** Whether a line has begun and not ended. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  /** False where a line is longer than any that can be right. Blank lines are passed over. */
  push(chunk: Buffer): boolean {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = this.#take(chunk.subarray(from, end));
      from = end + 1;
      if (line.trim() !== '') this.#onLine(line);
    }
    if (from < chunk.length) {
      this.#pieces.push(chunk.subarray(from));
      this.#bytes += chunk.length - from;
    }
    return this.#bytes <= MAX_LINE_BYTES;
  }

  #take(last: Buffer): string {
    if (this.#pieces.length === 0) return last.toString('utf8');
    const line = Buffer.concat([...this.#pieces, last]).toString('utf8');
    this.#pieces = [];
    this.#bytes = 0;
    return line;
  }
}
