/** One program of a control plane: started, killed, frozen and started again, as often as a test wants. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProgramOptions {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  /** Gets what the program prints; each start appends. */
  readonly log: string;
  readonly env?: Readonly<Record<string, string>>;
  /** True: the program outlives this process. Else it ends with it, however that ends. */
  readonly detached?: boolean;
}

const STOP_MS = 10_000;
const LOG_END_CHARACTERS = 3_000;

export class Program {
  readonly #options: ProgramOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (this.#child !== undefined) throw new Error(`${this.name} is running`);
    const { argv, log, env, detached = false } = this.#options;
    const [command, ...flags] = argv;
    const file = openSync(log, 'a');
    try {
      const child = spawn(command, flags, {
        env: { ...process.env, ...env, ...(detached ? {} : { EXIT_WITH_STDIN: 'true' }) },
        stdio: [detached ? 'ignore' : 'pipe', file, file],
        detached,
      });
      this.#child = child;
      this.#ended = new Promise((resolve) => {
        const over = (): void => {
          if (this.#child === child) this.#child = undefined;
          resolve();
        };
        child.once('exit', over).once('error', over);
      });
      // A program that dies closes its end of the pipe; whoever waits for the program sees that it is gone.
      child.stdin?.on('error', () => undefined);
      if (detached) child.unref();
    } finally {
      closeSync(file);
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child === undefined) throw new Error(`${this.name} is not running, so it gets no ${signal}`);
    this.#child.kill(signal);
  }

  /** At once, as the kernel's memory killer does it. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** Asks it to end; insists after ten seconds. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(late);
  }

  logEnd(): string {
    return readFileSync(this.#options.log, 'utf8').slice(-LOG_END_CHARACTERS);
  }

  /** Looks again until it holds; fails with the end of the log where the program ends or the time is over. */
  async until(what: string, holds: () => Promise<boolean>, limitMs: number): Promise<void> {
    const deadlineMs = performance.now() + limitMs;
    while (!(await holds())) {
      const over = performance.now() > deadlineMs;
      if (this.running && !over) {
        await sleep(50);
        continue;
      }
      throw new Error(`${this.name} ${this.running ? `is not ${what} after ${limitMs} ms` : 'ended'}:\n${this.logEnd()}`);
    }
  }
}
