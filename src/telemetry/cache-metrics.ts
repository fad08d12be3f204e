import { METRICS } from './metric-table.ts';
import type { MetricRegistry } from './registry.ts';

/** Of the cache of answers. */
export class CacheMetrics {
  readonly reachable;
  readonly memoryBytes;
  readonly #stored;
  readonly #storedBytes;
  readonly #notStored;

  constructor(registry: MetricRegistry) {
    this.reachable = registry.gauge(METRICS.cacheStoreReachable).with();
    this.memoryBytes = registry.gauge(METRICS.cacheMemoryBytes).with();
    this.#stored = registry.counter(METRICS.cacheStored).with();
    this.#storedBytes = registry.counter(METRICS.cacheStoredBytes).with();
    this.#notStored = registry.counter(METRICS.cacheNotStored);
  }

  stored(bytes: number): void {
    this.#stored.add(1);
    this.#storedBytes.add(bytes);
  }

  notStored(reason: string): void {
    this.#notStored.with(reason).add(1);
  }
}
