/** A gateway in a pod: what is delivered to it, it serves; it says how it is, and ends without breaking off what is under way. */
import type { Clock } from '../lib/clock.ts';
import type { RefusedRoute } from '../routetable/replica.ts';
import type { RouteTable } from '../routetable/types.ts';
import type { ExhaustedBudget, Load } from '../routetable/stream-messages.ts';
import type { Log } from '../telemetry/log.ts';
import type { ConnectionOptions } from '../upstream/connections.ts';
import { Delivery, type DeliveryEvent, type DeliveryOptions, type DeliveryTarget } from './delivery/delivery.ts';
import { UpstreamReports } from './delivery/upstream-reports.ts';
import { Gateway } from './gateway.ts';

export interface PodOptions extends Pick<DeliveryOptions, 'url' | 'caFile' | 'tokenFile' | 'snapshotDir' | 'version' | 'timing'> {
  readonly clock: Clock;
  random(): number;
  readonly log: Log;
  readonly proxy: ConnectionOptions['proxy'];
  /** undefined: every address that the pod has. */
  readonly host?: string;
  readonly port: number;
  readonly adminPort: number;
  /** The client port cannot be had: nothing can be served. */
  onFatal(error: unknown): void;
}

export class GatewayPod implements DeliveryTarget {
  readonly gateway: Gateway;
  readonly #options: PodOptions;
  readonly #delivery: Delivery;
  readonly #upstreams = new UpstreamReports();
  #listening: Promise<void> | null = null;
  #serving = false;
  #stopping = false;
  #port = 0;

  constructor(options: PodOptions) {
    const { clock, log, proxy } = options;
    this.#options = options;
    this.gateway = new Gateway({
      clock,
      random: () => options.random(),
      log,
      loopbackAllowed: false,
      proxy,
      onHealth: (transition) => {
        if (this.#upstreams.told(transition, clock.wallMs())) this.#delivery.changed();
      },
      onBudgetExhausted: () => this.#delivery.changed(),
    });
    this.#delivery = new Delivery({
      ...options,
      random: () => options.random(),
      target: this,
      onEvent: (event) => this.#log(event),
    });
    const { metrics } = this.gateway;
    metrics.onScrape(() => {
      metrics.configAge.set(this.#delivery.ageMs / 1_000);
      metrics.operatorConnected.set(this.#delivery.connected ? 1 : 0);
      metrics.operatorReconnects.add(this.#delivery.reconnects - metrics.operatorReconnects.value);
    });
  }

  /** Resolves as soon as it can be asked how it is; clients are served once there is a table. */
  async start(): Promise<{ readonly adminPort: number }> {
    const adminPort = await this.gateway.listenAdmin(this.#options.adminPort, this.#options.host, {
      notReady: () => (this.#delivery.ready && this.#serving ? null : this.#delivery.describe()),
      describe: () => this.#delivery.describe(),
    });
    this.#delivery.start();
    return { adminPort };
  }

  get delivery(): Delivery {
    return this.#delivery;
  }

  /** Of clients; 0 until they are served. */
  get port(): number {
    return this.#port;
  }

  /** Ends: what is under way has the drain timeout of the settings. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#serving = false;
    this.#delivery.changed();
    // A port that is being opened is closed with the others.
    await this.#listening;
    await this.gateway.close(this.gateway.table?.table.settings.drainTimeoutMs ?? 0);
    await this.#delivery.close();
  }

  apply(table: RouteTable, refusedEntries: number): readonly RefusedRoute[] {
    const refused = this.gateway.apply(table, refusedEntries);
    if (!this.#stopping) this.#listening ??= this.#listen();
    return refused;
  }

  countPods(readyPods: number): void {
    this.gateway.countPods(readyPods);
  }

  get serving(): boolean {
    return this.#serving && !this.gateway.draining;
  }

  upstreams(): ReturnType<DeliveryTarget['upstreams']> {
    const { gateway } = this;
    return this.#upstreams.list(this.#options.clock.wallMs(), (upstreamId) => gateway.servesUpstream(upstreamId));
  }

  limitsProblem(): string | null {
    return this.gateway.limitsProblem;
  }

  load(): Load {
    return this.gateway.load();
  }

  exhaustedBudgets(): readonly ExhaustedBudget[] {
    return this.gateway.exhaustedBudgets;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    try {
      this.#port = await this.gateway.listenClients(port, host);
      this.#serving = !this.#stopping;
      this.#delivery.changed();
    } catch (error) {
      this.#options.onFatal(error);
    }
  }

  #log({ level, message, details }: DeliveryEvent): void {
    this.#options.log.logger[level](details ?? {}, message);
  }
}
