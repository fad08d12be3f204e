import { ManualClock, systemClock } from '../../src/lib/clock.ts';
import { RedisConnection } from '../../src/limits/redis/connection.ts';
import { type LimitStore, SharedLimiter } from '../../src/limits/redis/shared.ts';
import { eventually, settingsFor } from './pods.ts';

/** Limiters over one real Redis, whose script is handed the test's clock; the pods' own may differ from it. */
export class ClockedFleet {
  readonly #connections: RedisConnection[] = [];
  readonly #limiters: SharedLimiter[] = [];
  readonly #port: number;
  redisMs: number;
  readonly clocks: ManualClock[] = [];

  constructor(port: number, startMs: number) {
    this.#port = port;
    this.redisMs = startMs;
  }

  /** `aheadMs`: how fast its own calendar clock is. */
  async pod(aheadMs = 0): Promise<SharedLimiter> {
    const pod = `pod-${this.#limiters.length}`;
    const events = { stateChanged() {}, warned() {}, commandEnded() {}, decidedAlone() {} };
    const connection = new RedisConnection(settingsFor(this.#port, 'FailClosed'), systemClock, pod, 'pods', events, 30_000);
    this.#connections.push(connection);
    await eventually(() => connection.reachable);
    const store: LimitStore = {
      reachable: true,
      pods: 1,
      run: async (script, key, [, ...rest]) => connection.run(script, key, [this.redisMs, ...rest]),
    };
    const clock = new ManualClock(this.redisMs + aheadMs);
    this.clocks.push(clock);
    const limiter = new SharedLimiter({ clock, store, prefix: 'test:', pod, onUnavailable: 'FailClosed', events });
    this.#limiters.push(limiter);
    return limiter;
  }

  advance(ms: number): void {
    this.redisMs += ms;
    for (const clock of this.clocks) clock.advance(ms);
  }

  async close(): Promise<void> {
    await Promise.all(this.#limiters.map(async (limiter) => limiter.close()));
    await Promise.all(this.#connections.map(async (connection) => connection.close()));
  }
}
