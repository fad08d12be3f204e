import net from 'node:net';
import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import type { Clock } from '../lib/clock.ts';
import type { Fields } from '../lib/http1/message-parser.ts';
import type { Target } from '../routetable/types.ts';
import { AddressGuard, type AddressPolicy } from './address-policy.ts';
import type { HttpRequest } from './http1/connection.ts';
import { OriginPool, type PooledHandler, type Queued } from './origin-pool.ts';

/** How calls to one origin leave this process; see `OriginPool`. `release` must follow the end of every call that `dispatch` took. */
export interface Channel {
  dispatch(request: HttpRequest, handler: PooledHandler): Queued | null;
  release(handler: PooledHandler, reusable: boolean): void;
  readonly connections: number;
  readonly queued: number;
  close(): void;
  destroy(): Promise<void>;
}

export interface ConnectionOptions {
  readonly maxConnectionsPerOrigin: number;
  readonly keepAliveMs: number;
  readonly clock: Clock;
  readonly addressPolicy: AddressPolicy;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, where set (either case). */
  readonly proxy: { readonly httpProxy?: string; readonly httpsProxy?: string; readonly noProxy?: string } | null;
}

/** The proxy settings of an environment, or null where none is set. */
export function proxyFromEnvironment(env: Readonly<Record<string, string | undefined>>): ConnectionOptions['proxy'] {
  const httpProxy = env['http_proxy'] ?? env['HTTP_PROXY'];
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'];
  const noProxy = env['no_proxy'] ?? env['NO_PROXY'];
  if ((httpProxy ?? '') === '' && (httpsProxy ?? '') === '') return null;
  return {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
}

/** Every origin's channel, shared by all targets that call it with the same TLS settings. */
export class Connections {
  readonly #options: ConnectionOptions;
  #guard: AddressGuard;
  #guardKey: string;
  readonly #channels = new Map<string, Channel>();
  #opened = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#guard = new AddressGuard(options.addressPolicy);
    this.#guardKey = options.addressPolicy.allow.join(' ');
  }

  /** How many channels were opened so far. */
  get opened(): number {
    return this.#opened;
  }

  /** A new allow list holds for connections made from now on. */
  allow(hosts: readonly string[]): void {
    const key = hosts.join(' ');
    if (key === this.#guardKey) return;
    this.#guardKey = key;
    this.#guard = new AddressGuard({ ...this.#options.addressPolicy, allow: hosts });
  }

  /** `address`: where the host is instead of what its name resolves to, e.g. `10.0.0.7:8000`; Host and SNI stay the origin's. */
  channelFor(target: Target, origin: string, address: string | null = null): Channel {
    const key = channelKey(target, origin, address, this.#guardKey);
    let channel = this.#channels.get(key);
    if (channel === undefined) {
      channel = this.#open(target, origin, address);
      this.#channels.set(key, channel);
      this.#opened++;
    }
    return channel;
  }

  /** Closes what none of these uses any more; calls under way run to their end. */
  retain(inUse: ReadonlySet<Channel>): void {
    for (const [key, channel] of this.#channels) {
      if (inUse.has(channel)) continue;
      this.#channels.delete(key);
      channel.close();
    }
  }

  /** Totals for the metrics. */
  count(): { connections: number; queued: number } {
    let connections = 0;
    let queued = 0;
    for (const channel of this.#channels.values()) {
      connections += channel.connections;
      queued += channel.queued;
    }
    return { connections, queued };
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#channels.values()].map((channel) => channel.destroy()));
    this.#channels.clear();
  }

  #open(target: Target, origin: string, address: string | null): Channel {
    const { maxConnectionsPerOrigin: maxConnections, keepAliveMs, clock, proxy } = this.#options;
    const host = hostOf(origin);
    const guard = this.#guard;
    if (!target.trusted && net.isIP(host) !== 0) {
      const refused = guard.refuses(host, host);
      if (refused !== null) return new RefusedChannel(refused);
    }
    const connect = {
      ...(target.trusted ? {} : { lookup: guard.lookup }),
      ...(address === null ? {} : { address: placeOf(address) }),
      ...(target.tls?.caPem == null ? {} : { ca: target.tls.caPem }),
      ...(target.tls?.serverName == null ? {} : { servername: target.tls.serverName }),
    };
    if (proxy !== null && !target.trusted) {
      return new ProxyChannel(
        origin,
        new EnvHttpProxyAgent({
          ...proxy,
          connections: maxConnections,
          keepAliveTimeout: keepAliveMs,
          allowH2: false,
          // Deadlines are the call's own.
          headersTimeout: 0,
          bodyTimeout: 0,
          connect,
          requestTls: connect,
        }),
      );
    }
    return new OriginPool(origin, { maxConnections, keepAliveMs, connect, clock });
  }
}

function channelKey(target: Target, origin: string, address: string | null, guardKey: string): string {
  return JSON.stringify([origin, address, target.trusted, target.tls?.caPem ?? '', target.tls?.serverName ?? '', guardKey]);
}

function hostOf(origin: string): string {
  const { hostname } = new URL(origin);
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** `10.0.0.7:8000`, `[fd00::7]:8000` */
function placeOf(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replaceAll(/[[\]]/g, ''), port: Number(address.slice(colon + 1)) };
}

/** To an address that the policy refuses before anything is resolved, or to none; every call fails with the reason. */
export class RefusedChannel implements Channel {
  readonly connections = 0;
  readonly queued = 0;
  readonly #reason: string;

  constructor(reason: string) {
    this.#reason = reason;
  }

  dispatch(): Queued | null {
    throw new Error(this.#reason);
  }

  release(): void {}
  close(): void {}
  async destroy(): Promise<void> {}
}

/** What undici tells of a call, told on. */
class ProxiedCall implements Dispatcher.DispatchHandler {
  readonly #handler: PooledHandler;

  constructor(handler: PooledHandler) {
    this.#handler = handler;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#handler.onRequestStart(controller);
  }

  /** Repeated headers come as lists. */
  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    const fields = Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]);
    this.#handler.onResponseStart(controller, status, Object.fromEntries(fields) as Fields);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#handler.onResponseData(controller, chunk);
  }

  onResponseEnd(): void {
    this.#handler.onResponseEnd();
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#handler.onResponseError(controller, error);
  }
}

/** Calls that leave through the environment's proxy; undici keeps the connections and the queue. */
class ProxyChannel implements Channel {
  readonly connections = 0;
  readonly queued = 0;
  readonly #origin: string;
  readonly #agent: EnvHttpProxyAgent;

  constructor(origin: string, agent: EnvHttpProxyAgent) {
    this.#origin = origin;
    this.#agent = agent;
  }

  dispatch({ method, path, fixed, headers, body }: HttpRequest, handler: PooledHandler): Queued | null {
    const whole = Array.isArray(body) ? Buffer.concat(body as readonly Buffer[]) : (body as Buffer | null);
    this.#agent.dispatch(
      { origin: this.#origin, method, path, headers: [...fixed.flat, ...headers], body: whole },
      new ProxiedCall(handler),
    );
    return null;
  }

  release(): void {}

  close(): void {
    void this.#agent.close();
  }

  async destroy(): Promise<void> {
    await this.#agent.destroy();
  }
}
