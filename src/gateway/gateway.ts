import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { FleetLimits } from '../limits/fleet.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { Load } from '../routetable/stream-messages.ts';
import type { RouteTable } from '../routetable/types.ts';
import { HealthBook, type HealthTransition } from '../selection/health.ts';
import type { Log } from '../telemetry/log.ts';
import { GatewayMetrics } from '../telemetry/metrics.ts';
import { type Channel, type ConnectionOptions, Connections } from '../upstream/connections.ts';
import { RetryBudgets } from '../upstream/retry-budget.ts';
import { adminApp, type ConfigState, listenAdmin } from './admin.ts';
import { BufferBudget } from './buffer-budget.ts';
import type { GatewayCore } from './core.ts';
import { type LoadContext, type LoadedTable, loadTable } from './loaded-table.ts';
import { RequestRun } from './request-run.ts';
import { Running } from './running.ts';
import { limitEvents } from './limit-events.ts';
import { ClientListener, type ListenerTimeouts } from './server.ts';

export interface GatewayOptions {
  readonly clock: Clock;
  random: () => number;
  readonly log: Log;
  /** On a laptop the gateway may call its own ports. */
  readonly loopbackAllowed: boolean;
  readonly proxy: ConnectionOptions['proxy'];
  readonly maxConnectionsPerOrigin?: number;
  readonly maxInFlight?: number;
  readonly maxBufferedBytes?: number;
  readonly keepAliveAfterMs?: number;
  readonly listenerTimeouts?: ListenerTimeouts;
  /** An upstream, or a credential's way to it, went out or came back. */
  onHealth?(transition: HealthTransition): void;
}

export interface ListenAddress {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
}

const DEFAULT_MAX_CONNECTIONS = 4096;
const DEFAULT_MAX_IN_FLIGHT = 20_000;
const DEFAULT_MAX_BUFFERED_BYTES = 512 * 1024 * 1024;
/** Proxies in front commonly cut a connection after 60 s of silence. */
const DEFAULT_KEEP_ALIVE_AFTER_MS = 10_000;
/** For the errors at the end of a drain to reach their clients. */
const CUT_SHORT_MS = 1_000;
/** After a new table: what only the one before used is looked for in all routes, once for many edits in a row. */
const FORGET_AFTER_MS = 1_000;
/** Below the keep-alive of the providers' load balancers, so that it is rarely they who close a connection we are about to use. */
const UPSTREAM_KEEP_ALIVE_MS = 55_000;

/** One gateway process: takes tables, serves clients. What it holds (connections, health, limits, metrics) outlives each table. */
export class Gateway implements GatewayCore {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly running = new Running();
  readonly maxInFlight: number;
  readonly keepAliveAfterMs: number;
  readonly #options: GatewayOptions;
  readonly #connections: Connections;
  readonly #health: HealthBook;
  readonly #retryBudgets = new RetryBudgets();
  readonly #limits: FleetLimits;
  readonly #context: LoadContext;
  #table: LoadedTable | null = null;
  #listener: ClientListener | null = null;
  #admin: Server | null = null;
  #draining = false;
  #forgetting: NodeJS.Timeout | undefined;
  #upstreamIds: ReadonlySet<string> = new Set();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.log = options.log;
    this.maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    this.keepAliveAfterMs = options.keepAliveAfterMs ?? DEFAULT_KEEP_ALIVE_AFTER_MS;
    this.budget = new BufferBudget(options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES);
    this.metrics = new GatewayMetrics(options.clock);
    this.#limits = new FleetLimits(options.clock, limitEvents(this.metrics, options.log));
    this.#health = new HealthBook({ random: options.random, onTransition: (transition) => this.#told(transition) });
    this.#connections = new Connections({
      maxConnectionsPerOrigin: options.maxConnectionsPerOrigin ?? DEFAULT_MAX_CONNECTIONS,
      clock: options.clock,
      keepAliveMs: UPSTREAM_KEEP_ALIVE_MS,
      addressPolicy: { loopbackAllowed: options.loopbackAllowed, allow: [] },
      proxy: options.proxy,
    });
    this.#context = {
      connections: this.#connections,
      health: this.#health,
      retryBudgets: this.#retryBudgets,
      metrics: this.metrics,
      loaded: new WeakMap(),
      random: () => this.random(),
    };
    this.metrics.onScrape(() => this.#collect());
  }

  random(): number {
    return this.#options.random();
  }

  get limiter(): Limiter {
    return this.#limits.limiter;
  }

  get table(): LoadedTable | null {
    return this.#table;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get logsRequests(): boolean {
    return this.#table?.table.settings.requestLog !== 'Off';
  }

  /** From the next request on this table is served; requests under way keep the one they began with. */
  apply(table: RouteTable, refusedEntries = 0): void {
    if (this.#table?.table.digest === table.digest) return;
    const loaded = loadTable(table, this.#context, this.#table);
    // First, because a certificate that cannot be used throws: then everything stays as it was.
    this.#listener?.reload(table.settings);
    this.#limits.apply(table.gateway, table.settings.redis);
    this.#table = loaded;
    this.#forgetting ??= setTimeout(() => this.#forgetUnused(), FORGET_AFTER_MS).unref();
    this.metrics.tableApplied(table.digest, refusedEntries);
  }

  /** Starts both listeners. A table must have been applied: whether clients speak TLS is decided by its settings. */
  async listen(address: ListenAddress): Promise<{ readonly port: number; readonly adminPort: number }> {
    const adminPort = await this.listenAdmin(address.adminPort, address.adminHost);
    try {
      return { port: await this.listenClients(address.port, address.host), adminPort };
    } catch (error) {
      this.#admin?.close();
      throw error;
    }
  }

  /** `host` undefined: every address. `config`: where tables come from, where it is not this process itself. Returns the port. */
  async listenAdmin(port: number, host?: string, config: ConfigState | null = null): Promise<number> {
    const admin = await listenAdmin(adminApp(this, config), port, host);
    this.#admin = admin.server;
    return admin.port;
  }

  /** Takes clients, as the settings of the table say that was applied before. Returns the port. */
  async listenClients(port: number, host?: string): Promise<number> {
    const { table } = this;
    if (table === null) throw new Error('a table is applied before listening');
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      const run = new RequestRun(this, this.#table ?? table, request, response);
      try {
        run.start();
      } catch (error) {
        run.fault(error);
      }
    };
    const listener = new ClientListener(
      table.table.settings,
      {
        onRequest,
        answering: (socket) => this.#answering(socket),
        nowMs: () => this.clock.nowMs(),
        random: () => this.random(),
      },
      this.#options.listenerTimeouts,
    );
    const listening = await listener.listen(port, host);
    this.#listener = listener;
    // What was applied while the port was being opened.
    if (this.#table !== null && this.#table !== table) listener.reload(this.#table.table.settings);
    return listening;
  }

  /** Whether a target of the table has this upstream; true as long as that has not been looked up for a new table. */
  servesUpstream(upstreamId: string): boolean {
    return this.#forgetting !== undefined || this.#upstreamIds.has(upstreamId);
  }

  load(): Load {
    let inFlightStreams = 0;
    for (const run of this.running) if (run.streaming) inFlightStreams += 1;
    return { inFlightRequests: this.running.size, inFlightStreams, requestsTotal: this.running.total };
  }

  async renderMetrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    return { contentType: this.metrics.contentType, text: await this.metrics.render() };
  }

  /** Connections to upstreams, idle ones included, and the calls that wait for one. */
  upstreamConnections(): { readonly connections: number; readonly queued: number } {
    return this.#connections.count();
  }

  onFault(error: unknown, requestId: string): void {
    this.log.logger.error({ requestId, err: error }, 'the gateway failed to handle a request');
  }

  /**
   * Ends: no new connections, idle ones closed, requests under way run to their end or until the time is over, when each gets an
   * explicit error.
   */
  async close(drainTimeoutMs: number): Promise<void> {
    this.#draining = true;
    const listener = this.#listener;
    if (listener !== null) {
      for (const run of this.running) run.lastOfItsConnection();
      const closed = listener.close();
      let timer = setTimeout(() => {
        for (const run of [...this.running]) run.cutShort();
        // A moment for what was just written, then those who do not read it.
        timer = setTimeout(() => listener.server.closeAllConnections(), CUT_SHORT_MS);
      }, drainTimeoutMs);
      await closed;
      clearTimeout(timer);
    }
    clearTimeout(this.#forgetting);
    await this.#connections.destroy();
    await this.#limits.close();
    const admin = this.#admin;
    if (admin !== null) {
      await new Promise<void>((resolve) => {
        admin.close(() => resolve());
        admin.closeAllConnections();
      });
    }
    await this.log.close();
  }

  /** Asked only when a connection broke the protocol, so that requests need not tell. */
  #answering(socket: Socket): boolean {
    for (const { request, response } of this.running) if (request.socket === socket && response.headersSent) return true;
    return false;
  }

  #forgetUnused(): void {
    this.#forgetting = undefined;
    const loaded = this.#table;
    if (loaded === null) return;
    const channels = new Set<Channel>();
    const upstreams = new Set<string>();
    const credentials = new Set<string>();
    for (const { targets } of loaded.routes) {
      for (const target of targets) {
        upstreams.add(target.target.upstreamId);
        credentials.add(target.target.credentialId);
        for (const channel of target.channels()) channels.add(channel);
      }
    }
    this.#connections.retain(channels);
    this.#health.prune(credentials);
    this.#retryBudgets.prune(upstreams);
    this.#upstreamIds = upstreams;
    this.metrics.retain(new Set(loaded.routes.map(({ route }) => route.id)), upstreams);
  }

  #told(transition: HealthTransition): void {
    this.#options.onHealth?.(transition);
    const { upstreamId, to, reason } = transition;
    // A cool-down keeps one credential (or one operation) out; only an ejection says that the upstream itself is unwell.
    if (transition.credentialId === null) {
      const metrics = this.metrics.forUpstream(upstreamId);
      metrics.healthy(to === 'Healthy');
      if (to !== 'Healthy') metrics.ejected(reason);
    }
    const { from, operation, forMs } = transition;
    this.log.logger.warn(
      { upstream: upstreamId, from, to, reason, operation: operation ?? undefined, forMs: Math.round(forMs) },
      'upstream health',
    );
  }

  #collect(): void {
    const { inFlightRequests, inFlightStreams } = this.load();
    this.metrics.inFlightRequests.set(inFlightRequests);
    this.metrics.inFlightStreams.set(inFlightStreams);
    this.metrics.bufferedBytes.set(this.budget.usedBytes);
  }
}
