import { Client, type Dispatcher } from 'undici';

export interface OriginPoolOptions {
  /** HTTP/1.1 carries one call a connection, so this caps the calls under way to one origin. */
  readonly maxConnections: number;
  /** An idle connection is closed after this long. */
  readonly keepAliveMs: number;
  readonly connect: Client.Options['connect'];
}

/** A call that waits for a connection; `cancel` takes it out of the queue. */
export interface Queued {
  cancel(): void;
}

interface Waiting {
  readonly options: Dispatcher.DispatchOptions;
  readonly handler: Dispatcher.DispatchHandler;
  cancelled: boolean;
}

/**
 * Connections to one origin. The last one used is used next, so that surplus connections age out, and finding it costs the same
 * with two connections as with two thousand (undici's own Pool searches its list in every dispatch).
 * The caller says when a call is over (`release`); calls beyond the cap wait in order.
 */
export class OriginPool {
  readonly #origin: string;
  readonly #options: OriginPoolOptions;
  readonly #idle: Client[] = [];
  readonly #all = new Set<Client>();
  #queue: Waiting[] = [];
  #closing = false;

  constructor(origin: string, options: OriginPoolOptions) {
    this.#origin = origin;
    this.#options = options;
  }

  get connections(): number {
    return this.#all.size;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Returns null when the call was handed to a connection at once. `release` must follow the end of every call. */
  dispatch(options: Dispatcher.DispatchOptions, handler: PooledHandler): Queued | null {
    const client = this.#idle.pop() ?? this.#grow();
    if (client !== null) {
      handler.client = client;
      client.dispatch(options, handler);
      return null;
    }
    const waiting: Waiting = { options, handler, cancelled: false };
    this.#queue.push(waiting);
    return {
      cancel: () => {
        waiting.cancelled = true;
        this.#queue = this.#queue.filter((other) => other !== waiting);
      },
    };
  }

  /** The call that held this connection is over, however it ended. */
  release(handler: PooledHandler): void {
    const client = handler.client;
    if (client === null) return;
    handler.client = null;
    const next = this.#queue.shift();
    if (next !== undefined) {
      const pooled = next.handler as PooledHandler;
      pooled.client = client;
      client.dispatch(next.options, pooled);
    } else if (this.#closing) {
      this.#all.delete(client);
      void client.close();
    } else {
      this.#idle.push(client);
    }
  }

  /** Lets calls under way end and takes no new connections; for an origin that no table names any more. */
  close(): void {
    this.#closing = true;
    for (const client of this.#idle.splice(0)) {
      this.#all.delete(client);
      void client.close();
    }
  }

  async destroy(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#all].map((client) => client.destroy()));
  }

  /** A connection that went away while nobody used it is forgotten, so that a burst leaves no objects behind. */
  #discardIfIdle(client: Client): void {
    const index = this.#idle.lastIndexOf(client);
    if (index === -1) return;
    this.#idle.splice(index, 1);
    this.#all.delete(client);
    void client.destroy();
  }

  #grow(): Client | null {
    if (this.#all.size >= this.#options.maxConnections) return null;
    const client = new Client(this.#origin, {
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: this.#options.keepAliveMs,
      keepAliveMaxTimeout: this.#options.keepAliveMs,
      // Deadlines are the call's own: undici's would fire for a whole connection and in half-second steps.
      headersTimeout: 0,
      bodyTimeout: 0,
      ...(this.#options.connect === undefined ? {} : { connect: this.#options.connect }),
    });
    this.#all.add(client);
    client.on('disconnect', () => this.#discardIfIdle(client));
    return client;
  }
}

/** A dispatch handler that remembers which connection it was given. */
export interface PooledHandler extends Dispatcher.DispatchHandler {
  client: Client | null;
}
