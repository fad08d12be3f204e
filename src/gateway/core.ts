import type { AnswerCache } from '../cache/answer-cache.ts';
import type { Clock } from '../lib/clock.ts';
import type { Limiter } from '../limits/limiter.ts';
import type { UpstreamPins } from '../pins/upstream-pins.ts';
import type { Log } from '../telemetry/log.ts';
import type { GatewayMetrics } from '../telemetry/metrics.ts';
import type { BufferBudget } from './buffer-budget.ts';
import type { Limit } from '../routetable/types.ts';
import type { LoadedTable } from './loaded-table.ts';
import type { Running } from './running.ts';

/** What every request of one gateway process shares. */
export interface GatewayCore {
  readonly clock: Clock;
  random(): number;
  readonly limiter: Limiter;
  /** Asked only for routes that have a cache. */
  readonly cache: AnswerCache;
  /** Which upstream keeps which response. */
  readonly pins: UpstreamPins;
  /** Which keeps which file or batch. */
  readonly filePins: UpstreamPins;
  readonly budget: BufferBudget;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  /** False where the settings turn the request log off. */
  readonly logsRequests: boolean;
  /** The current table; null until the first one is applied. */
  readonly table: LoadedTable | null;
  readonly maxInFlight: number;
  /** A held stream is kept alive by comments after this much silence. */
  readonly keepAliveAfterMs: number;
  /** Keep-alive is closed and new work refused. */
  readonly draining: boolean;
  /** A fault of ours, with its stack: logged once, answered as internal_error. */
  onFault(error: unknown, requestId: string): void;
  /** A limit in USD has nothing left for a request of this tenant. */
  budgetExhausted(routeId: string, limit: Limit, tenant: string): void;
  /** What drain waits for and, at its end, cuts short. */
  readonly running: Running;
}
