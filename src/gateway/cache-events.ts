import type { CacheEvents } from '../cache/answer-cache.ts';
import type { Log } from '../telemetry/log.ts';
import type { GatewayMetrics } from '../telemetry/metrics.ts';

/** What the cache of answers tells of itself, as log lines (one a change of state) and metrics. */
export function cacheEvents(metrics: GatewayMetrics, { logger }: Log): CacheEvents {
  const { cache } = metrics;
  return {
    stateChanged(reachable, reason, afterMs) {
      cache.reachable.set(reachable ? 1 : 0);
      const afterSeconds = Math.round(afterMs / 100) / 10;
      if (reachable) logger.info({ reason, afterSeconds }, 'cache: Redis is there, answers are kept for all pods');
      else logger.warn({ reason, afterSeconds }, 'cache: Redis is away, every request goes to a provider');
    },
    // What is to be put right in Redis is told by the limits.
    warned() {},
    commandEnded() {},
    stored(bytes) {
      cache.stored(bytes);
    },
    notStored(reason) {
      cache.notStored(reason);
    },
  };
}
