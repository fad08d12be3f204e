/**
 * How ioredis opens sockets, with two things added. A listener for errors that stays: its own leaves with the first error, and a TLS
 * socket that was given up in the middle of a handshake can tell another one, which would end the process. And a socket that has
 * closed is forgotten: who hangs up would wait two seconds for it to close, and keep the process for so long.
 */
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { AbstractConnector, type Redis, SentinelConnector } from 'ioredis';

export interface NodePlace {
  readonly host?: string;
  readonly port?: number;
}

interface SocketOptions extends NodePlace {
  readonly tls?: ConnectionOptions;
  readonly disconnectTimeout: number;
}

/** To a given address. */
export class NodeConnector extends AbstractConnector {
  readonly #options: SocketOptions;

  constructor(options: unknown) {
    const known = options as SocketOptions;
    super(known.disconnectTimeout);
    this.#options = known;
  }

  override async connect(): Promise<Socket> {
    this.connecting = true;
    // Whoever hangs up at once is heeded.
    await Promise.resolve();
    if (!this.connecting) throw new Error('Connection is closed.');
    const { tls } = this.#options;
    const { host = 'localhost', port = 6379 } = this.place();
    const socket = tls === undefined ? createConnection({ host, port }) : connectTls({ host, port, ...tls });
    this.stream = socket;
    socket.on('error', (error) => {
      this.firstError ??= error;
    });
    socket.on('close', () => {
      if (this.stream === socket) Reflect.deleteProperty(this, 'stream');
    });
    return socket;
  }

  /** Where the next connection goes. */
  protected place(): NodePlace {
    return this.#options;
  }
}

/** Types keep to themselves what is needed here: the sentinels, too, are connected to. */
const Sentinel = SentinelConnector as unknown as new (options: unknown) => AbstractConnector & {
  connect(emitter: (type: string, error: Error) => void): Promise<Socket>;
  connectToSentinel(endpoint: unknown, options?: object): Redis;
};

/** To the master that sentinels name. */
export class MasterConnector extends Sentinel {
  override async connect(emitter: (type: string, error: Error) => void): Promise<Socket> {
    const socket = await super.connect(emitter);
    socket.on('error', (error) => {
      this.firstError ??= error;
    });
    socket.on('close', () => {
      if (this.stream === socket) Reflect.deleteProperty(this, 'stream');
    });
    return socket;
  }

  override connectToSentinel(endpoint: unknown, options?: object): Redis {
    return super.connectToSentinel(endpoint, { ...options, Connector: NodeConnector });
  }
}
