import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import type { ObjectName, RedisSettings } from '../routetable/types.ts';
import { canonicalJson } from '../routetable/digest.ts';
import type { Limiter } from './limiter.ts';
import { LocalLimiter } from './local.ts';
import { COMMAND_TIMEOUT_MS, RedisConnection, type RedisEvents } from './redis/connection.ts';
import { SharedLimiter, type SharedLimiterEvents } from './redis/shared.ts';

export interface FleetEvents extends RedisEvents, SharedLimiterEvents {}

/** Who held a lease with the Redis of before tells what it used, and gives the rest back. */
const FAREWELL_MS = 5_000;

interface Shared {
  readonly limiter: SharedLimiter;
  readonly connection: RedisConnection;
  /** Of everything but the policy, which may change without a new connection. */
  readonly identity: string;
}

/** The limiter that a gateway's settings ask for: this process' own, or the one that its pods share. */
export class FleetLimits {
  readonly #clock: Clock;
  readonly #events: FleetEvents;
  readonly #local: LocalLimiter;
  readonly #commandTimeoutMs: number;
  readonly #pod = randomBytes(9).toString('base64url');
  #shared: Shared | null = null;
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

  /** Whether limits are shared, and Redis answers. */
  get reachable(): boolean | null {
    return this.#shared === null ? null : this.#shared.connection.reachable;
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
    const prefix = `fairlead:${hash(`${gateway.namespace}/${gateway.name}`)}:`;
    const connection = new RedisConnection(
      settings,
      this.#clock,
      this.#pod,
      `${prefix}pods`,
      this.#events,
      this.#commandTimeoutMs,
    );
    const limiter = new SharedLimiter({
      clock: this.#clock,
      store: connection,
      prefix,
      pod: this.#pod,
      onUnavailable,
      events: this.#events,
    });
    this.#shared = { limiter, connection, identity };
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

  async #farewell({ limiter, connection }: Shared): Promise<void> {
    const timeout = new Promise<void>((resolve) => setTimeout(resolve, FAREWELL_MS).unref());
    await Promise.race([limiter.close(), timeout]);
    await connection.close();
  }
}

/** 128 bits: no two names share one. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
