/** The processes of a run: which core each runs on, and that none outlives it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';

/** What runs beside what: the measured process has a core to itself. */
export type Place = 'measured' | 'load' | 'upstream';

/** Cores by place; null: they share all there are. */
export const CORES: Readonly<Record<Place, number>> | null = chooseCores();

function chooseCores(): Record<Place, number> | null {
  const count = availableParallelism();
  if (count < 2 || spawnSync('taskset', ['-V']).status !== 0) return null;
  return { measured: count - 1, load: 0, upstream: count > 2 ? 1 : 0 };
}

function pinned(place: Place, argv: readonly string[]): [string, string[]] {
  const [program = '', ...rest] = CORES === null ? argv : ['taskset', '-c', String(CORES[place]), ...argv];
  return [program, rest];
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) kill(child, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

/** Each is the head of a process group, so that what it started ends with it. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

const STOP_MS = 5_000;

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const force = setTimeout(() => kill(child, 'SIGKILL'), STOP_MS);
    const ended = once(child, 'exit');
    kill(child, 'SIGTERM');
    await ended;
    clearTimeout(force);
  }
  kill(child, 'SIGKILL');
  running.delete(child);
}

/** A server that is measured. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #logFile: string;

  /** What it prints goes into `logFile`. */
  constructor(argv: readonly string[], env: Readonly<Record<string, string>>, logFile: string) {
    const log = openSync(logFile, 'w');
    this.#logFile = logFile;
    this.#child = spawn(...pinned('measured', argv), {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#child.on('error', () => running.delete(this.#child));
    running.add(this.#child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The last line it printed. */
  lastWords(): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  }

  async stop(): Promise<void> {
    if (this.#child.pid !== undefined) await stop(this.#child);
  }
}

/** A program of ours that works for this one: a message to it, a message back. */
export class Helper {
  readonly #child: ChildProcess;
  readonly #name: string;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
  }

  /** Resolves with the helper and the first thing it says. */
  static async start(file: string, place: Place): Promise<{ helper: Helper; hello: unknown }> {
    const child = spawn(...pinned(place, [process.execPath, file]), {
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    running.add(child);
    const helper = new Helper(child, file);
    return { helper, hello: await helper.#heard() };
  }

  async ask(message: object): Promise<unknown> {
    this.#child.send(message);
    return this.#heard();
  }

  async #heard(): Promise<unknown> {
    const done = new AbortController();
    const gone = once(this.#child, 'exit', { signal: done.signal }).then(() => {
      throw new Error(`${this.#name} ended`);
    });
    try {
      const [message] = (await Promise.race([once(this.#child, 'message', { signal: done.signal }), gone])) as unknown[];
      return message;
    } finally {
      done.abort();
      gone.catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    await stop(this.#child);
  }
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port to listen on');
  return address.port;
}
