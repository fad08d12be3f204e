import type { Server } from 'node:http';
import { readFile } from 'node:fs/promises';
import { AnswerCache } from '../cache/answer-cache.ts';
import type { Clock } from '../lib/clock.ts';
import type { FetchToken } from '../credentials/service.ts';
import { TokenSources } from '../credentials/token-source.ts';
import { FleetLimits, type SharedRedis } from '../limits/fleet.ts';
import type { Limiter } from '../limits/limiter.ts';
import { FILES_KEPT_MS, RESPONSES_KEPT_MS, UpstreamPins } from '../pins/upstream-pins.ts';
import type { ExhaustedBudget, Load } from '../routetable/stream-messages.ts';
import type { RefusedRoute } from '../routetable/replica.ts';
import type { Limit, RouteTable } from '../routetable/types.ts';
import { HealthBook, type HealthTransition } from '../selection/health.ts';
import type { Log } from '../telemetry/log.ts';
import { GatewayMetrics } from '../telemetry/metrics.ts';
import { type Channel, type ConnectionOptions, Connections } from '../upstream/connections.ts';
import { TokenFetcher } from '../upstream/fetch-token.ts';
import { RetryBudgets } from '../upstream/retry-budget.ts';
import { adminApp, type ConfigState, listenAdmin } from './admin.ts';
import { ExhaustedBudgets } from './budgets.ts';
import { BufferBudget } from './buffer-budget.ts';
import { cacheEvents } from './cache-events.ts';
import type { GatewayCore } from './core.ts';
import type { Exchange } from './http1/exchange.ts';
import { PriceBook } from '../prices/book.ts';
import { healthKey, HealthOverRedis } from './health-sharing.ts';
import { TokenLearner } from '../prices/token-learner.ts';
import { type LoadContext, type LoadedTable, loadTable } from './loaded-table.ts';
import { RequestRun } from './request-run.ts';
import { Running } from './running.ts';
import { limitEvents } from './limit-events.ts';
import { addressId, ServiceTargets } from './service-targets.ts';
import { ClientListener, type ListenerTimeouts } from './server.ts';
import { usedBudgets } from './used-budgets.ts';

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
  /** How long a request's limits wait for an answer of Redis before the policy decides. */
  readonly redisTimeoutMs?: number;
  /** Reaches the clouds' token services; default: the network, by the same proxy. */
  readonly fetchToken?: FetchToken;
  /** What the pods' own identity is told by; default: the process's environment. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** An upstream, or a credential's way to it, went out or came back. */
  onHealth?(transition: HealthTransition): void;
  /** `exhaustedBudgets` has one more. */
  onBudgetExhausted?(): void;
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
/** In this time a silent stream is looked at so often. */
const KEEP_ALIVE_LOOKS = 10;
/** For the errors at the end of a drain to reach their clients. */
const CUT_SHORT_MS = 1_000;
/** After a table that may have left something behind: what that is is looked for in all routes, once for many edits in a row. */
const FORGET_AFTER_MS = 10_000;
/** Below the keep-alive of the providers' load balancers, so that it is rarely they who close a connection we are about to use. */
const UPSTREAM_KEEP_ALIVE_MS = 55_000;

/** One gateway process: takes tables, serves clients. What it holds (connections, health, limits, metrics) outlives each table. */
export class Gateway implements GatewayCore {
  readonly clock: Clock;
  readonly budget: BufferBudget;
  readonly cache: AnswerCache;
  readonly pins: UpstreamPins;
  readonly filePins: UpstreamPins;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly running = new Running();
  readonly maxInFlight: number;
  readonly keepAliveAfterMs: number;
  readonly #options: GatewayOptions;
  readonly #connections: Connections;
  readonly #health: HealthBook;
  readonly #services: ServiceTargets;
  readonly #tokenFetcher: TokenFetcher;
  readonly #retryBudgets = new RetryBudgets();
  readonly #limits: FleetLimits;
  readonly #sharing: HealthOverRedis;
  readonly #context: LoadContext;
  readonly #exhausted = new ExhaustedBudgets();
  #table: LoadedTable | null = null;
  #listener: ClientListener | null = null;
  #admin: Server | null = null;
  #draining = false;
  #forgetting: NodeJS.Timeout | undefined;
  #keepingAlive: NodeJS.Timeout | undefined;
  /** Of the table's routes, and of those before that were not looked through yet. */
  #upstreamIds = new Set<string>();
  /** Channels, before what is not used was last forgotten. */
  #openedBefore = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.log = options.log;
    this.maxInFlight = options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT;
    this.keepAliveAfterMs = options.keepAliveAfterMs ?? DEFAULT_KEEP_ALIVE_AFTER_MS;
    this.budget = new BufferBudget(options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES);
    this.metrics = new GatewayMetrics(options.clock);
    this.#limits = new FleetLimits(options.clock, limitEvents(this.metrics, options.log), options.redisTimeoutMs);
    const redis = (): SharedRedis | null => this.#limits.redis;
    this.pins = new UpstreamPins({ name: 'response', keptMs: RESPONSES_KEPT_MS }, options.clock, redis);
    this.filePins = new UpstreamPins({ name: 'file', keptMs: FILES_KEPT_MS }, options.clock, redis);
    this.cache = new AnswerCache(options.clock, cacheEvents(this.metrics, options.log));
    this.#health = new HealthBook({
      random: options.random,
      onTransition: (transition) => this.#told(transition),
      keyOf: healthKey,
    });
    this.#sharing = new HealthOverRedis(this.#health, this.#limits, options.clock, options.random, (message) =>
      this.log.logger.warn(message),
    );
    this.#limits.listener = this.#sharing;
    this.#connections = new Connections({
      maxConnectionsPerOrigin: options.maxConnectionsPerOrigin ?? DEFAULT_MAX_CONNECTIONS,
      clock: options.clock,
      keepAliveMs: UPSTREAM_KEEP_ALIVE_MS,
      addressPolicy: { loopbackAllowed: options.loopbackAllowed, allow: [] },
      proxy: options.proxy,
    });
    this.#tokenFetcher = new TokenFetcher(options.proxy);
    this.#services = new ServiceTargets({
      health: this.#health,
      connections: this.#connections,
      random: () => this.random(),
      nowMs: () => this.clock.nowMs(),
      onTransition: (transition) => this.#toldOfUpstream(transition),
    });
    this.#context = {
      connections: this.#connections,
      prices: new PriceBook(),
      tokens: new TokenLearner(),
      identities: new TokenSources({
        wallMs: () => options.clock.wallMs(),
        random: options.random,
        fetch: options.fetchToken ?? this.#tokenFetcher.fetch,
        variables: options.variables ?? process.env,
        readFile: (path) => readFile(path, 'utf8'),
      }),
      health: this.#health,
      services: this.#services,
      retryBudgets: this.#retryBudgets,
      metrics: this.metrics,
      loaded: new WeakMap(),
      limiter: () => this.limiter,
      random: () => this.random(),
    };
    this.metrics.onScrape(() => this.#collect());
  }

  random(): number {
    return this.#options.random();
  }

  /** Why limits are not shared with the other pods though they are to be; null: they are, or are not to be. */
  get limitsProblem(): string | null {
    return this.#limits.problem;
  }

  /** So many pods of this gateway are ready, this one included: they divide its limits while Redis is away. */
  countPods(readyPods: number): void {
    this.#limits.countPods(readyPods);
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

  /**
   * From the next request on this table is served; requests under way keep the one they began with. Returns the routes that could
   * not be loaded: of each the version before it is served, where there was one.
   */
  apply(table: RouteTable, refusedEntries = 0): readonly RefusedRoute[] {
    if (this.#table?.table.digest === table.digest) return this.#table.refused;
    const loaded = loadTable(table, this.#context, this.#table);
    // First, because a certificate that cannot be used throws: then everything stays as it was.
    this.#listener?.reload(table.settings);
    this.#limits.apply(table.gateway, table.settings.redis);
    this.#sharing.follow(table.settings.redis !== null);
    this.cache.apply(table.gateway, table.settings.redis, loaded.cachingRoutes > 0);
    this.#table = loaded;
    for (const { targets } of loaded.anew) for (const { target } of targets) this.#upstreamIds.add(target.upstreamId);
    // Most edits leave nothing: the look at all routes takes milliseconds, in which no request is served. What was opened since the
    // last one may be of a request that began with an older table.
    if (loaded.leavesBehind || this.#connections.opened !== this.#openedBefore)
      this.#forgetting ??= setTimeout(() => this.#forgetUnused(), FORGET_AFTER_MS).unref();
    for (const { id, kept, error } of loaded.refused)
      this.log.logger.error({ err: error, route: id, kept: kept !== null }, 'a route could not be loaded');
    this.metrics.tableApplied(table.digest, refusedEntries + loaded.refused.length);
    return loaded.refused;
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
    const onExchange = (exchange: Exchange, receivedMs: number): void => {
      const run = new RequestRun(this, this.#table ?? table, exchange, receivedMs);
      try {
        run.start();
      } catch (error) {
        run.fault(error);
      }
    };
    const listener = new ClientListener(
      table.table.settings,
      {
        onExchange,
        nowMs: () => this.clock.nowMs(),
        random: () => this.random(),
      },
      this.#options.listenerTimeouts,
    );
    const listening = await listener.listen(port, host);
    this.#listener = listener;
    this.#keepingAlive = setInterval(() => this.#keepAlive(), this.keepAliveAfterMs / KEEP_ALIVE_LOOKS).unref();
    // What was applied while the port was being opened.
    if (this.#table !== null && this.#table !== table) listener.reload(this.#table.table.settings);
    return listening;
  }

  /** Whether a target of the table has this upstream; true also of one that a table shortly before had. */
  servesUpstream(upstreamId: string): boolean {
    return this.#upstreamIds.has(upstreamId);
  }

  load(): Load {
    let inFlightStreams = 0;
    for (const run of this.running) if (run.streaming) inFlightStreams += 1;
    return { inFlightRequests: this.running.size, inFlightStreams, requestsTotal: this.running.total };
  }

  /** Limits in USD that this pod has seen used up, and whose window is not over. */
  get exhaustedBudgets(): readonly ExhaustedBudget[] {
    return this.#exhausted.list(this.clock.wallMs());
  }

  budgetExhausted(routeId: string, limit: Limit, tenant: string): void {
    if (!this.#exhausted.seen(routeId, limit, tenant, this.clock.wallMs())) return;
    this.log.logger.warn({ route: routeId, quota: limit.quota, limit: limit.name, tenant }, 'a limit in USD is used up');
    this.#options.onBudgetExhausted?.();
  }

  async renderMetrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.metrics.budgets(await usedBudgets(this.#table?.routes ?? [], () => this.limiter));
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
        timer = setTimeout(() => listener.closeAllConnections(), CUT_SHORT_MS);
      }, drainTimeoutMs);
      await closed;
      clearTimeout(timer);
    }
    clearTimeout(this.#forgetting);
    clearInterval(this.#keepingAlive);
    await this.#connections.destroy();
    await this.#tokenFetcher.close();
    this.#sharing.close();
    await this.#limits.close();
    await this.cache.close();
    const admin = this.#admin;
    if (admin !== null) {
      await new Promise<void>((resolve) => {
        admin.close(() => resolve());
        admin.closeAllConnections();
      });
    }
    await this.log.close();
  }

  #keepAlive(): void {
    const nowMs = performance.now();
    for (const run of this.running) run.keepAlive(nowMs);
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
    const services = this.#services.prune(credentials);
    for (const channel of services.channels) channels.add(channel);
    this.#connections.retain(channels);
    this.#openedBefore = this.#connections.opened;
    this.#health.prune(new Set([...credentials, ...services.credentialIds]));
    this.#retryBudgets.prune(upstreams);
    this.#upstreamIds = upstreams;
    this.metrics.retain(new Set(loaded.routes.map(({ route }) => route.id)), upstreams);
  }

  #told(transition: HealthTransition): void {
    const one = addressId(transition.upstreamId);
    if (one === null) {
      this.#toldOfUpstream(transition);
      return;
    }
    const { from, to, reason, forMs } = transition;
    if (to === 'Ejected') this.metrics.forUpstream(one.upstreamId).ejected(reason);
    this.log.logger.warn(
      { upstream: one.upstreamId, address: one.address, from, to, reason, forMs: Math.round(forMs) },
      'health of one address of an upstream',
    );
    this.#services.told(one);
  }

  #toldOfUpstream(transition: HealthTransition): void {
    this.#options.onHealth?.(transition);
    const { upstreamId, to, reason } = transition;
    // A cool-down keeps one credential (or one operation) out; only an ejection says that the upstream itself is unwell.
    if (transition.credentialId === null) {
      const metrics = this.metrics.forUpstream(upstreamId);
      metrics.healthy(to === 'Healthy');
      if (to !== 'Healthy') metrics.ejected(reason);
    }
    const { from, operation, forMs, told } = transition;
    this.log.logger.warn(
      { upstream: upstreamId, from, to, reason, operation: operation ?? undefined, forMs: Math.round(forMs), told },
      'upstream health',
    );
  }

  #collect(): void {
    const { inFlightRequests, inFlightStreams } = this.load();
    this.metrics.inFlightRequests.set(inFlightRequests);
    this.metrics.inFlightStreams.set(inFlightStreams);
    this.metrics.bufferedBytes.set(this.budget.usedBytes);
    this.metrics.cache.memoryBytes.set(this.cache.memoryBytes);
    this.metrics.upstreamHeadroom(this.#headroom());
  }

  *#headroom(): Iterable<{ readonly upstreamId: string; readonly unit: string; readonly left: number }> {
    const nowMs = this.clock.nowMs();
    for (const target of this.#health.targets()) {
      const upstreamId = addressId(target.upstreamId)?.upstreamId ?? target.upstreamId;
      for (const { unit, left } of target.headroom(nowMs)) yield { upstreamId, unit, left };
    }
  }
}
