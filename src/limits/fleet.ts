import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import type { ObjectName, RedisSettings } from '../routetable/types.ts';
import { canonicalJson } from '../routetable/digest.ts';
import type { Limiter } from './limiter.ts';
import { LocalLimiter } from './local.ts';
import { Bus, type BusListener } from './redis/bus.ts';
import { COMMAND_TIMEOUT_MS, RedisConnection, type RedisEvents } from './redis/connection.ts';
import { MemoryGauge } from './redis/memory-gauge.ts';
import { SharedLimiter, type SharedLimiterEvents } from './redis/shared.ts';

export interface FleetEvents extends RedisEvents, SharedLimiterEvents {}

/** Who held a lease with the Redis of before tells what it used, and gives the rest back. */
const FAREWELL_MS = 5_000;

/** The Redis of a gateway's pods, for what is small and asked for seldom: limits must not wait behind it. */
export interface SharedRedis {
  readonly connection: RedisConnection;
  readonly memory: MemoryGauge;
  /** What the gateway's keys begin with. */
  readonly prefix: string;
}

interface Shared extends SharedRedis {
  readonly limiter: SharedLimiter;
  /** null: nobody listens. */
  readonly bus: Bus | null;
  readonly channel: string;
  /** Of everything but the policy, which may change without a new connection. */
  readonly identity: string;
}

/** The limiter that a gateway's settings ask for: this process' own, or the one that its pods share. */
export class FleetLimits {
  readonly #clock: Clock;
  readonly #events: FleetEvents;
  readonly #local: LocalLimiter;
  readonly #commandTimeoutMs: number;
  /** Id of this process among the gateway's pods, another one at each start. */
  readonly pod = randomBytes(9).toString('base64url');
  /** What other pods say beside limits. */
  listener: BusListener | null = null;
  #shared: Shared | null = null;
  /** As was last told; nobody may have. */
  #pods = 1;
  readonly #closing = new Set<Promise<void>>();

  constructor(clock: Clock, events: FleetEvents, commandTimeoutMs = COMMAND_TIMEOUT_MS) {
    this.#commandTimeoutMs = commandTimeoutMs;
    this.#clock = clock;
    this.#events = events;
    this.#local = new LocalLimiter(clock);
  }

  get limiter(): Limiter {
    return this.#shared?.limiter ?? this.#local;
  }

  /** null: the gateway has none. */
  get redis(): SharedRedis | null {
    return this.#shared;
  }

  /** Whether limits are shared, and Redis answers. */
  get reachable(): boolean | null {
    return this.#shared === null ? null : this.#shared.connection.reachable;
  }

  /** Why limits are not shared though they are to be, free of secrets; null: they are, or are not to be. */
  get problem(): string | null {
    return this.#shared?.connection.problem ?? null;
  }

  /** The clock that all pods share; 0 where none is. */
  get redisNowMs(): number {
    return this.#shared?.connection.redisNowMs ?? 0;
  }

  /** To every pod of this gateway, this one included. */
  publish(message: string): boolean {
    return this.#shared?.connection.publish(this.#shared.channel, message) ?? false;
  }

  renewBus(): void {
    this.#shared?.bus?.renew();
  }

  /** So many pods share the limits, this one included, as is known without Redis. */
  countPods(pods: number): void {
    this.#pods = pods;
    if (this.#shared !== null) this.#shared.connection.pods = pods;
  }

  apply(gateway: ObjectName, settings: RedisSettings | null): void {
    if (settings === null) {
      this.#leave();
      return;
    }
    const { onUnavailable, ...connects } = settings;
    const identity = canonicalJson([gateway, connects], (value) => value.reveal());
    if (this.#shared?.identity === identity) {
      this.#shared.limiter.onUnavailable = onUnavailable;
      return;
    }
    this.#leave();
    const prefix = keyPrefix(gateway);
    const connection = new RedisConnection(
      settings,
      this.#clock,
      this.pod,
      `${prefix}pods`,
      this.#events,
      this.#commandTimeoutMs,
    );
    connection.pods = this.#pods;
    const limiter = new SharedLimiter({
      clock: this.#clock,
      store: connection,
      prefix,
      pod: this.pod,
      onUnavailable,
      events: this.#events,
    });
    const channel = `${prefix}health`;
    const bus = this.listener === null ? null : new Bus(settings, channel, this.listener);
    const memory = new MemoryGauge(connection, () => this.#clock.nowMs());
    this.#shared = { limiter, connection, memory, prefix, identity, bus, channel };
  }

  async close(): Promise<void> {
    this.#leave();
    await Promise.all(this.#closing);
  }

  #leave(): void {
    const shared = this.#shared;
    if (shared === null) return;
    this.#shared = null;
    const closed = this.#farewell(shared).finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }

  async #farewell({ limiter, connection, bus }: Shared): Promise<void> {
    bus?.close();
    const timeout = new Promise<void>((resolve) => setTimeout(resolve, FAREWELL_MS).unref());
    await Promise.race([limiter.close(), timeout]);
    await connection.close();
  }
}

/** What every key of a gateway in Redis begins with: one gateway's are not another's. */
export function keyPrefix({ namespace, name }: ObjectName): string {
  return `fairlead:${hash(`${namespace}/${name}`)}:`;
}

/** 128 bits: no two names share one. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
