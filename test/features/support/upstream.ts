import type { EventEmitter } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { freePort } from '../../controlplane/ports.ts';
import { onCleanUp } from './clean-up.ts';

/** What an upstream does with a call. It may take its time; a call that nobody answers is a stall. */
export type Respond = (call: ReceivedCall) => unknown;

export interface UpstreamOptions {
  /** PEM; the upstream speaks HTTPS. */
  readonly tls?: { readonly certificatePem: string; readonly privateKeyPem: string };
}

/**
 * A model's server that does exactly what a test says, byte for byte: it is written on sockets, because an HTTP library would not
 * send what is wrong. It reads what comes in (HTTP/1.1 with a content-length) and remembers it.
 */
export class FakeUpstream {
  /** Every call so far, in order. */
  readonly calls: ReceivedCall[] = [];
  /** Connections that have ever been made. */
  accepted = 0;
  #respond: Respond;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #changed = Promise.withResolvers<void>();
  #taken = 0;
  #onConnection: (socket: net.Socket) => unknown = () => {};

  private constructor(respond: Respond, { tls: certificate }: UpstreamOptions) {
    this.#respond = respond;
    const onSocket = (socket: net.Socket): void => this.#accept(socket);
    this.#server =
      certificate === undefined
        ? net.createServer({ noDelay: true }, onSocket)
        : tls.createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem }, onSocket);
  }

  static async start(respond: Respond = () => {}, options: UpstreamOptions = {}): Promise<FakeUpstream> {
    const upstream = new FakeUpstream(respond, options);
    await listening(upstream.#server);
    onCleanUp(() => upstream.close());
    return upstream;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** What a route's `baseURL` says. */
  get url(): string {
    return `${this.#server instanceof tls.Server ? 'https' : 'http'}://127.0.0.1:${this.port}/v1`;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** From the next call on. */
  respond(respond: Respond): void {
    this.#respond = respond;
  }

  /** The next call that has not been taken yet; waits for it. */
  async nextCall(): Promise<ReceivedCall> {
    const index = this.#taken++;
    await this.until(() => this.calls.length > index);
    const call = this.calls[index];
    if (call === undefined) throw new Error(`call ${index} is gone`);
    return call;
  }

  /** Waits until something holds of the calls and connections; looked at whenever one of them comes or goes. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  /** What happens to connections, before anything is read from them. */
  onConnection(accept: (socket: net.Socket) => unknown): void {
    this.#onConnection = accept;
  }

  /** Closes every connection. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: net.Socket): void {
    this.accepted++;
    this.#sockets.add(socket);
    const gone = closed(socket);
    let unread: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk]);
      for (let call = takeCall(unread, socket, gone); call !== null; call = takeCall(unread, socket, gone)) {
        unread = unread.subarray(call.length);
        this.#receive(call);
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#tell();
    });
    this.#onConnection(socket);
    this.#tell();
  }

  #receive(call: ReceivedCall): void {
    this.calls.push(call);
    this.#tell();
    void this.#respond(call);
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** One call as it came in, and the means to answer it. */
export class ReceivedCall {
  readonly method: string;
  readonly path: string;
  /** Lower-case names; the values of equal ones joined with `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Bytes of the call on the wire. */
  readonly length: number;
  readonly socket: net.Socket;
  /** The connection is closed, by whomever. */
  readonly gone: Promise<void>;

  constructor(head: string, body: Buffer, length: number, socket: net.Socket, gone: Promise<void>) {
    const [requestLine = '', ...lines] = head.split('\r\n');
    const [method = '', path = ''] = requestLine.split(' ');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const name = line.slice(0, line.indexOf(':')).toLowerCase();
      const value = line.slice(line.indexOf(':') + 1).trim();
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
    }
    this.method = method;
    this.path = path;
    this.headers = headers;
    this.body = body;
    this.length = length;
    this.socket = socket;
    this.gone = gone;
  }

  json(): unknown {
    return JSON.parse(this.body.toString());
  }

  /** A whole answer. `headers` override what belongs to it (content-type, content-length). */
  answer(status: number, body: string | Buffer, headers: Readonly<Record<string, string>> = {}): void {
    const bytes = Buffer.from(body);
    const all = { 'content-type': 'application/json', 'content-length': String(bytes.length), ...headers };
    this.raw(Buffer.concat([Buffer.from(head(status, all)), bytes]));
  }

  /** The head of a chunked answer, by default of an event stream. */
  open(status = 200, headers: Readonly<Record<string, string>> = {}): void {
    this.raw(head(status, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked', ...headers }));
  }

  /** One HTTP chunk, in one write. False: the gateway is behind. */
  chunk(data: string | Buffer): boolean {
    const bytes = Buffer.from(data);
    return this.raw(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
  }

  /** The end of a chunked answer. */
  end(): void {
    this.raw('0\r\n\r\n');
  }

  /** A whole stream in one write a frame. */
  stream(frames: readonly string[], headers: Readonly<Record<string, string>> = {}): void {
    this.open(200, headers);
    for (const frame of frames) this.chunk(frame);
    this.end();
  }

  /** Any bytes. False: the gateway is behind. */
  raw(bytes: string | Buffer): boolean {
    return this.socket.writable && this.socket.write(bytes);
  }

  /** Resolves when everything written so far has left. */
  async drained(): Promise<void> {
    if (this.socket.writableLength > 0) await event(this.socket, 'drain');
  }

  /** Closes the connection after what was written so far (FIN). */
  cut(): void {
    this.socket.end(() => this.socket.destroy());
  }

  /** RST: what has not been read by then is lost. */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

/** A port of this machine on which nobody listens, and which nobody is given meanwhile. */
export async function refusingPort(): Promise<number> {
  return freePort();
}

async function listening(server: net.Server): Promise<void> {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  await event(server, 'listening');
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream does not listen');
  return address.port;
}

async function event(emitter: EventEmitter, name: string): Promise<void> {
  await new Promise<void>((resolve) => emitter.once(name, () => resolve()));
}

function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function head(status: number, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Scripted\r\n${lines.join('')}\r\n`;
}

function takeCall(bytes: Buffer, socket: net.Socket, gone: Promise<void>): ReceivedCall | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const text = bytes.toString('latin1', 0, headEnd);
  const announced = /^content-length: *(\d+)/im.exec(text)?.[1] ?? '0';
  const end = headEnd + 4 + Number(announced);
  return bytes.length < end ? null : new ReceivedCall(text, Buffer.from(bytes.subarray(headEnd + 4, end)), end, socket, gone);
}
