import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { errorBody } from '../dialects/openai/answer.ts';
import type { GatewaySettings } from '../routetable/types.ts';
import { errorObject, GATEWAY_ERRORS, type GatewayError } from './errors.ts';
import { answerHead, KEEP_ALIVE_MS } from './http1/answer-head.ts';
import { ClientConnection, type ConnectionHost, LINGER_MAX_MS, type PatienceTicks } from './http1/client-connection.ts';
import type { Exchange } from './http1/exchange.ts';
import { RecentHeads } from './http1/head-memory.ts';

/** Connections that wait to be accepted: with Node's 511 a burst of clients would be told to come back in a second, by their own kernels. */
const BACKLOG = 4_096;
/** How soon a drain closes the connections that have become idle. */
const SWEEP_EVERY_MS = 100;

/** How long a client may take to send a request. */
export interface ListenerTimeouts {
  /** For the headers, and for TLS before them. */
  readonly headersMs: number;
  /** For the whole request, body included. */
  readonly requestMs: number;
  /** How often both are looked at. */
  readonly checkEveryMs: number;
}

/** 300 s: 32 MiB at 1 Mbit/s. */
const TIMEOUTS: ListenerTimeouts = { headersMs: 15_000, requestMs: 300_000, checkEveryMs: 5_000 };

export interface ListenerCalls {
  /** `receivedMs`: monotonic. */
  onExchange(exchange: Exchange, receivedMs: number): void;
  readonly nowMs: () => number;
  readonly random: () => number;
}

/**
 * The listener that clients speak to, over TLS where the settings say so. HTTP/1.1 on node:net, because node:http costs a request
 * that comes alone, its code no longer in the caches, as much time again as all that the gateway does with it.
 */
export class ClientListener implements ConnectionHost {
  tick = 0;
  readonly recentHeads = new RecentHeads();
  readonly #server: net.Server | tls.Server;
  readonly #calls: ListenerCalls;
  readonly #connections = new Set<ClientConnection>();
  readonly #timeouts: ListenerTimeouts;
  readonly #patience: PatienceTicks;
  #ticking: NodeJS.Timeout | undefined;
  #maxAgeMs: number;

  constructor(settings: GatewaySettings, calls: ListenerCalls, timeouts: ListenerTimeouts = TIMEOUTS) {
    this.#calls = calls;
    this.#maxAgeMs = settings.maxConnectionAgeMs;
    this.#timeouts = timeouts;
    const ticks = (ms: number): number => Math.ceil(ms / timeouts.checkEveryMs);
    this.#patience = {
      head: ticks(timeouts.headersMs),
      request: ticks(timeouts.requestMs),
      idle: ticks(KEEP_ALIVE_MS),
      linger: ticks(LINGER_MAX_MS),
    };
    const onSocket = (socket: Socket): void => void this.#connections.add(new ClientConnection(socket, this));
    const options = { noDelay: true };
    if (settings.tls === null) {
      this.#server = net.createServer(options, onSocket);
    } else {
      const handshakeTimeout = timeouts.headersMs;
      const secure = { ...options, ...certificate(settings), ALPNProtocols: ['http/1.1'], handshakeTimeout };
      this.#server = tls.createServer(secure, onSocket);
      this.#server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy());
    }
  }

  onExchange(exchange: Exchange, connection: ClientConnection): void {
    const receivedMs = this.#calls.nowMs();
    // Counted from its first request; spread by a tenth, so that clients that came together do not come again together.
    if (connection.oldAtMs === 0) connection.oldAtMs = receivedMs + this.#maxAgeMs * (0.9 + 0.2 * this.#calls.random());
    else if (receivedMs >= connection.oldAtMs) exchange.last = true;
    this.#calls.onExchange(exchange, receivedMs);
  }

  onClosed(connection: ClientConnection): void {
    this.#connections.delete(connection);
  }

  refusal(status: number, message: string): Buffer {
    return refusal(status, message);
  }

  /** A rotated certificate, and another age, hold for new connections. Whether there is TLS at all is decided at start. */
  reload(settings: GatewaySettings): void {
    this.#maxAgeMs = settings.maxConnectionAgeMs;
    if (settings.tls !== null && this.#server instanceof tls.Server) this.#server.setSecureContext(certificate(settings));
  }

  /** The port it listens on: the one asked for, or (0) one that was free. */
  async listen(port: number, host?: string): Promise<number> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, backlog: BACKLOG }, () => {
        server.off('error', reject);
        this.#ticking = setInterval(() => this.#sweep(), this.#timeouts.checkEveryMs).unref();
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** No new connections; resolves when the last one has ended. */
  async close(): Promise<void> {
    return new Promise((resolve) => {
      // Streams that began before have promised keep-alive: their connections are closed once they are idle.
      const closing = setInterval(() => this.#closeIdle(), SWEEP_EVERY_MS);
      this.#server.close(() => {
        clearInterval(closing);
        clearInterval(this.#ticking);
        resolve();
      });
      this.#closeIdle();
    });
  }

  /** Whatever is under way on them. */
  closeAllConnections(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #closeIdle(): void {
    for (const connection of this.#connections) if (connection.idle) connection.close();
  }

  #sweep(): void {
    this.tick += 1;
    for (const connection of this.#connections) connection.expire(this.tick, this.#patience);
  }
}

function certificate(settings: GatewaySettings): { cert: string; key: string } | Record<string, never> {
  return settings.tls === null ? {} : { cert: settings.tls.certificatePem, key: settings.tls.privateKeyPem.reveal() };
}

/** What is not HTTP gets an answer that says so in OpenAI's shape, as far as the connection still takes one. */
function refusal(status: number, message: string): Buffer {
  const code: GatewayError['code'] = 'bad_request';
  const body = errorBody(errorObject({ code, message }));
  const headers = ['content-type', 'application/json', 'x-should-retry', String(GATEWAY_ERRORS[code].retryable)];
  return Buffer.concat([answerHead(status, headers, body.length, true), body]);
}
