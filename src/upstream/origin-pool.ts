import type { Clock } from '../lib/clock.ts';
import { type CallHandler, Connection, type ConnectionOwner, type HttpRequest } from './http1/connection.ts';
import { Connector, type ConnectorOptions } from './http1/connector.ts';

export interface OriginPoolOptions {
  /** HTTP/1.1 carries one call a connection, so this caps the calls under way to one origin. */
  readonly maxConnections: number;
  /** An idle connection is closed after this long, or earlier where the upstream says that it would close it. */
  readonly keepAliveMs: number;
  readonly connect: ConnectorOptions;
  readonly clock: Clock;
}

/** A call's handler that remembers which connection it was given. */
export interface PooledHandler extends CallHandler {
  connection: Connection | null;
}

/** A call that waits for a connection; `cancel` takes it out of the queue, and does nothing once it has been given one. */
export interface Queued {
  cancel(): void;
}

interface Waiting {
  readonly request: HttpRequest;
  readonly handler: PooledHandler;
}

/** With so many calls under way another one is likely, and finds its connection made. */
const SPARE_FROM_CONNECTIONS = 4;
/** So that a spare connection is made when the call that took the last idle one has been sent, not while it is. */
const SPARE_AFTER_MS = 2;
/** A spare that nobody needs is closed. */
const SPARE_KEEP_MS = 3_000;
/** How often idle connections are looked at. */
const SWEEP_EVERY_MS = 1_000;

/**
 * Connections to one origin. The last one used is used next, so that surplus connections age out, and finding it costs the same
 * with two connections as with two thousand.
 * The caller says when a call is over (`release`); calls beyond the cap wait in order. While several are under way, one connection
 * more is kept than they need: the next call need not wait for one to be made.
 */
export class OriginPool implements ConnectionOwner {
  readonly #connector: Connector;
  readonly #options: OriginPoolOptions;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  /** In the order of their coming. */
  readonly #queue = new Set<Waiting>();
  #sweep: NodeJS.Timeout | null = null;
  #sparing: NodeJS.Timeout | null = null;
  #closing = false;
  #destroyed = false;

  constructor(origin: string, options: OriginPoolOptions) {
    this.#connector = new Connector(origin, options.connect);
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
   * `destroy`, and for a request that cannot be sent; after `close` calls are still taken, for requests that began before it.
   */
  dispatch(request: HttpRequest, handler: PooledHandler): Queued | null {
    if (this.#destroyed) throw new Error(GONE);
    const connection = this.#fromIdle() ?? this.#grow();
    if (connection !== null) {
      this.#hand(connection, request, handler);
      if (this.#idle.length === 0 && this.#all.size >= SPARE_FROM_CONNECTIONS)
        this.#sparing ??= setTimeout(() => this.#openSpare(), SPARE_AFTER_MS).unref();
      return null;
    }
    const waiting: Waiting = { request, handler };
    this.#queue.add(waiting);
    return { cancel: () => this.#queue.delete(waiting) };
  }

  /**
   * The call that held this connection is over. `reusable`: it ended as it should, so the connection may carry the next one;
   * otherwise it is closed, whatever state it is in. A second call for the same handler does nothing.
   */
  release(handler: PooledHandler, reusable: boolean): void {
    const { connection } = handler;
    if (connection === null) return;
    handler.connection = null;
    connection.detach();
    const again = reusable && connection.reusable;
    if (!again) this.#drop(connection);
    const next = this.#firstWaiting();
    if (next === null) {
      if (!again) return;
      if (this.#closing) this.#drop(connection);
      else this.#keep(connection);
      return;
    }
    const successor = again ? connection : this.#grow();
    if (successor === null) return;
    this.#queue.delete(next);
    try {
      this.#hand(successor, next.request, next.handler);
    } catch (error) {
      next.handler.onResponseError(null, error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** A connection that went away while nobody used it is forgotten, so that a burst leaves no objects behind. */
  ended(connection: Connection): void {
    this.#all.delete(connection);
    const index = this.#idle.lastIndexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
  }

  /** Lets calls under way end and keeps no connections; for an origin that no table names any more. */
  close(): void {
    this.#closing = true;
    if (this.#sparing !== null) clearTimeout(this.#sparing);
    for (const connection of this.#idle.splice(0)) this.#drop(connection);
  }

  /** Ends everything at once; calls under way and calls that wait are told. */
  async destroy(): Promise<void> {
    this.#closing = true;
    this.#destroyed = true;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    if (this.#sparing !== null) clearTimeout(this.#sparing);
    const waiting = [...this.#queue];
    this.#queue.clear();
    for (const { handler } of waiting) handler.onResponseError(null, new Error(GONE));
    const connections = [...this.#all];
    this.#all.clear();
    this.#idle.length = 0;
    for (const connection of connections) connection.abort(new Error(GONE));
    await Promise.all(connections.map((connection) => connection.closed()));
  }

  #hand(connection: Connection, request: HttpRequest, handler: PooledHandler): void {
    handler.connection = connection;
    try {
      connection.dispatch(request, handler);
    } catch (error) {
      this.release(handler, false);
      throw error;
    }
  }

  /** The last one that became free and will live. */
  #fromIdle(): Connection | null {
    const connection = this.#idle.pop();
    if (connection === undefined || connection.idleUntilMs > this.#options.clock.nowMs()) return connection ?? null;
    this.#drop(connection);
    return this.#fromIdle();
  }

  #keep(connection: Connection): void {
    connection.idleUntilMs = this.#options.clock.nowMs() + connection.keepAliveMs(this.#options.keepAliveMs);
    this.#idle.push(connection);
    this.#sweepIdle();
  }

  /** Used last, and like any other idle one; a call that comes before it is made waits for the rest of its making. */
  #openSpare(): void {
    this.#sparing = null;
    if (this.#closing || this.#idle.length > 0 || this.#all.size < SPARE_FROM_CONNECTIONS) return;
    const connection = this.#grow();
    if (connection === null) return;
    connection.idleUntilMs = this.#options.clock.nowMs() + SPARE_KEEP_MS;
    this.#idle.push(connection);
    this.#sweepIdle();
  }

  #sweepIdle(): void {
    this.#sweep ??= setInterval(() => this.#dropExpired(), SWEEP_EVERY_MS).unref();
  }

  #dropExpired(): void {
    const nowMs = this.#options.clock.nowMs();
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      const connection = this.#idle[i];
      if (connection === undefined || connection.idleUntilMs > nowMs) continue;
      this.#idle.splice(i, 1);
      this.#drop(connection);
    }
    if (this.#idle.length > 0 || this.#sweep === null) return;
    clearInterval(this.#sweep);
    this.#sweep = null;
  }

  #firstWaiting(): Waiting | null {
    if (this.#queue.size === 0) return null;
    for (const waiting of this.#queue) return waiting;
    return null;
  }

  #drop(connection: Connection): void {
    this.#all.delete(connection);
    connection.destroy();
  }

  #grow(): Connection | null {
    if (this.#destroyed || this.#all.size >= this.#options.maxConnections) return null;
    const connection = new Connection(this.#connector, this);
    this.#all.add(connection);
    return connection;
  }
}

const GONE = 'the connections to this upstream are closed: the gateway is ending';
