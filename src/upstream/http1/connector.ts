import net from 'node:net';
import tls from 'node:tls';
import { type OnRead, READ_BUFFER } from '../../lib/http1/read-buffer.ts';
import { KnownAnswers } from './known-answers.ts';

/** How connections to one origin are made. */
export interface ConnectorOptions {
  readonly lookup?: net.LookupFunction;
  /** Connected to instead of the URL's host and port, which stay what is asked for. */
  readonly address?: { readonly host: string; readonly port: number };
  /** Trusted instead of the public authorities. */
  readonly ca?: string;
  /** Sent and verified instead of the URL's host. */
  readonly servername?: string;
}

/** Of TLS 1.3 each serves once, and connections are made in bursts. */
const MAX_SESSIONS = 16;
/** Probes of a connection that is silent, so that one whose other end is gone without a word is found. */
const PROBE_AFTER_MS = 60_000;

/** Makes the connections to one origin; they resume each other's TLS sessions. */
export class Connector {
  /** As a request's `host` header has it. */
  readonly host: string;
  readonly secure: boolean;
  readonly known = new KnownAnswers();
  readonly #hostname: string;
  readonly #port: number;
  readonly #options: ConnectorOptions;
  /** The last ones given. */
  readonly #sessions: Buffer[] = [];

  constructor(origin: string, options: ConnectorOptions) {
    const url = new URL(origin);
    this.host = url.host;
    this.secure = url.protocol === 'https:';
    this.#hostname = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
    this.#port = url.port === '' ? (this.secure ? 443 : 80) : Number(url.port);
    this.#options = options;
  }

  /** `onReady`: a request may be written. All else the socket tells by its events. */
  connect(onRead: OnRead, onReady: () => void): net.Socket {
    const { lookup, address } = this.#options;
    const options = {
      host: address?.host ?? this.#hostname,
      port: address?.port ?? this.#port,
      ...(lookup === undefined ? {} : { lookup }),
      onread: {
        buffer: READ_BUFFER,
        callback(bytes: number): boolean {
          // Not a part of the buffer, which would be another object for each read.
          onRead(READ_BUFFER, bytes);
          // Reading goes on until the socket is paused.
          return true;
        },
      },
    };
    const socket = this.secure ? this.#connectTls(options, onReady) : net.connect(options, onReady);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, PROBE_AFTER_MS);
    return socket;
  }

  #connectTls(options: net.TcpNetConnectOpts, onReady: () => void): tls.TLSSocket {
    const { ca } = this.#options;
    // An address is no name to ask for (RFC 6066, section 3).
    const servername = this.#options.servername ?? (net.isIP(this.#hostname) === 0 ? this.#hostname : '');
    const session = this.#sessions.pop();
    const socket = tls.connect({
      ...options,
      servername,
      ALPNProtocols: ['http/1.1'],
      ...(ca === undefined ? {} : { ca }),
      ...(session === undefined ? {} : { session }),
    });
    socket.once('secureConnect', onReady);
    socket.on('session', (given: Buffer) => {
      if (this.#sessions.push(given) > MAX_SESSIONS) this.#sessions.shift();
    });
    return socket;
  }
}
