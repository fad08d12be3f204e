/** How a pod calls the operator: over TLS that only the operator's own authority vouches for, with the pod's token. */
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Clock } from '../../lib/clock.ts';

export interface OperatorLinkOptions {
  /** `https://<service>.<namespace>.svc:<port>` */
  readonly url: URL;
  /** A file each, because both are rotated: the CA bundle and the projected ServiceAccount token. */
  readonly caFile: string;
  readonly tokenFile: string;
  readonly clock: Clock;
}

/** The operator answered, with something else than what was asked for. */
export class OperatorRefused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`the operator answered ${status}: ${message}`);
    this.status = status;
  }
}

/** An answer must have begun after this: a process that is stopped accepts connections all the same. */
const ANSWER_TIMEOUT_MS = 5_000;
/** Files are read again after this, and after each failure. */
const REMEMBER_FILES_MS = 5_000;
const MAX_REFUSAL_CHARS = 512;

interface Credentials {
  readonly ca: string;
  readonly token: string;
}

export class OperatorLink {
  readonly #options: OperatorLinkOptions;
  /** Of reports. A stream has a connection to itself. */
  readonly #agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  #files: { readonly read: Promise<Credentials>; readonly atMs: number } | null = null;

  constructor(options: OperatorLinkOptions) {
    this.#options = options;
  }

  /** Resolves with an answer of 2xx; its body is the caller's. Rejects with `OperatorRefused` for another, or with the connection's error. */
  async post(
    path: string,
    body: unknown,
    { stream, signal }: { stream: boolean; signal: AbortSignal },
  ): Promise<IncomingMessage> {
    try {
      const { ca, token } = await this.#credentials();
      const text = JSON.stringify(body);
      const { url } = this.#options;
      return await new Promise<IncomingMessage>((resolve, reject) => {
        const request: ClientRequest = https.request(
          {
            host: url.hostname.replace(/^\[|\]$/g, ''),
            port: url.port === '' ? 443 : Number(url.port),
            path,
            method: 'POST',
            ca,
            minVersion: 'TLSv1.3',
            agent: stream ? false : this.#agent,
            signal,
            headers: {
              authorization: `Bearer ${token}`,
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(text),
            },
          },
          (response) => {
            clearTimeout(timer);
            const status = response.statusCode ?? 0;
            if (status >= 200 && status < 300) resolve(response);
            else void readRefusal(response).then((message) => reject(new OperatorRefused(status, message)));
          },
        );
        const timer = setTimeout(
          () => request.destroy(new Error(`the operator did not answer within ${ANSWER_TIMEOUT_MS} ms`)),
          ANSWER_TIMEOUT_MS,
        );
        request.on('socket', (socket) => socket.setNoDelay(true));
        request.on('error', (error) => {
          clearTimeout(timer);
          reject(error);
        });
        request.end(text);
      });
    } catch (error) {
      // It may be that a file has been rotated since it was read.
      this.#files = null;
      throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #credentials(): Promise<Credentials> {
    const { caFile, tokenFile, clock } = this.#options;
    if (this.#files === null || clock.nowMs() - this.#files.atMs > REMEMBER_FILES_MS) {
      const read = Promise.all([readFile(caFile, 'utf8'), readFile(tokenFile, 'utf8')]).then(([ca, token]) => ({
        ca,
        token: token.trim(),
      }));
      this.#files = { read, atMs: clock.nowMs() };
    }
    return this.#files.read;
  }
}

async function readRefusal(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    response.setEncoding('utf8');
    for await (const chunk of response as AsyncIterable<string>) {
      text += chunk;
      if (text.length > MAX_REFUSAL_CHARS) break;
    }
  } catch {
    // The status says enough.
  }
  return text.slice(0, MAX_REFUSAL_CHARS).trim();
}
