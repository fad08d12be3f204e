/** A line to a real API server that fails on command: bytes of TLS are passed on, held back, cut, or swallowed for good. */
import net from 'node:net';
import { freePort } from '../controlplane/ports.ts';

export type LineFault =
  /** Every connection is reset, and each new one after its first bytes. */
  | 'reset'
  /** Nobody listens. */
  | 'refused'
  /** What is open stays open and carries nothing any more, for ever; new connections are accepted and carry nothing. */
  | 'dead'
  /** Bytes come one second late. */
  | 'slow'
  /** Only what the server says is lost. */
  | 'deaf';

interface Pair {
  readonly client: net.Socket;
  readonly server: net.Socket;
  /** Made under, or caught by, a fault that never ends for this connection. */
  dead: boolean;
  deaf: boolean;
}

export class FaultyLine {
  readonly #target: URL;
  readonly #pairs = new Set<Pair>();
  #server: net.Server;
  #fault: LineFault | null = null;
  /** Its own for good: none that an outgoing connection is given while nobody listens. */
  #port: number | null = null;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = this.#listener();
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port ?? 0}`;
  }

  /** Connections that a client holds open. */
  get open(): number {
    return this.#pairs.size;
  }

  async start(): Promise<this> {
    const port = (this.#port ??= await freePort());
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    return this;
  }

  async fail(fault: LineFault): Promise<void> {
    this.#fault = fault;
    if (fault === 'dead') for (const pair of this.#pairs) pair.dead = true;
    if (fault === 'deaf') for (const pair of this.#pairs) pair.deaf = true;
    if (fault === 'reset' || fault === 'refused') this.#resetAll();
    if (fault === 'refused') await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** New connections work; a dead one stays dead. */
  async heal(): Promise<void> {
    const refused = this.#fault === 'refused';
    this.#fault = null;
    if (!refused) return;
    this.#server = this.#listener();
    await this.start();
  }

  async stop(): Promise<void> {
    this.#resetAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #resetAll(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  #listener(): net.Server {
    return net.createServer((client) => {
      const server = net.connect(Number(this.#target.port), this.#target.hostname);
      const pair: Pair = { client, server, dead: this.#fault === 'dead', deaf: this.#fault === 'deaf' };
      this.#pairs.add(pair);
      const pass = (to: net.Socket, chunk: Buffer): void => {
        if (pair.dead || (pair.deaf && to === client)) return;
        if (this.#fault === 'reset') client.resetAndDestroy();
        else if (this.#fault === 'slow') setTimeout(() => to.write(chunk), 1000);
        else to.write(chunk);
      };
      client.on('data', (chunk: Buffer) => pass(server, chunk));
      server.on('data', (chunk: Buffer) => pass(client, chunk));
      const end = (): void => {
        this.#pairs.delete(pair);
        client.destroy();
        server.destroy();
      };
      for (const socket of [client, server]) {
        socket.on('error', () => {});
        socket.on('close', end);
      }
    });
  }
}
