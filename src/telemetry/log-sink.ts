import { pino } from 'pino';

/** Lines wait until there is this much to write at once, or the next flush. */
const CHUNK_CHARS = 64 * 1024;
const FLUSH_EVERY_MS = 200;
/** What may wait for a slow reader of the log; beyond it lines are dropped and counted. */
const MAX_WAITING_CHARS = 4 * 1024 * 1024;

export interface LogSinkOptions {
  /** Where to: a file descriptor, 1 for the standard output. */
  readonly fd: number;
  readonly onDropped: (lines: number) => void;
  /** A write that failed, e.g. on a full disk; the log goes on with the next one. */
  readonly onError: (error: Error) => void;
}

/**
 * Where lines of the log go: gathered into large writes that never block the event loop, written after 200 ms at the latest, and
 * synchronously at the process's end, whether it exits or crashes. One write is under way at a time and the next takes all that
 * has gathered meanwhile, so a busy event loop does not slow it. Lines end in a newline.
 */
export class LogSink {
  readonly #out: ReturnType<typeof pino.destination>;
  readonly #onDropped: (lines: number) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #atExit = (): void => this.flushSync();
  #waiting = '';
  #writing = false;

  constructor({ fd, onDropped, onError }: LogSinkOptions) {
    this.#onDropped = onDropped;
    // maxLength bounds what piles up behind writes that fail, in bytes.
    this.#out = pino.destination({ dest: fd, sync: false, minLength: 1, maxLength: 4 * MAX_WAITING_CHARS });
    this.#out.on('drop', (chunk: string) => onDropped(chunk.split('\n').length - 1));
    this.#out.on('drain', () => {
      this.#writing = false;
      if (this.#waiting.length >= CHUNK_CHARS) this.#pass();
    });
    this.#out.on('error', (error: Error) => {
      this.#writing = false;
      onError(error);
    });
    this.#timer = setInterval(() => {
      if (!this.#writing) this.#pass();
    }, FLUSH_EVERY_MS).unref();
    process.on('exit', this.#atExit);
  }

  write(line: string): void {
    if (this.#waiting.length + line.length > MAX_WAITING_CHARS) {
      this.#onDropped(1);
      return;
    }
    this.#waiting += line;
    if (this.#waiting.length >= CHUNK_CHARS && !this.#writing) this.#pass();
  }

  /** Resolves when everything written so far is with the operating system, or its write has failed and `onError` was told. */
  flush(): Promise<void> {
    this.#pass();
    // It also syncs, which pipes refuse: no reason to fail here.
    return new Promise((resolve) => this.#out.flush(() => resolve()));
  }

  flushSync(): void {
    this.#pass();
    this.#out.flushSync();
  }

  /** Writes what waits and closes the destination; nothing may be written afterwards. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    process.removeListener('exit', this.#atExit);
    await this.flush();
    this.#out.end();
  }

  #pass(): void {
    if (this.#waiting === '') return;
    const chunk = this.#waiting;
    this.#waiting = '';
    this.#writing = true;
    this.#out.write(chunk);
  }
}
