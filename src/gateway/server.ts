import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { errorBody } from '../dialects/openai/answer.ts';
import type { GatewaySettings } from '../routetable/types.ts';
import { errorObject, GATEWAY_ERRORS, type GatewayError } from './errors.ts';
import { isLingering } from './linger.ts';

/** Connections that wait to be accepted: with Node's 511 a burst of clients would be told to come back in a second, by their own kernels. */
const BACKLOG = 4_096;
/** How soon a drain closes the connections that have become idle. */
const SWEEP_EVERY_MS = 100;
/** Longer than any proxy in front keeps its connections (cloud load balancers: 600 s), so that it is they who close them. */
const KEEP_ALIVE_MS = 620_000;

/** How long a client may take to send a request. */
export interface ListenerTimeouts {
  readonly headersMs: number;
  /** For the whole request, body included. */
  readonly requestMs: number;
  /** How often both are looked at. */
  readonly checkEveryMs: number;
}

/** 300 s: 32 MiB at 1 Mbit/s. */
const TIMEOUTS: ListenerTimeouts = { headersMs: 15_000, requestMs: 300_000, checkEveryMs: 5_000 };

export interface ListenerCalls {
  onRequest(request: http.IncomingMessage, response: http.ServerResponse): void;
  /** Whether an answer has begun on this connection. */
  answering(socket: Socket): boolean;
  readonly nowMs: () => number;
  readonly random: () => number;
}

/** The listener that clients speak to, over TLS where the settings say so. */
export class ClientListener {
  readonly server: http.Server | https.Server;
  readonly #tls: boolean;
  readonly #calls: ListenerCalls;
  /** When each connection has become too old. */
  readonly #oldAtMs = new WeakMap<Socket, number>();
  #maxAgeMs: number;

  constructor(settings: GatewaySettings, calls: ListenerCalls, timeouts: ListenerTimeouts = TIMEOUTS) {
    this.#calls = calls;
    this.#maxAgeMs = settings.maxConnectionAgeMs;
    const onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void => {
      if (this.#isOld(request.socket)) response.shouldKeepAlive = false;
      calls.onRequest(request, response);
    };
    const options = {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      connectionsCheckingInterval: timeouts.checkEveryMs,
      noDelay: true,
    };
    this.#tls = settings.tls !== null;
    this.server =
      settings.tls === null
        ? http.createServer(options, onRequest)
        : https.createServer({ ...options, ...certificate(settings) }, onRequest);
    this.server.on('checkContinue', onRequest);
    this.server.on('clientError', (error: Error & { code?: string }, socket: Socket) => {
      // Nothing may be put into the middle of an answer, where it would pass for a part of it, nor after one that nobody asked for.
      if (!socket.writable || error.code === 'ECONNRESET' || calls.answering(socket) || isLingering(socket)) socket.destroy();
      else refuseGarbage(error, socket);
    });
  }

  /** Counted from its first request; spread by a tenth, so that clients that came together do not come again together. */
  #isOld(socket: Socket): boolean {
    const { nowMs, random } = this.#calls;
    const oldAtMs = this.#oldAtMs.get(socket);
    if (oldAtMs !== undefined) return nowMs() >= oldAtMs;
    this.#oldAtMs.set(socket, nowMs() + this.#maxAgeMs * (0.9 + 0.2 * random()));
    return false;
  }

  /** A rotated certificate, and another age, hold for new connections. Whether there is TLS at all is decided at start. */
  reload(settings: GatewaySettings): void {
    this.#maxAgeMs = settings.maxConnectionAgeMs;
    if (settings.tls !== null && this.server instanceof https.Server) this.server.setSecureContext(certificate(settings));
  }

  get tls(): boolean {
    return this.#tls;
  }

  /** The port it listens on: the one asked for, or (0) one that was free. */
  async listen(port: number, host?: string): Promise<number> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, backlog: BACKLOG }, () => {
        server.off('error', reject);
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** No new connections; resolves when the last one has ended. */
  async close(): Promise<void> {
    return new Promise((resolve) => {
      // Streams that began before have promised keep-alive: their connections are closed once they are idle.
      const sweep = setInterval(() => this.server.closeIdleConnections(), SWEEP_EVERY_MS);
      this.server.close(() => {
        clearInterval(sweep);
        resolve();
      });
      this.server.closeIdleConnections();
    });
  }
}

function certificate(settings: GatewaySettings): { cert: string; key: string } | Record<string, never> {
  return settings.tls === null ? {} : { cert: settings.tls.certificatePem, key: settings.tls.privateKeyPem.reveal() };
}

/** For the answer to be read; then the connection goes, whether or not the client lets go of it. */
const REFUSED_LINGER_MS = 1_000;

/** What is not HTTP gets an answer that says so in OpenAI's shape, as far as the connection still takes one. */
function refuseGarbage(error: Error & { code?: string }, socket: Socket): void {
  const [status, why] = GARBAGE[error.code ?? ''] ?? [400, 'The request is not valid HTTP/1.1.'];
  const code: GatewayError['code'] = status === 413 ? 'request_too_large' : 'bad_request';
  const body = errorBody(errorObject({ code, message: why }));
  const head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nx-should-retry: ${GATEWAY_ERRORS[code].retryable}\r\nconnection: close\r\n\r\n`;
  socket.end(Buffer.concat([Buffer.from(head), body]));
  setTimeout(() => socket.destroy(), REFUSED_LINGER_MS).unref();
}

const GARBAGE: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The request headers are larger than 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not arrive within the time for it.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions are too large.'],
};
