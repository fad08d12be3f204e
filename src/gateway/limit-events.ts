import type { FleetEvents } from '../limits/fleet.ts';
import type { Log } from '../telemetry/log.ts';
import type { GatewayMetrics } from '../telemetry/metrics.ts';

/** What the shared limits tell of themselves, as log lines (one a change of state) and metrics. */
export function limitEvents(metrics: GatewayMetrics, { logger }: Log): FleetEvents {
  const { limitStore } = metrics;
  return {
    stateChanged(reachable, reason, afterMs) {
      limitStore.reachable.set(reachable ? 1 : 0);
      const afterSeconds = Math.round(afterMs / 100) / 10;
      if (reachable) logger.info({ reason, afterSeconds }, 'limits: Redis is there, limits are shared by all pods');
      else logger.warn({ reason, afterSeconds }, 'limits: Redis is away, each pod decides by the policy onUnavailable');
    },
    warned(message) {
      logger.warn(`limits: ${message}`);
    },
    commandEnded(ms, answered) {
      if (answered) limitStore.answered(ms / 1000);
      else limitStore.failed();
    },
    decidedAlone(admitted) {
      limitStore.decidedAlone(admitted);
    },
  };
}
