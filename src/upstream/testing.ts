/** For the tests of this folder: an upstream on a socket, and what a call or a pool reports. */
import net from 'node:net';
import type { Failure } from '../lib/failure.ts';
import type { CallSink } from './call.ts';

export interface TestServer extends AsyncDisposable {
  readonly origin: string;
  readonly sockets: ReadonlySet<net.Socket>;
  /** Connections that have ever been made. */
  accepted(): number;
}

/** `respond` is called once for each whole request (one without a body, or with a short one that comes with its head). */
export async function serve(respond: (socket: net.Socket) => unknown): Promise<TestServer> {
  const sockets = new Set<net.Socket>();
  let accepted = 0;
  const server = net.createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('data', () => void respond(socket));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server does not listen');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    sockets,
    accepted: () => accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Records what a sink is told, in order, and lets a test wait for its end. */
export class RecordingSink implements CallSink {
  readonly told: string[] = [];
  readonly chunks: Buffer[] = [];
  headers: Readonly<Record<string, unknown>> = {};
  failure: Failure | null = null;
  readonly ended: Promise<void>;
  onFirstChunk: () => void = () => {};
  readonly #end: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#end = resolve;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  onAnswer(status: number, headers: Readonly<Record<string, unknown>>): void {
    this.told.push(`answer ${status}`);
    this.headers = headers;
  }

  onChunk(chunk: Buffer): void {
    this.chunks.push(chunk);
    if (this.chunks.length === 1) this.onFirstChunk();
  }

  onComplete(): void {
    this.told.push('complete');
    this.#end();
  }

  onBroken(failure: Failure): void {
    this.told.push(`broken ${failure.kind}`);
    this.failure = failure;
    this.#end();
  }
}

const open: AsyncDisposable[] = [];

/** Disposed of by `disposeAll`, which runs after each test, the last one first. (The import checker cannot read `await using`.) */
export function untilTestEnds<T extends AsyncDisposable>(resource: T): T {
  open.push(resource);
  return resource;
}

export async function disposeAll(): Promise<void> {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]();
}
