import type { Clock } from '../lib/clock.ts';
import type { FailureKind, FilterPhase } from '../lib/failure.ts';
import type { Usage } from '../lib/usage.ts';
import { CacheMetrics } from './cache-metrics.ts';
import type { CounterCell, Family, GaugeCell, HistogramCell } from './cells.ts';
import { LimitStoreMetrics } from './limit-store-metrics.ts';
import { METRICS } from './metric-table.ts';
import { processMetrics } from './process-metrics.ts';
import { MetricRegistry } from './registry.ts';

/** The route label of what was answered before a route was found. */
const NO_ROUTE = 'none';
/** The series of a route or upstream that left the table stay this long, so that the last scrape does not miss its end. */
const KEPT_AFTER_MS = 15 * 60_000;

/**
 * What the gateway tells Prometheus. The request path holds handles with their cells resolved (a route's, a target's, an
 * upstream's, made when a table is loaded); a cell becomes a series with its first count, so that routes without traffic cost none.
 */
export class GatewayMetrics {
  readonly #clock: Clock;
  readonly #registry = new MetricRegistry(METRICS.seriesDropped);
  readonly #process: { render(): Promise<string> } | null;
  readonly #collectors: (() => void)[] = [];
  readonly #families: RouteFamilies = {
    requests: this.#registry.counter(METRICS.requests),
    requestErrors: this.#registry.counter(METRICS.requestErrors),
    attempts: this.#registry.counter(METRICS.attempts),
    leftOut: this.#registry.counter(METRICS.leftOut),
    failovers: this.#registry.counter(METRICS.failovers),
    contentFilterFailovers: this.#registry.counter(METRICS.contentFilterFailovers),
    contentFiltered: this.#registry.counter(METRICS.contentFiltered),
    contentFilterCategories: this.#registry.counter(METRICS.contentFilterCategories),
    tokens: this.#registry.counter(METRICS.tokens),
    cost: this.#registry.counter(METRICS.cost),
    costUnknown: this.#registry.counter(METRICS.costUnknown),
    usageEstimated: this.#registry.counter(METRICS.usageEstimated),
    limited: this.#registry.counter(METRICS.limited),
    maxTokensClamped: this.#registry.counter(METRICS.maxTokensClamped),
    downgraded: this.#registry.counter(METRICS.downgraded),
    cacheLookups: this.#registry.counter(METRICS.cacheLookups),
    droppedParams: this.#registry.counter(METRICS.droppedParams),
    structuredOutputs: this.#registry.counter(METRICS.structuredOutputs),
    streamsBroken: this.#registry.counter(METRICS.streamsBroken),
  };
  readonly #timeToFirstToken = this.#registry.histogram(METRICS.timeToFirstToken);
  readonly #upstreamHealthy = this.#registry.gauge(METRICS.upstreamHealthy);
  readonly #budgetUsed = this.#registry.gauge(METRICS.budgetUsed);
  readonly #upstreamHeadroom = this.#registry.gauge(METRICS.upstreamHeadroom);
  readonly #ejections = this.#registry.counter(METRICS.ejections);
  readonly #requestDuration = this.#registry.histogram(METRICS.requestDuration);
  readonly #authFailures = this.#registry.counter(METRICS.authFailures);
  readonly #shed = this.#registry.counter(METRICS.shed);
  readonly #tableInfo = this.#registry.gauge(METRICS.tableInfo);
  readonly #tableApplied = this.#registry.gauge(METRICS.tableApplied).with();
  readonly #tableRefused = this.#registry.gauge(METRICS.tableRefused).with();
  readonly #routes: Handles<RouteMetrics>;
  readonly #upstreams: Handles<UpstreamMetrics>;

  /** Observe in seconds. */
  readonly wholeDuration = this.#requestDuration.with('false');
  readonly streamDuration = this.#requestDuration.with('true');
  readonly gatewayOverhead = this.#registry.histogram(METRICS.gatewayOverhead).with();
  readonly upstreamConnect = this.#registry.histogram(METRICS.upstreamConnect).with();
  readonly upstreamQueued = this.#registry.counter(METRICS.upstreamQueued).with();
  readonly clientDisconnects = this.#registry.counter(METRICS.clientDisconnects).with();
  readonly inFlightRequests = this.#registry.gauge(METRICS.inFlightRequests).with();
  readonly inFlightStreams = this.#registry.gauge(METRICS.inFlightStreams).with();
  readonly bufferedBytes = this.#registry.gauge(METRICS.bufferedBytes).with();
  readonly configAge = this.#registry.gauge(METRICS.configAge).with();
  readonly operatorConnected = this.#registry.gauge(METRICS.operatorConnected).with();
  readonly operatorReconnects = this.#registry.counter(METRICS.operatorReconnects).with();
  readonly logDropped = this.#registry.counter(METRICS.logDropped).with();
  readonly logErrors = this.#registry.counter(METRICS.logErrors).with();
  readonly cache = new CacheMetrics(this.#registry);
  readonly limitStore = new LimitStoreMetrics(this.#registry);
  /** Of requests that no route answers. */
  readonly unrouted = new RouteMetrics(NO_ROUTE, this.#families);

  /** `processToo`: prom-client's metrics of the process as well. */
  constructor(clock: Clock, processToo = true) {
    this.#clock = clock;
    this.#process = processToo ? processMetrics() : null;
    this.#routes = new Handles((id) => new RouteMetrics(id, this.#families));
    this.#upstreams = new Handles(
      (id) =>
        new UpstreamMetrics(id, {
          firstToken: this.#timeToFirstToken,
          healthy: this.#upstreamHealthy,
          ejections: this.#ejections,
        }),
    );
  }

  /** `routeId`: `namespace/name`. The same handle as long as the route stays. */
  forRoute(routeId: string): RouteMetrics {
    return this.#routes.of(routeId);
  }

  /** `targetName`: its name in the route's pool. */
  forTarget(routeId: string, targetName: string): TargetMetrics {
    return this.#routes.of(routeId).target(targetName);
  }

  forUpstream(upstreamId: string): UpstreamMetrics {
    return this.#upstreams.of(upstreamId);
  }

  /** The routes and upstreams of the table now served. Series of others go a while later. */
  retain(routeIds: ReadonlySet<string>, upstreamIds: ReadonlySet<string>): void {
    const nowMs = this.#clock.nowMs();
    this.#routes.retain(routeIds, nowMs);
    this.#upstreams.retain(upstreamIds, nowMs);
  }

  tableApplied(digest: string, refusedEntries: number): void {
    this.#tableInfo.clear();
    this.#tableInfo.with(digest).set(1);
    this.#tableApplied.set(this.#clock.wallMs() / 1_000);
    this.#tableRefused.set(refusedEntries);
  }

  /** All that upstreams have said is left, in place of what they said before. */
  upstreamHeadroom(told: Iterable<{ readonly upstreamId: string; readonly unit: string; readonly left: number }>): void {
    this.#upstreamHeadroom.clear();
    const least = new ExtremeValues((a, b) => Math.min(a, b));
    for (const { upstreamId, unit, left } of told)
      least.add(this.#upstreamHeadroom.with(upstreamId, unit.replace('Tokens', '_tokens')), Math.max(0, left));
  }

  /** The greatest used part of each limit in USD, in place of what was told before. */
  budgets(used: Iterable<{ readonly routeId: string; readonly limitName: string; readonly usedShare: number }>): void {
    this.#budgetUsed.clear();
    const greatest = new ExtremeValues((a, b) => Math.max(a, b));
    for (const { routeId, limitName, usedShare } of used) greatest.add(this.#budgetUsed.with(routeId, limitName), usedShare);
  }

  authFailed(reason: string): void {
    this.#authFailures.with(reason).add(1);
  }

  shed(reason: string): void {
    this.#shed.with(reason).add(1);
  }

  /** Called before each scrape, for what is cheaper to read than to follow. */
  onScrape(collect: () => void): void {
    this.#collectors.push(collect);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(): Promise<string> {
    for (const collect of this.#collectors) collect();
    const beforeMs = this.#clock.nowMs() - KEPT_AFTER_MS;
    this.#registry.remove('route', this.#routes.forget(beforeMs));
    this.#registry.remove('upstream', this.#upstreams.forget(beforeMs));
    const ours = await this.#registry.render();
    return this.#process === null ? ours : ours + (await this.#process.render());
  }
}

interface RouteFamilies {
  readonly requests: Family<typeof METRICS.requests.labels, CounterCell>;
  readonly requestErrors: Family<typeof METRICS.requestErrors.labels, CounterCell>;
  readonly attempts: Family<typeof METRICS.attempts.labels, CounterCell>;
  readonly leftOut: Family<typeof METRICS.leftOut.labels, CounterCell>;
  readonly failovers: Family<typeof METRICS.failovers.labels, CounterCell>;
  readonly contentFilterFailovers: Family<typeof METRICS.contentFilterFailovers.labels, CounterCell>;
  readonly contentFiltered: Family<typeof METRICS.contentFiltered.labels, CounterCell>;
  readonly contentFilterCategories: Family<typeof METRICS.contentFilterCategories.labels, CounterCell>;
  readonly tokens: Family<typeof METRICS.tokens.labels, CounterCell>;
  readonly cost: Family<typeof METRICS.cost.labels, CounterCell>;
  readonly costUnknown: Family<typeof METRICS.costUnknown.labels, CounterCell>;
  readonly usageEstimated: Family<typeof METRICS.usageEstimated.labels, CounterCell>;
  readonly maxTokensClamped: Family<typeof METRICS.maxTokensClamped.labels, CounterCell>;
  readonly limited: Family<typeof METRICS.limited.labels, CounterCell>;
  readonly downgraded: Family<typeof METRICS.downgraded.labels, CounterCell>;
  readonly cacheLookups: Family<typeof METRICS.cacheLookups.labels, CounterCell>;
  readonly droppedParams: Family<typeof METRICS.droppedParams.labels, CounterCell>;
  readonly structuredOutputs: Family<typeof METRICS.structuredOutputs.labels, CounterCell>;
  readonly streamsBroken: Family<typeof METRICS.streamsBroken.labels, CounterCell>;
}

/** A route's counters. What every request counts is resolved after the first time; what is rare is looked up. */
export class RouteMetrics {
  readonly #route: string;
  readonly #families: RouteFamilies;
  /** By operation and status; null: none has ended. */
  #requests: Map<string, Map<number, CounterCell>> | null = null;
  readonly #targets = new Map<string, TargetMetrics>();

  constructor(route: string, families: RouteFamilies) {
    this.#route = route;
    this.#families = families;
  }

  /** Once for each request, with the HTTP status the client was sent. */
  requestEnded(operation: string, status: number): void {
    const requests = (this.#requests ??= new Map<string, Map<number, CounterCell>>());
    let byStatus = requests.get(operation);
    if (byStatus === undefined) requests.set(operation, (byStatus = new Map<number, CounterCell>()));
    let cell = byStatus.get(status);
    if (cell === undefined) {
      cell = this.#families.requests.with(this.#route, operation, String(status));
      byStatus.set(status, cell);
    }
    cell.add(1);
  }

  /** `code`: the gateway's own error code. */
  error(code: string): void {
    this.#families.requestErrors.with(this.#route, code).add(1);
  }

  downgraded(limitName: string): void {
    this.#families.downgraded.with(this.#route, limitName).add(1);
  }

  maxTokensClamped(): void {
    this.#families.maxTokensClamped.with(this.#route).add(1);
  }

  limited(limitName: string): void {
    this.#families.limited.with(this.#route, limitName).add(1);
  }

  cacheLookedUp(result: 'hit' | 'joined' | 'miss' | 'bypass'): void {
    this.#families.cacheLookups.with(this.#route, result).add(1);
  }

  /** Targets by name. */
  failedOver(from: string, to: string, reason: string): void {
    this.#families.failovers.with(this.#route, from, to, reason).add(1);
  }

  contentFilterFailedOver(phase: FilterPhase, to: string): void {
    this.#families.contentFilterFailovers.with(this.#route, phase, to).add(1);
  }

  paramDropped(param: string): void {
    this.#families.droppedParams.with(this.#route, param).add(1);
  }

  streamBroken(): void {
    this.#families.streamsBroken.with(this.#route).add(1);
  }

  target(name: string): TargetMetrics {
    let target = this.#targets.get(name);
    if (target === undefined) this.#targets.set(name, (target = new TargetMetrics(this.#route, name, this.#families)));
    return target;
  }
}

/** Counters of one model of a route's pool. */
export class TargetMetrics {
  readonly #route: string;
  readonly #target: string;
  readonly #families: RouteFamilies;
  #ok: CounterCell | null = null;
  #input: CounterCell | null = null;
  #output: CounterCell | null = null;
  #cached: CounterCell | null = null;
  #reasoning: CounterCell | null = null;
  #cost: CounterCell | null = null;

  constructor(route: string, target: string, families: RouteFamilies) {
    this.#route = route;
    this.#target = target;
    this.#families = families;
  }

  attemptEnded(outcome: 'ok' | FailureKind): void {
    if (outcome === 'ok') (this.#ok ??= this.#families.attempts.with(this.#route, this.#target, 'ok')).add(1);
    else this.#families.attempts.with(this.#route, this.#target, outcome).add(1);
  }

  leftOut(reason: string): void {
    this.#families.leftOut.with(this.#route, this.#target, reason).add(1);
  }

  /** `categories`: as the provider names them. */
  contentFiltered(phase: FilterPhase, categories: readonly string[]): void {
    this.#families.contentFiltered.with(this.#route, this.#target, phase).add(1);
    for (const category of categories.length === 0 ? NO_CATEGORY : categories)
      this.#families.contentFilterCategories.with(phase, category).add(1);
  }

  structuredOutput(result: string): void {
    this.#families.structuredOutputs.with(this.#route, this.#target, result).add(1);
  }

  used(usage: Usage): void {
    const { tokens, usageEstimated } = this.#families;
    (this.#input ??= tokens.with(this.#route, this.#target, 'input')).add(usage.inputTokens);
    (this.#output ??= tokens.with(this.#route, this.#target, 'output')).add(usage.outputTokens);
    if (usage.cachedInputTokens > 0) {
      (this.#cached ??= tokens.with(this.#route, this.#target, 'cached_input')).add(usage.cachedInputTokens);
    }
    if (usage.reasoningTokens > 0) {
      (this.#reasoning ??= tokens.with(this.#route, this.#target, 'reasoning')).add(usage.reasoningTokens);
    }
    // Few requests write into a cache.
    const { cacheWriteTokens = 0, cacheWriteHourTokens = 0 } = usage;
    if (cacheWriteTokens > 0) tokens.with(this.#route, this.#target, 'cache_write').add(cacheWriteTokens);
    if (cacheWriteHourTokens > 0) tokens.with(this.#route, this.#target, 'cache_write_hour').add(cacheWriteHourTokens);
    if (usage.estimated) usageEstimated.with(this.#route, this.#target).add(1);
  }

  /** null: the model has no price. */
  cost(nanoUsd: number | null): void {
    if (nanoUsd === null) this.#families.costUnknown.with(this.#route, this.#target).add(1);
    else (this.#cost ??= this.#families.cost.with(this.#route, this.#target)).add(nanoUsd / 1e9);
  }
}

const NO_CATEGORY: readonly string[] = ['none'];

interface UpstreamFamilies {
  readonly firstToken: Family<typeof METRICS.timeToFirstToken.labels, HistogramCell>;
  readonly healthy: Family<typeof METRICS.upstreamHealthy.labels, GaugeCell>;
  readonly ejections: Family<typeof METRICS.ejections.labels, CounterCell>;
}

/** Of one upstream (base URL and deployment), whichever routes use it. */
export class UpstreamMetrics {
  readonly #upstream: string;
  readonly #families: UpstreamFamilies;
  #firstToken: HistogramCell | null = null;

  constructor(upstream: string, families: UpstreamFamilies) {
    this.#upstream = upstream;
    this.#families = families;
  }

  firstToken(seconds: number): void {
    (this.#firstToken ??= this.#families.firstToken.with(this.#upstream)).observe(seconds);
  }

  healthy(healthy: boolean): void {
    this.#families.healthy.with(this.#upstream).set(healthy ? 1 : 0);
  }

  ejected(reason: string): void {
    this.#families.ejections.with(this.#upstream, reason).add(1);
  }
}

/** Of all values that are given for a gauge, it shows the one that `pick` prefers. */
class ExtremeValues {
  readonly #pick: (a: number, b: number) => number;
  readonly #given = new Set<GaugeCell>();

  constructor(pick: (a: number, b: number) => number) {
    this.#pick = pick;
  }

  add(cell: GaugeCell, value: number): void {
    cell.set(this.#given.has(cell) ? this.#pick(cell.value, value) : value);
    this.#given.add(cell);
  }
}

/** Handles by id, with the time since when their id is in no table. */
class Handles<T> {
  readonly #make: (id: string) => T;
  readonly #byId = new Map<string, T>();
  readonly #goneSinceMs = new Map<string, number>();

  constructor(make: (id: string) => T) {
    this.#make = make;
  }

  of(id: string): T {
    this.#goneSinceMs.delete(id);
    let handle = this.#byId.get(id);
    if (handle === undefined) this.#byId.set(id, (handle = this.#make(id)));
    return handle;
  }

  retain(ids: ReadonlySet<string>, nowMs: number): void {
    for (const id of this.#byId.keys()) {
      if (ids.has(id)) this.#goneSinceMs.delete(id);
      else if (!this.#goneSinceMs.has(id)) this.#goneSinceMs.set(id, nowMs);
    }
  }

  /** Forgets what has been gone since `beforeMs`, and says what that was. */
  forget(beforeMs: number): ReadonlySet<string> {
    const forgotten = new Set<string>();
    for (const [id, sinceMs] of this.#goneSinceMs) {
      if (sinceMs > beforeMs) continue;
      forgotten.add(id);
      this.#byId.delete(id);
      this.#goneSinceMs.delete(id);
    }
    return forgotten;
  }
}
