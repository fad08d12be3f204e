import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import type { Timers } from '../lib/timers.ts';
import type { Credentials, KubeAccess } from './access.ts';
import type { KubeFailure } from './outcome.ts';
import type { TransportRequest, TransportSink } from './transport.ts';

/** TCP and TLS together. */
const CONNECT_MS = 3000;
/**
 * How often the other end is asked whether it is there, and how long it may take to say so: a connection that is dead without
 * saying so (a firewall that forgot it, a machine that lost power) is found within the sum of both.
 */
const PING_EVERY_MS = 1000;
const PING_TIMEOUT_MS = 1500;
/** A timer this late says that we were not running; nothing is then concluded about the other end. */
const LATE_MS = 500;
const IDLE_MS = 60_000;
/** Bytes under way: HTTP/2's default of 64 KiB would make a large list a matter of round trips. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const MAX_SESSION_MEMORY_MB = 64;
const USER_AGENT = 'fairlead';

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_NO_ERROR, NGHTTP2_CANCEL } = http2.constants;

/** One request on its way. Its sink hears exactly one end, and nothing once it was cancelled. */
export class Call {
  readonly request: TransportRequest;
  readonly #sink: TransportSink;
  #over = false;
  stream: ClientHttp2Stream | null = null;

  constructor(request: TransportRequest, sink: TransportSink) {
    this.request = request;
    this.#sink = sink;
  }

  get over(): boolean {
    return this.#over;
  }

  cancel(): void {
    this.#over = true;
    this.stream?.close(NGHTTP2_CANCEL);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    if (!this.#over) this.#sink.onHead(status, headers);
  }

  data(chunk: Buffer): void {
    if (!this.#over) this.#sink.onData(chunk);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.onEnd();
  }

  fail(kind: KubeFailure['kind'], message: string): void {
    if (this.#over) return;
    this.#over = true;
    const sent = this.stream !== null && this.stream.rstCode !== NGHTTP2_REFUSED_STREAM;
    this.#sink.onFailure({ kind, message: `${this.request.method} ${this.request.path.split('?')[0]}: ${message}` }, sent);
  }
}

/**
 * One connection to the API server, from before it is made until its last request is over. HTTP/2, as every API server speaks it:
 * all lists, watches and writes share one connection, whose pings tell a quiet watch from a dead one.
 */
export class Http2Link {
  readonly #access: KubeAccess;
  readonly #url: URL;
  readonly #timers: Timers;
  readonly #onRetired: (link: Http2Link) => void;
  readonly #onClosed: (link: Http2Link) => void;
  readonly #calls = new Set<Call>();
  #credentials: Credentials = {};
  #socket: net.Socket | null = null;
  #session: ClientHttp2Session | null = null;
  #cancelTimer = (): void => {};
  #ended = false;
  #retired = false;
  #busyMs: number;

  constructor(access: KubeAccess, timers: Timers, onRetired: (link: Http2Link) => void, onClosed: (link: Http2Link) => void) {
    this.#access = access;
    this.#url = new URL(access.server);
    this.#timers = timers;
    this.#onRetired = onRetired;
    this.#onClosed = onClosed;
    this.#busyMs = timers.nowMs();
    this.#authenticate().then(
      (credentials) => this.#connect(credentials),
      (error: unknown) => this.fail('unauthorized', describe(error)),
    );
  }

  /** Must not be called on one that is retired. */
  take(call: Call): void {
    this.#calls.add(call);
    if (this.#session !== null) this.#submit(call, this.#session);
  }

  /** Takes no more calls; ends with the last one. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#onRetired(this);
    this.#endIfDone();
  }

  /** Ends at once; every call fails. */
  fail(kind: KubeFailure['kind'], message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.retire();
    for (const call of this.#calls) call.fail(kind, message);
    this.#calls.clear();
    this.#session?.destroy();
    this.#socket?.destroy();
    this.#onClosed(this);
  }

  async #authenticate(): Promise<Credentials> {
    return this.#access.credentials.current() ?? (await this.#access.credentials.refresh());
  }

  #connect(credentials: Credentials): void {
    if (this.#ended) return;
    this.#credentials = credentials;
    const host = this.#url.hostname.replace(/^\[|\]$/g, '');
    const { caPem, serverName, insecureSkipVerify } = this.#access;
    try {
      const socket = tls.connect({
        host,
        port: Number(this.#url.port === '' ? '443' : this.#url.port),
        ALPNProtocols: ['h2'],
        rejectUnauthorized: !insecureSkipVerify,
        // An address is no server name (RFC 6066); the certificate is held to the host then.
        ...(serverName !== undefined ? { servername: serverName } : net.isIP(host) === 0 ? { servername: host } : {}),
        ...(caPem === undefined ? {} : { ca: caPem }),
        ...(credentials.certificatePem === undefined
          ? {}
          : { cert: credentials.certificatePem, key: credentials.keyPem?.reveal() }),
      });
      this.#socket = socket;
      socket.setNoDelay(true);
      socket.on('error', (error) => this.fail('unavailable', describe(error)));
      socket.on('close', () => this.fail('unavailable', 'the connection was closed'));
      socket.once('secureConnect', () => this.#start(socket));
    } catch (error) {
      // A certificate or key that is none.
      this.fail('unavailable', describe(error));
      return;
    }
    this.#cancelTimer = this.#timers.after(CONNECT_MS, () => {
      this.fail('unavailable', `no connection to ${this.#access.server} within ${CONNECT_MS} ms`);
    });
  }

  #start(socket: tls.TLSSocket): void {
    if (this.#ended) return;
    this.#cancelTimer();
    if (socket.alpnProtocol !== 'h2') {
      this.fail(
        'unavailable',
        `${this.#access.server} does not speak HTTP/2, which every Kubernetes API server does; a proxy in between?`,
      );
      return;
    }
    const session = http2.connect(this.#access.server, {
      createConnection: () => socket,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
    });
    this.#session = session;
    session.on('error', (error) => this.fail('unavailable', describe(error)));
    session.on('close', () => this.fail('unavailable', 'the connection was closed'));
    // The server is about to end, or spreads its clients anew.
    session.on('goaway', () => this.retire());
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    for (const call of this.#calls) this.#submit(call, session);
    this.#ping(session);
  }

  #submit(call: Call, session: ClientHttp2Session): void {
    if (call.over) return this.#done(call);
    const credentials = this.#access.credentials.current();
    if (credentials !== null) return this.#write(call, session, credentials);
    this.#access.credentials.refresh().then(
      (fresh) => {
        if (!this.#ended && !call.over) this.#write(call, session, fresh);
      },
      (error: unknown) => {
        call.fail('unauthorized', describe(error));
        this.#done(call);
      },
    );
  }

  #write(call: Call, session: ClientHttp2Session, credentials: Credentials): void {
    const { method, path, body, contentType, accept = 'application/json', allowed } = call.request;
    let stream: ClientHttp2Stream;
    try {
      if (allowed !== undefined && !allowed()) {
        queueMicrotask(() => {
          call.fail('guarded', 'not sent: its guard said no');
          this.#done(call);
        });
        return;
      }
      stream = session.request(
        {
          ':method': method,
          ':path': `${this.#url.pathname.replace(/\/$/, '')}${path}`,
          accept,
          'user-agent': USER_AGENT,
          ...(credentials.token === undefined ? {} : { authorization: `Bearer ${credentials.token.reveal()}` }),
          ...(body === undefined
            ? {}
            : { 'content-type': contentType ?? 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
        },
        { endStream: body === undefined },
      );
    } catch (error) {
      queueMicrotask(() => {
        call.fail('unavailable', describe(error));
        this.#done(call);
        this.retire();
      });
      return;
    }
    call.stream = stream;
    if (body !== undefined) stream.end(body);
    let ended = false;
    stream.on('response', (headers) => {
      const status = Number(headers[':status']);
      if (status === 401) this.#refused(credentials);
      call.head(status, flat(headers));
    });
    stream.on('data', (chunk: Buffer) => {
      this.#busyMs = this.#timers.nowMs();
      call.data(chunk);
    });
    stream.on('end', () => (ended = true));
    // The reason comes with `close`.
    stream.on('error', () => {});
    stream.on('close', () => {
      if (ended && stream.rstCode === NGHTTP2_NO_ERROR && !stream.aborted) call.end();
      else call.fail('unavailable', `the answer broke off (HTTP/2 code ${stream.rstCode})`);
      this.#done(call);
    });
  }

  #refused(credentials: Credentials): void {
    this.#access.credentials.refused(credentials);
    // A certificate counts for the whole connection.
    if (this.#credentials.certificatePem !== undefined) this.retire();
  }

  #done(call: Call): void {
    this.#calls.delete(call);
    this.#busyMs = this.#timers.nowMs();
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#retired && this.#calls.size === 0) this.fail('stopped', 'nobody uses it any more');
  }

  #ping(session: ClientHttp2Session): void {
    this.#cancelTimer = this.#timers.after(PING_EVERY_MS, () => {
      if (this.#calls.size === 0 && this.#timers.nowMs() - this.#busyMs > IDLE_MS) return this.retire();
      let answered = false;
      try {
        session.ping(() => (answered = true));
      } catch (error) {
        return this.fail('unavailable', describe(error));
      }
      this.#awaitPing(session, () => answered);
    });
  }

  #awaitPing(session: ClientHttp2Session, answered: () => boolean): void {
    const fromMs = this.#timers.nowMs();
    this.#cancelTimer = this.#timers.after(PING_TIMEOUT_MS, () => {
      if (answered()) return this.#ping(session);
      // Bytes of an answer arrive in order with the ping's, and may be many.
      const late = this.#timers.nowMs() - fromMs - PING_TIMEOUT_MS > LATE_MS;
      if (late || this.#busyMs > fromMs) return this.#awaitPing(session, answered);
      this.fail('unavailable', `the other end of the connection has not answered for ${PING_TIMEOUT_MS} ms`);
    });
  }
}

function flat(headers: http2.IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(':') || value === undefined ? [] : [[name, String(value)]],
    ),
  );
}

/** Node's errors for many addresses have no message of their own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join('; ');
  return error instanceof Error ? error.message : String(error);
}
