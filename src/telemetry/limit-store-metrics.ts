import { METRICS } from './metric-table.ts';
import type { MetricRegistry } from './registry.ts';

/** Of the Redis that limits are shared over. */
export class LimitStoreMetrics {
  readonly reachable;
  readonly #answered;
  readonly #failed;
  readonly #seconds;
  readonly #admitted;
  readonly #refused;

  constructor(registry: MetricRegistry) {
    this.reachable = registry.gauge(METRICS.limitStoreReachable).with();
    const commands = registry.counter(METRICS.limitStoreCommands);
    this.#answered = commands.with('answered');
    this.#failed = commands.with('failed');
    this.#seconds = registry.histogram(METRICS.limitStoreSeconds).with();
    const alone = registry.counter(METRICS.limitsDecidedAlone);
    this.#admitted = alone.with('admitted');
    this.#refused = alone.with('refused');
  }

  answered(seconds: number): void {
    this.#answered.add(1);
    this.#seconds.observe(seconds);
  }

  failed(): void {
    this.#failed.add(1);
  }

  decidedAlone(admitted: boolean): void {
    if (admitted) this.#admitted.add(1);
    else this.#refused.add(1);
  }
}
