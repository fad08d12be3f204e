/** A real redis-server of the test's own: started on a free port, nothing kept on disk, ended with the test. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../controlplane/ports.ts';

/** null: there is one; else why there is none. */
export const redisAbsent: string | null =
  spawnSync('redis-server', ['--version']).status === 0
    ? null
    : 'redis-server is not installed (Debian: apt-get install redis-server)';

export interface Listening {
  readonly ready: Promise<string>;
  /** All of it, once it is enough. */
  until(holds: (said: string) => boolean): Promise<string>;
}

/** Where a process listens, and how a command line is run there. */
interface Place {
  readonly host: string;
  inside(...argv: readonly string[]): readonly string[];
}

const HERE: Place = { host: '127.0.0.1', inside: (...argv) => argv };

export class RedisProcess {
  readonly port: number;
  #process: ChildProcess;
  readonly #options: readonly string[];
  readonly #place: Place;

  private constructor(port: number, process: ChildProcess, options: readonly string[], place: Place) {
    this.port = port;
    this.#process = process;
    this.#options = options;
    this.#place = place;
  }

  /** `options`: as on redis-server's command line. */
  static async start(...options: string[]): Promise<RedisProcess> {
    return RedisProcess.#onFreePort(options, HERE);
  }

  /** In a network of its own. */
  static async startIn(namespace: Place): Promise<RedisProcess> {
    return RedisProcess.#onFreePort(['--protected-mode', 'no'], namespace);
  }

  /** With a configuration file of its own, in which it writes. */
  static async sentinel(file: string): Promise<RedisProcess> {
    return RedisProcess.#onFreePort([file, '--sentinel'], HERE);
  }

  /** Of two that are told of the same free port, one has it. */
  static async #onFreePort(options: readonly string[], place: Place): Promise<RedisProcess> {
    for (;;) {
      const port = await freePort();
      const child = await launch(port, options, place);
      if (child !== null) return new RedisProcess(port, child, options, place);
    }
  }

  /** Of a Cluster's node. */
  get busPort(): number {
    return Number(this.#options[this.#options.indexOf('--cluster-port') + 1]);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get alive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name);
  }

  /** As a machine that loses power. */
  async kill(): Promise<void> {
    if (!this.alive) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  /** On the same port, empty. */
  async restart(): Promise<void> {
    await this.kill();
    const child = await launch(this.port, this.#options, this.#place);
    if (child === null) throw new Error(`port ${this.port} was taken while its Redis was away`);
    this.#process = child;
  }

  /** All that is published on channels of a pattern, from when `ready` is. */
  listen(pattern: string): Listening {
    const socket = connect(this.port, this.#place.host);
    let said = '';
    socket.write(`PSUBSCRIBE ${pattern}\r\n`);
    socket.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const until = async (holds: (said: string) => boolean): Promise<string> => {
      while (!holds(said)) await once(socket, 'data');
      return said;
    };
    return { ready: until((all) => all.includes('psubscribe')), until };
  }

  /** One command, for the test itself. */
  async command(...words: string[]): Promise<string> {
    const socket = connect(this.port, this.#place.host);
    try {
      await once(socket, 'connect');
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
      const hungUp = once(socket, 'close').then(() => {
        throw new Error(`Redis hung up on ${words[0] ?? ''} without an answer`);
      });
      const [answer] = (await Promise.race([once(socket, 'data'), hungUp])) as [Buffer];
      // The end of the socket, below, is nobody's error.
      hungUp.catch(() => {});
      return answer.toString();
    } finally {
      socket.destroy();
    }
  }

  /** Resolves when a replica has all that this master has been told. WAIT does not say so: it is about what its own connection wrote. */
  async replicated(): Promise<void> {
    const goal = offsetIn(await this.command('INFO', 'replication'), /^master_repl_offset:(\d+)/m);
    for (;;) {
      if (offsetIn(await this.command('INFO', 'replication'), /^slave0:.*\boffset=(\d+)/m) >= goal) return;
      await sleep(20);
    }
  }
}

function offsetIn(info: string, where: RegExp): number {
  return Number(where.exec(info)?.[1] ?? Number.NaN);
}

/** null: the port is taken. What answers there may be another one's, so it must say itself that it listens. */
async function launch(port: number, options: readonly string[], place: Place): Promise<ChildProcess | null> {
  const file = options.slice(0, 1).filter((option) => !option.startsWith('--'));
  const argv = [...file, '--port', String(port), '--bind', place.host, '--save', '', '--appendonly', 'no'];
  // A replica would write down what it is sent, and whoever starts there later would begin with it.
  argv.push('--repl-diskless-load', 'swapdb', '--dbfilename', `fairlead-test-${process.pid}-${port}.rdb`);
  const [program = '', ...words] = place.inside('redis-server', ...argv, ...options.slice(file.length));
  const child = spawn(program, words, {
    cwd: tmpdir(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  for (;;) {
    if (child.exitCode !== null) {
      if (said.includes('Address already in use')) return null;
      throw new Error(`redis-server ended at once: ${said}`);
    }
    if (LISTENS.test(said) && (await answers(port, place.host))) return child;
    await sleep(10);
  }
}

/** Of Redis, which may have data still to load, and of a sentinel. */
const LISTENS = /Server initialized|Sentinel ID is/;

async function answers(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
