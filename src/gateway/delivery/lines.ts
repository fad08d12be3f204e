/** Cuts bytes into lines. */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: string) => void;
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** `maxBytes`: of one line; a longer one throws from `push`. */
  constructor(maxBytes: number, onLine: (line: string) => void) {
    this.#maxBytes = maxBytes;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      const piece = chunk.subarray(from, end);
      from = end + 1;
      let line: string;
      if (this.#rest.length === 0) {
        line = piece.toString();
      } else {
        line = Buffer.concat([...this.#rest, piece]).toString();
        this.#rest = [];
        this.#restBytes = 0;
      }
      this.#onLine(line);
    }
    if (from === chunk.length) return;
    this.#rest.push(chunk.subarray(from));
    this.#restBytes += chunk.length - from;
    if (this.#restBytes > this.#maxBytes) throw new Error(`a line of more than ${this.#maxBytes} bytes`);
  }
}
