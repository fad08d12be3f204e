/** A real redis-server of the test's own: started on a free port, nothing kept on disk, ended with the test. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** null: there is one; else why there is none. */
export const redisAbsent: string | null =
  spawnSync('redis-server', ['--version']).status === 0
    ? null
    : 'redis-server is not installed (Debian: apt-get install redis-server)';

export class RedisProcess {
  readonly port: number;
  #process: ChildProcess;
  readonly #options: readonly string[];

  private constructor(port: number, process: ChildProcess, options: readonly string[]) {
    this.port = port;
    this.#process = process;
    this.#options = options;
  }

  /** `options`: as on redis-server's command line. */
  static async start(...options: string[]): Promise<RedisProcess> {
    const port = await freePort();
    return new RedisProcess(port, await launch(port, options), options);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(name);
  }

  /** As a machine that loses power. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  /** On the same port, empty. */
  async restart(): Promise<void> {
    await this.kill();
    this.#process = await launch(this.port, this.#options);
  }

  /** One command, for the test itself. */
  async command(...words: string[]): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      return answer.toString();
    } finally {
      socket.destroy();
    }
  }
}

async function launch(port: number, options: readonly string[]): Promise<ChildProcess> {
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`redis-server ended at once: ${said}`);
    if (await answers(port)) return child;
    await sleep(10);
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const gone = once(server, 'close');
  server.close();
  await gone;
  if (address === null || typeof address === 'string') throw new Error('a listening server has a port');
  return address.port;
}
