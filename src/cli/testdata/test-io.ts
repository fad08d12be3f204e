/** A process for a command under test: what it writes is kept, what it waits for is given by the test. */
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '../../lib/clock.ts';
import { parseJsonOrThrow } from '../../lib/json-parse.ts';
import type { Io, Output, StopSignal } from '../io.ts';

export interface TestIoOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly terminal?: boolean;
}

/** Text that a command writes, and waiting for what it will. */
class Captured implements Output {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 100;
  readonly #waiting = new Set<() => void>();

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
    for (const look of this.#waiting) look();
  }

  /** Resolves with the first match in what is written from `after` on. */
  async until(pattern: RegExp, after = 0): Promise<RegExpExecArray> {
    return new Promise((resolve) => {
      const look = (): void => {
        const match = pattern.exec(this.text.slice(after));
        if (match === null) return;
        this.#waiting.delete(look);
        resolve(match);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

export class TestIo implements Io {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: AsyncIterable<string>;
  readonly stdout: Captured;
  readonly stderr: Captured;
  readonly logTo: Io['logTo'];
  readonly clock = systemClock;
  readonly #folder = mkdtempSync(join(tmpdir(), 'fairlead-io-'));
  readonly #stopHandlers = new Set<(signal: StopSignal) => void>();

  constructor({ env = {}, stdin = '', terminal = false }: TestIoOptions = {}) {
    this.env = env;
    this.stdin = (async function* () {
      yield stdin;
    })();
    this.stdout = new Captured(terminal);
    this.stderr = new Captured(terminal);
    const open = (name: string): number => openSync(join(this.#folder, name), 'a');
    // A log closes what it was given: each gets a descriptor of its own.
    this.logTo = {
      get stdout() {
        return open('out.log');
      },
      get stderr() {
        return open('err.log');
      },
    };
  }

  random(): number {
    return Math.random();
  }

  randomBytes(count: number): Uint8Array {
    return crypto.getRandomValues(new Uint8Array(count));
  }

  onStop(handler: (signal: StopSignal) => void): () => void {
    this.#stopHandlers.add(handler);
    return () => this.#stopHandlers.delete(handler);
  }

  stop(signal: StopSignal = 'SIGTERM'): void {
    for (const handler of [...this.#stopHandlers]) handler(signal);
  }

  /** The JSON lines of the log, once the command has ended. */
  logLines(): readonly unknown[] {
    return this.#read('out.log')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => parseJsonOrThrow(line));
  }

  /** Everything that anybody could read. */
  everything(): string {
    return this.stdout.text + this.stderr.text + this.#read('out.log') + this.#read('err.log');
  }

  #read(name: string): string {
    const path = join(this.#folder, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
