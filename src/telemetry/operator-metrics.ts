import { counter, gauge, histogram, METRICS } from './metric-table.ts';
import type { MetricSpec } from './cells.ts';
import { processMetrics } from './process-metrics.ts';
import { MetricRegistry } from './registry.ts';

const COMPILE_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** The operator's, in docs/reference/metrics.md too. */
export const OPERATOR_METRICS = {
  leader: gauge('fairlead_operator_leader', [], 1, '1 while this replica leads, 0 while it stands by.'),
  epoch: gauge(
    'fairlead_operator_epoch',
    [],
    1,
    "The Lease's transitions when this replica began to lead; 0 while it stands by.",
  ),
  objects: gauge('fairlead_operator_objects', ['kind'], 10, 'Objects as the operator has them, by kind.'),
  refused: gauge('fairlead_operator_refused_objects', ['kind'], 10, 'Objects that are not accepted, by kind.'),
  watchAge: gauge(
    'fairlead_operator_watch_age_seconds',
    ['kind'],
    10,
    'How long ago the API server was last heard of each kind; rises while it cannot be reached.',
  ),
  compile: histogram('fairlead_operator_compile_seconds', [], 1, COMPILE_SECONDS, 'What one compile of everything took.'),
  compileFailures: counter(
    'fairlead_operator_compile_failures_total',
    [],
    1,
    'Compiles that ended in a fault of ours; what was compiled before is served on.',
  ),
  statusWrites: counter('fairlead_operator_status_writes_total', ['kind'], 10, 'Status writes, by kind.'),
  events: counter('fairlead_operator_events_total', ['reason'], 20, 'Events written, by reason.'),
  applied: counter(
    'fairlead_operator_applied_objects_total',
    ['outcome'],
    5,
    'Rendered objects that were applied, deleted or refused.',
  ),
  pods: gauge(
    'fairlead_operator_gateway_pods',
    ['gateway', 'state'],
    200,
    'Ready gateway pods, and of them those that are current.',
  ),
  namesRead: gauge('fairlead_operator_names_read', [], 1, 'Secrets, ConfigMaps and Services that are read one by one.'),
  oldCrds: gauge(
    'fairlead_operator_crds_outdated',
    [],
    1,
    'CRDs that are not installed or lack fields which this build knows: apply crds/ again.',
  ),
} as const satisfies Readonly<Record<string, MetricSpec>>;

/** What the operator tells Prometheus. */
export class OperatorMetrics {
  readonly #registry = new MetricRegistry(METRICS.seriesDropped);
  readonly #process: { render(): Promise<string> } | null;
  readonly #leader = this.#registry.gauge(OPERATOR_METRICS.leader).with();
  readonly #epoch = this.#registry.gauge(OPERATOR_METRICS.epoch).with();
  readonly #objects = this.#registry.gauge(OPERATOR_METRICS.objects);
  readonly #refused = this.#registry.gauge(OPERATOR_METRICS.refused);
  readonly #watchAge = this.#registry.gauge(OPERATOR_METRICS.watchAge);
  readonly #compile = this.#registry.histogram(OPERATOR_METRICS.compile).with();
  readonly #compileFailures = this.#registry.counter(OPERATOR_METRICS.compileFailures).with();
  readonly #statusWrites = this.#registry.counter(OPERATOR_METRICS.statusWrites);
  readonly #events = this.#registry.counter(OPERATOR_METRICS.events);
  readonly #applied = this.#registry.counter(OPERATOR_METRICS.applied);
  readonly #pods = this.#registry.gauge(OPERATOR_METRICS.pods);
  readonly #namesRead = this.#registry.gauge(OPERATOR_METRICS.namesRead).with();
  readonly #oldCrds = this.#registry.gauge(OPERATOR_METRICS.oldCrds).with();
  readonly logDropped = this.#registry.counter(METRICS.logDropped).with();
  readonly logErrors = this.#registry.counter(METRICS.logErrors).with();
  readonly #collectors: (() => void)[] = [];

  /** `processToo`: prom-client's metrics of the process as well. */
  constructor(processToo = true) {
    this.#process = processToo ? processMetrics() : null;
  }

  /** null: it stands by. */
  leading(epoch: number | null): void {
    this.#leader.set(epoch === null ? 0 : 1);
    this.#epoch.set(epoch ?? 0);
  }

  compiled(seconds: number): void {
    this.#compile.observe(seconds);
  }

  compileFailed(): void {
    this.#compileFailures.add(1);
  }

  statusWritten(kind: string): void {
    this.#statusWrites.with(kind).add(1);
  }

  event(reason: string): void {
    this.#events.with(reason).add(1);
  }

  applied(outcome: 'applied' | 'deleted' | 'refused', objects: number): void {
    if (objects > 0) this.#applied.with(outcome).add(objects);
  }

  objects(kind: string, all: number, refused: number): void {
    this.#objects.with(kind).set(all);
    this.#refused.with(kind).set(refused);
  }

  watchAge(kind: string, seconds: number): void {
    this.#watchAge.with(kind).set(seconds);
  }

  /** Replaces those of before: gateways come and go. */
  pods(counts: Iterable<readonly [gatewayId: string, counts: { readonly ready: number; readonly current: number }]>): void {
    this.#pods.clear();
    for (const [gatewayId, { ready, current }] of counts) {
      this.#pods.with(gatewayId, 'ready').set(ready);
      this.#pods.with(gatewayId, 'current').set(current);
    }
  }

  namesRead(count: number): void {
    this.#namesRead.set(count);
  }

  oldCrds(count: number): void {
    this.#oldCrds.set(count);
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
    const ours = await this.#registry.render();
    return this.#process === null ? ours : ours + (await this.#process.render());
  }
}
