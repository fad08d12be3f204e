import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { onCleanUp } from './clean-up.ts';

export interface RequestOptions {
  readonly method?: string;
  readonly path?: string;
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: one connection a request. */
  readonly agent?: http.Agent;
  /** HTTPS, trusting this authority. */
  readonly caPem?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** False: the connection broke before the answer's proper end. */
  readonly complete: boolean;
}

/** A request under way, for tests that look at an answer while it comes, read it slowly or leave. */
export class Sent {
  /** Rejects where there is no answer at all. */
  readonly head: Promise<http.IncomingMessage>;
  /** Everything, once it has ended, in whatever way. */
  readonly answer: Promise<Answer>;
  readonly #request: http.ClientRequest;
  #response: http.IncomingMessage | null = null;
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(port: number, options: RequestOptions) {
    const { body } = options;
    const bytes =
      body === undefined
        ? undefined
        : typeof body === 'string' || Buffer.isBuffer(body)
          ? Buffer.from(body)
          : Buffer.from(JSON.stringify(body));
    const head = Promise.withResolvers<http.IncomingMessage>();
    const answer = Promise.withResolvers<Answer>();
    this.head = head.promise;
    this.answer = answer.promise;
    this.head.catch(() => {});
    this.answer.catch(() => {});
    const common = {
      host: '127.0.0.1',
      port,
      path: options.path ?? '/v1/chat/completions',
      method: options.method ?? (bytes === undefined ? 'GET' : 'POST'),
      headers: {
        ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(bytes.length) }),
        ...options.headers,
      },
      agent: options.agent ?? false,
    } as const;
    this.#request =
      options.caPem === undefined
        ? http.request(common)
        : https.request({ ...common, ca: options.caPem, servername: 'localhost' });
    const done = onCleanUp(() => this.leave());
    this.#request.on('error', (error) => {
      head.reject(error);
      answer.reject(error);
    });
    this.#request.on('response', (response) => {
      this.#response = response;
      response.on('data', (chunk: Buffer) => {
        this.#chunks.push(chunk);
        this.#tell();
      });
      response.on('error', () => {});
      response.on('close', () => {
        done();
        this.#ended = true;
        const all = Buffer.concat(this.#chunks);
        answer.resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes: all,
          text: all.toString(),
          complete: response.complete,
        });
        this.#tell();
      });
      head.resolve(response);
      this.#tell();
    });
    this.#request.end(bytes);
  }

  /** What has come so far. */
  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  get receivedBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Waits until the text so far holds this; throws where the answer ends without it. */
  async waitFor(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      if (this.#ended) throw new Error(`the answer ended without ${JSON.stringify(part)}: ${this.text.slice(0, 2_000)}`);
      await this.#changed.promise;
    }
  }

  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  /** The client closes its connection, whatever is still to come. */
  leave(): void {
    this.#request.destroy();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** Sends a request without waiting for anything. */
export function send(port: number, options: RequestOptions = {}): Sent {
  return new Sent(port, options);
}

/** Sends a request and waits for its answer's end. */
export async function request(port: number, options: RequestOptions = {}): Promise<Answer> {
  return send(port, options).answer;
}

/** Sends these bytes and reads until the connection ends; rejects where it is reset. */
export async function readToEnd(port: number, bytes: string): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  onCleanUp(() => socket.destroy());
  socket.write(bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
