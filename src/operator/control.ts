/**
 * The operator's loop: what is gathered is compiled, published to the gateway pods and told in status. Every replica gathers and
 * compiles, so that the next leader is warm; the leader alone publishes and writes.
 */
import { compile, createCompileMemo, type Compilation } from '../compile/compile.ts';
import type { CompileOptions } from '../compile/snapshot.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject, Resource } from '../kube/objects.ts';
import type { Timers } from '../lib/timers.ts';
import { nameIssue } from '../render/names.ts';
import type { Route, RouteTable } from '../routetable/types.ts';
import type { Logger } from '../telemetry/log.ts';
import type { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { Debounce } from './debounce.ts';
import type { PodState, SnapshotKeeper, TableServer } from './delivery/delivery.ts';
import { Fleet } from './fleet.ts';
import { Gather, OWN_KINDS, type OwnKind } from './gather/gather.ts';
import type { StartWatch } from './gather/secrets.ts';
import { LLM_BACKENDS, LLM_GATEWAYS, LLM_QUOTAS, LLM_ROUTES } from './resources.ts';
import type { Rendered } from './status/gateway-status.ts';
import { BudgetNews } from './status/budgets.ts';
import type { QuotaEvidence } from './status/evidence.ts';
import { Outages, type PodReports } from './status/outages.ts';
import { QuotaProgress } from './status/quota-progress.ts';
import { changedRoutes, rotated, transitions, type Transition } from './status/transitions.ts';
import { givenTables, routeAt, Wishes } from './status/wishes.ts';
import { StatusWriter } from './status/writer.ts';

export interface ControlOptions {
  readonly watch: StartWatch;
  /** Reads. */
  readonly client: KubeClient;
  /** Writes; refuses where this process does not lead. */
  readonly leader: KubeClient;
  readonly timers: Timers;
  readonly server: TableServer;
  readonly snapshots: SnapshotKeeper;
  readonly metrics: OperatorMetrics;
  readonly log: Logger;
  readonly gatewayNamespaces: readonly string[];
  readonly secretNamespaces: readonly string[];
  readonly keyNamespaces: readonly string[];
  /** An LLMGateway that this operator runs was applied, changed or deleted. */
  readonly onGateway: (gatewayId: string) => void;
  readonly statusWritesPerSecond?: number;
  /** How long an outage must hold before it is told. */
  readonly outageHeldForMs?: number;
}

const COMPILE_OPTIONS: CompileOptions = { resolveService: 'Cluster', loopbackAllowed: false };
const RESOURCE_OF: Readonly<Record<OwnKind, Resource>> = {
  LLMRoute: LLM_ROUTES,
  LLMGateway: LLM_GATEWAYS,
  LLMBackend: LLM_BACKENDS,
  LLMQuota: LLM_QUOTAS,
};
/** Until what is less urgent than serving follows: snapshots, statuses. */
const FOLLOW_MS = 10;
/** After a takeover, pods have so long to come back before what they do not say counts as not served. */
const SETTLE_MS = 15_000;

const LIMIT_STORE = { upstreamId: 'the Redis of spec.redis', credentialId: '' };

/** What a pod says of the Redis that its limits are to be shared over, in the form of what it says of an upstream. */
function withoutLimitStore({ ready, connected, limitsProblem, lastSeenMs }: PodState): PodReports {
  const { upstreamId } = LIMIT_STORE;
  const away = { upstreamId, credentialId: null, state: 'Ejected', reason: limitsProblem ?? '', sinceMs: lastSeenMs } as const;
  return { ready, connected, upstreams: limitsProblem === null ? [] : [away] };
}

export class ControlLoop {
  readonly gather: Gather;
  readonly fleet: Fleet;
  readonly #options: ControlOptions;
  #memo = createCompileMemo();
  readonly #debounce: Debounce;
  readonly #writer: StatusWriter;
  readonly #outages: Outages;
  /** The Redis of each gateway's limits, judged as an upstream is. */
  readonly #limitStores: Outages;
  readonly #quotas = new QuotaProgress((id) => this.gather.entry('LLMQuota', id) !== undefined);
  /** By gateway; those that are published now. */
  readonly #published = new Map<string, RouteTable>();
  readonly #budgets = new BudgetNews();
  readonly #rendered = new Map<string, Rendered>();
  readonly #unsubscribe: (() => void)[] = [];
  #compiled: Compilation | null = null;
  #started = false;
  #leading = false;
  #settledAtMs = 0;
  /** Gateways whose pods' word on outages was taken since this replica leads. */
  readonly #judged = new Set<string>();
  #stopped = false;
  #wakeSettled: (() => void) | null = null;

  constructor(options: ControlOptions) {
    this.#options = options;
    const { watch, client, leader, timers, server, log, gatewayNamespaces, secretNamespaces, keyNamespaces } = options;
    const onError = (error: unknown, what: string): void => log.warn({ err: error, object: what }, 'an object cannot be used');
    this.#debounce = new Debounce({ timers, run: () => this.#reconcile() });
    this.#outages = new Outages({
      timers,
      onChange: (gatewayId, upstreams) => this.#outagesChanged(gatewayId, upstreams),
      ...(options.outageHeldForMs === undefined ? {} : { heldForMs: options.outageHeldForMs }),
    });
    this.#limitStores = new Outages({
      timers,
      onChange: (gatewayId) => this.#writer.touch('LLMGateway', gatewayId),
      ...(options.outageHeldForMs === undefined ? {} : { heldForMs: options.outageHeldForMs }),
    });
    const wishes = new Wishes({
      compiled: () => this.#compiled,
      entry: (kind, id) => this.gather.entry(kind, id),
      missing: (kind, id) => this.gather.missing(kind, id),
      isRun: (namespace) => this.gather.isRun(namespace),
      gatewayNamespaces,
      evidence: {
        progress: (gatewayId, routeId) => this.fleet.progress(gatewayId, routeId),
        quota: (id) => this.#quotaEvidence(id),
        outage: (gatewayId, target) => this.#outages.believed(gatewayId, target),
        limitStore: (gatewayId) => this.#limitStores.believed(gatewayId, LIMIT_STORE),
      },
      counts: (gatewayId) => this.fleet.counts(gatewayId),
      refusedSettings: (gatewayId) => this.fleet.refusedSettings(gatewayId),
      rendered: (gatewayId) => this.#rendered.get(gatewayId) ?? null,
      leftOut: (gatewayId) => options.snapshots.leftOut(gatewayId).map(({ id }) => id),
      settled: (gatewayId) => this.#isSettled(gatewayId),
    });
    this.#writer = new StatusWriter({
      timers,
      patch: (kind, ref, resourceVersion, status) => leader.patchStatus(RESOURCE_OF[kind], ref, resourceVersion, status),
      standing: (kind, id) => this.gather.entry(kind, id) ?? null,
      wish: (kind, id, standing) => {
        try {
          return wishes.of(kind, id, standing);
        } catch (error) {
          // An invariant of ours. Its status stays as it is, and all others go on.
          log.error({ err: error, object: `${kind} ${id}` }, 'what the status of an object is to be could not be told');
          return null;
        }
      },
      onWritten: (kind, id, before, after) => this.#written(kind, id, before, after),
      onFailure: (kind, id, failure) =>
        log.warn({ object: `${kind} ${id}`, failure: failure.message }, 'a status could not be written'),
      ...(options.statusWritesPerSecond === undefined ? {} : { perSecond: options.statusWritesPerSecond }),
    });
    this.fleet = new Fleet({
      watch,
      server,
      namespaces: gatewayNamespaces,
      onChange: (gatewayId) => this.#podsChanged(gatewayId),
      onRead: () => {
        if (!this.#started) this.#debounce.call();
      },
      isThere: (name) => this.gather.isThere(name),
      onError,
    });
    this.gather = new Gather({
      watch,
      client,
      timers,
      gatewayNamespaces,
      secretNamespaces,
      keyNamespaces,
      onChange: () => this.#debounce.call(),
      onSeen: (kind, id) => {
        this.#writer.touch(kind, id);
        if (kind === 'LLMGateway' && this.gather.isRun(id.slice(0, id.indexOf('/')))) options.onGateway(id);
        if (this.gather.entry(kind, id) !== undefined) return;
        if (kind === 'LLMQuota') this.#quotas.forgetQuota(id);
        if (kind === 'LLMGateway') this.#forgetGateway(id);
      },
      onError,
    });
    this.#unsubscribe.push(
      server.onProgress(({ gateway, routes }) => {
        this.#writer.touch('LLMGateway', gateway);
        if (routes === null) this.#touchServedAt(gateway);
        else {
          for (const id of routes) this.#writer.touch('LLMRoute', id);
          this.#touchQuotas(gateway, 'open');
        }
      }),
      server.onPod(({ gateway }) => {
        this.#judgeOutages(gateway);
        this.#tellBudgets(gateway);
        this.#writer.touch('LLMGateway', gateway);
      }),
      options.snapshots.onLeftOut((gateway) => this.#writer.touch('LLMGateway', gateway)),
    );
  }

  /** Everything was read and compiled once: this replica could lead at once. */
  get ready(): boolean {
    return this.#compiled !== null;
  }

  get compiled(): Compilation | null {
    return this.#compiled;
  }

  get statusWrites(): number {
    return this.#writer.writes;
  }

  lead(): void {
    const { timers } = this.#options;
    this.#leading = true;
    this.#settledAtMs = timers.nowMs() + SETTLE_MS;
    this.#budgets.lead(timers.wallMs());
    this.#writer.start();
    this.#publish();
    this.#keep();
    this.#touchAll();
    this.#wakeSettled = timers.after(SETTLE_MS, () => {
      for (const gatewayId of this.gather.book('LLMGateway').ids()) this.#judgeOutages(gatewayId);
      this.#touchAll();
    });
  }

  resign(): void {
    this.#leading = false;
    this.#wakeSettled?.();
    this.#wakeSettled = null;
    this.#writer.stop();
    this.#outages.stop();
    this.#limitStores.stop();
    this.#judged.clear();
  }

  /** What became of a gateway's objects. */
  rendered(gatewayId: string, outcome: Rendered | null): void {
    if (outcome === null) this.#rendered.delete(gatewayId);
    else this.#rendered.set(gatewayId, outcome);
    this.#writer.touch('LLMGateway', gatewayId);
  }

  stop(): void {
    this.#stopped = true;
    this.resign();
    this.#debounce.stop();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.gather.stop();
    this.fleet.stop();
  }

  #reconcile(): void {
    if (this.#stopped || (!this.#started && !(this.gather.synced && this.fleet.synced))) return;
    this.#started = true;
    const { timers, metrics, log } = this.#options;
    const startMs = timers.nowMs();
    const before = this.#compiled;
    let after: Compilation;
    try {
      after = compile(this.gather.snapshot(), COMPILE_OPTIONS, this.#memo);
    } catch (error) {
      // An invariant of ours. What was compiled before is served on, and the next change tries again, from nothing.
      this.#memo = createCompileMemo();
      metrics.compileFailed();
      log.error({ err: error }, 'the objects could not be compiled; what was compiled before is served on');
      return;
    }
    this.#compiled = after;
    metrics.compiled((timers.nowMs() - startMs) / 1_000);
    for (const { key, error } of after.faults) {
      metrics.compileFailed();
      log.error(
        { err: error, object: key },
        'an object could not be compiled; its status says what is served of it, and everything else is served',
      );
    }
    this.#publish();
    // What is published goes first, and its pods have other things to do now than to share the machine with the rest.
    timers.after(FOLLOW_MS, () => this.#follow(before, after));
    if (before === null) log.info({ routes: this.gather.book('LLMRoute').size }, 'everything is read and compiled');
  }

  #publish(): void {
    const { server } = this.#options;
    const tables = this.#tables();
    server.publish(tables);
    for (const [gatewayId, table] of tables) {
      const before = this.#published.get(gatewayId);
      if (before === table) continue;
      this.#published.set(gatewayId, table);
      this.#quotas.published(gatewayId, before, table, server.sequence(gatewayId));
    }
  }

  /** What is compiled, of gateways that are there: one may have been deleted since. */
  #tables(): ReadonlyMap<string, RouteTable> {
    return new Map([...givenTables(this.#compiled)].filter(([id]) => this.gather.entry('LLMGateway', id) !== undefined));
  }

  /** Whatever else follows from what was published. */
  #follow(before: Compilation | null, after: Compilation): void {
    if (this.#stopped) return;
    this.#keep();
    this.#touchChanged(before, after);
  }

  /** What is published now, for cold starts: not of a gateway whose name allows no pods, and fits into no label of a Secret. */
  #keep(): void {
    const { server, snapshots } = this.#options;
    for (const [gatewayId, table] of this.#tables())
      if (nameIssue(table.gateway.name) === undefined) snapshots.publish(table, server.sequence(gatewayId));
  }

  #touchChanged(before: Compilation | null, after: Compilation): void {
    for (const key of after.changed) {
      const slash = key.indexOf('/');
      this.#writer.touch(key.slice(0, slash) as OwnKind, key.slice(slash + 1));
    }
    const known = givenTables(before);
    for (const [gatewayId, table] of givenTables(after)) {
      const old = known.get(gatewayId);
      if (old === table) continue;
      this.#touchQuotas(gatewayId, 'open');
      for (const change of changedRoutes(old, table)) {
        this.#writer.touch('LLMRoute', change.id);
        if (old === undefined || change.before === null || change.after === null) continue;
        const models = rotated(change.before, change.after);
        if (models.length > 0)
          this.#event('LLMRoute', change.id, {
            type: 'Normal',
            reason: 'CredentialRotated',
            note: `another credential is used for ${models.join(', ')}`,
          });
      }
    }
  }

  #touchAll(): void {
    for (const kind of OWN_KINDS) for (const id of this.gather.book(kind).ids()) this.#writer.touch(kind, id);
  }

  #touchServedAt(gatewayId: string): void {
    for (const { id } of this.#tableOf(gatewayId)?.routes ?? []) this.#writer.touch('LLMRoute', id);
    this.#touchQuotas(gatewayId, 'all');
  }

  #touchQuotas(gatewayId: string, which: 'all' | 'open'): void {
    for (const id of this.#quotas.at(gatewayId, which)) this.#writer.touch('LLMQuota', id);
  }

  #forgetGateway(gatewayId: string): void {
    this.#quotas.forgetGateway(gatewayId);
    this.#published.delete(gatewayId);
    this.#judged.delete(gatewayId);
  }

  #quotaEvidence(quotaId: string): readonly QuotaEvidence[] {
    return this.#quotas.placesOf(quotaId).map(({ gatewayId, sequence }) => {
      const table = this.#tableOf(gatewayId);
      const progress = this.fleet.progressSince(gatewayId, sequence, ({ kind, key, digest }) => {
        const route = kind === 'route' ? routeAt(table, key) : null;
        return route?.digest === digest && route.limits.some(({ quota }) => quota === quotaId);
      });
      if (progress.programmedPods >= progress.readyPods && progress.rejected.length === 0)
        this.#quotas.settled(gatewayId, quotaId);
      return { gatewayId, progress };
    });
  }

  #podsChanged(gatewayId: string): void {
    this.#judgeOutages(gatewayId);
    this.#writer.touch('LLMGateway', gatewayId);
    this.#touchServedAt(gatewayId);
  }

  /** Once all pods have been heard: else the first after a takeover would speak for all. */
  #judgeOutages(gatewayId: string): void {
    if (!this.#leading || !this.#isSettled(gatewayId)) return;
    const first = !this.#judged.has(gatewayId);
    const pods = this.fleet.pods(gatewayId);
    this.#outages.update(gatewayId, pods, first);
    this.#limitStores.update(gatewayId, pods.map(withoutLimitStore), first);
    if (!first) return;
    this.#judged.add(gatewayId);
    for (const id of this.gather.book('LLMBackend').ids()) this.#writer.touch('LLMBackend', id);
  }

  #outagesChanged(gatewayId: string, upstreams: ReadonlySet<string>): void {
    for (const { id, targets } of this.#tableOf(gatewayId)?.routes ?? []) {
      const concerned = targets.some(({ upstreamId, credentialId }) => upstreams.has(upstreamId) || upstreams.has(credentialId));
      if (concerned) this.#writer.touch('LLMRoute', id);
    }
    for (const id of this.gather.book('LLMBackend').ids()) this.#writer.touch('LLMBackend', id);
  }

  #tellBudgets(gatewayId: string): void {
    if (!this.#leading) return;
    const pods = this.fleet.pods(gatewayId);
    const routeOf = (id: string): Route | null => routeAt(this.#tableOf(gatewayId), id);
    for (const { route, quota, limit, tenant } of this.#budgets.fresh(gatewayId, pods, routeOf, this.#options.timers.wallMs())) {
      const note = `limit ${limit} is used up, by tenant ${tenant} first: requests beyond it are refused or downgraded, as it says`;
      this.#event(quota === null ? 'LLMRoute' : 'LLMQuota', quota ?? route, { type: 'Warning', reason: 'BudgetExhausted', note });
    }
  }

  #tableOf(gatewayId: string): RouteTable | undefined {
    return givenTables(this.#compiled).get(gatewayId);
  }

  /** Every pod that Kubernetes calls ready has been heard, or has had its time. */
  #isSettled(gatewayId: string): boolean {
    if (this.#options.timers.nowMs() >= this.#settledAtMs) return true;
    const any = this.fleet.readyPods(gatewayId).size > 0 || this.fleet.pods(gatewayId).some(({ ready }) => ready);
    return any && this.fleet.unheardOf(gatewayId).length === 0;
  }

  #written(kind: OwnKind, id: string, before: unknown, after: unknown): void {
    this.#options.metrics.statusWritten(kind);
    for (const transition of transitions(before, after)) this.#event(kind, id, transition);
  }

  #event(kind: OwnKind, id: string, { type, reason, note }: Transition): void {
    const { leader, log, metrics } = this.#options;
    const entry = this.gather.entry(kind, id);
    if (entry === undefined || !this.#leading) return;
    const { group, version } = RESOURCE_OF[kind];
    const slash = id.indexOf('/');
    const regarding: KubeObject = {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: {
        namespace: id.slice(0, slash),
        name: id.slice(slash + 1),
        uid: entry.uid,
        resourceVersion: entry.resourceVersion,
      },
    };
    metrics.event(reason);
    leader.createEvent({ regarding, type, reason, action: 'Reconcile', note }).then(
      (created) => {
        if (!created.ok && created.error.kind !== 'guarded')
          log.warn({ object: `${kind} ${id}`, event: reason, failure: created.error.message }, 'an event could not be written');
      },
      (error: unknown) => log.error({ err: error, event: reason }, 'an event could not be written'),
    );
  }
}
