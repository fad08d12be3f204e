import { Client, type Dispatcher } from 'undici';

export interface OriginPoolOptions {
  /** HTTP/1.1 carries one call a connection, so this caps the calls under way to one origin. */
  readonly maxConnections: number;
  /** An idle connection is closed after this long. */
  readonly keepAliveMs: number;
  readonly connect: Client.Options['connect'];
}

/** A dispatch handler that remembers which connection it was given. */
export interface PooledHandler extends Dispatcher.DispatchHandler {
  client: Client | null;
  /** `controller`: null where the call never started. */
  onResponseError(controller: Dispatcher.DispatchController | null, error: Error): void;
}

/** A call that waits for a connection; `cancel` takes it out of the queue, and does nothing once it has been given one. */
export interface Queued {
  cancel(): void;
}

interface Waiting {
  readonly options: Dispatcher.DispatchOptions;
  readonly handler: PooledHandler;
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
  /** In the order of their coming. */
  readonly #queue = new Set<Waiting>();
  #closing = false;
  #destroyed = false;

  constructor(origin: string, options: OriginPoolOptions) {
    this.#origin = origin;
    this.#options = options;
  }

  get connections(): number {
    return this.#all.size;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Returns null when the call was handed to a connection at once. `release` must follow the end of every call. Throws after
   * `destroy`; after `close` calls are still taken, for requests that began before it.
   */
  dispatch(options: Dispatcher.DispatchOptions, handler: PooledHandler): Queued | null {
    if (this.#destroyed) throw new Error(GONE);
    const client = this.#idle.pop() ?? this.#grow();
    if (client !== null) {
      handler.client = client;
      client.dispatch(options, handler);
      return null;
    }
    const waiting: Waiting = { options, handler };
    this.#queue.add(waiting);
    return { cancel: () => this.#queue.delete(waiting) };
  }

  /**
   * The call that held this connection is over. `reusable`: it ended as it should, so the connection may carry the next one;
   * otherwise it is closed, whatever state it is in. A second call for the same handler does nothing.
   */
  release(handler: PooledHandler, reusable: boolean): void {
    const { client } = handler;
    if (client === null) return;
    handler.client = null;
    if (!reusable) this.#drop(client);
    const next = this.#firstWaiting();
    const successor = reusable ? client : next === null ? null : this.#grow();
    if (successor === null) return;
    if (next !== null) {
      this.#queue.delete(next);
      next.handler.client = successor;
      successor.dispatch(next.options, next.handler);
    } else if (this.#closing) {
      this.#drop(successor);
    } else {
      this.#idle.push(successor);
    }
  }

  /** Lets calls under way end and keeps no connections; for an origin that no table names any more. */
  close(): void {
    this.#closing = true;
    for (const client of this.#idle.splice(0)) this.#drop(client);
  }

  /** Ends everything at once; calls under way and calls that wait are told. */
  async destroy(): Promise<void> {
    this.#closing = true;
    this.#destroyed = true;
    const waiting = [...this.#queue];
    this.#queue.clear();
    for (const { handler } of waiting) handler.onResponseError(null, new Error(GONE));
    const clients = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    await Promise.all(clients.map((client) => client.destroy()));
  }

  #firstWaiting(): Waiting | null {
    for (const waiting of this.#queue) return waiting;
    return null;
  }

  #drop(client: Client): void {
    this.#all.delete(client);
    // Not from within a callback of its own, in which it may be in the middle of something.
    queueMicrotask(() => void client.destroy());
  }

  /** A connection that went away while nobody used it is forgotten, so that a burst leaves no objects behind. */
  #discardIfIdle(client: Client): void {
    const index = this.#idle.lastIndexOf(client);
    if (index === -1) return;
    this.#idle.splice(index, 1);
    this.#drop(client);
  }

  #grow(): Client | null {
    if (this.#destroyed || this.#all.size >= this.#options.maxConnections) return null;
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

const GONE = 'the connections to this upstream are closed: the gateway is ending';
