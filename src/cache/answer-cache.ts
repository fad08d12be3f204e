import { randomBytes } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { keyPrefix } from '../limits/fleet.ts';
import { COMMAND_TIMEOUT_MS, RedisConnection, type RedisEvents } from '../limits/redis/connection.ts';
import { canonicalJson } from '../routetable/digest.ts';
import type { ObjectName, RedisSettings } from '../routetable/types.ts';
import type { CachedAnswer } from './cached-answer.ts';
import { MemoryStore } from './memory-store.ts';
import { RedisStore } from './redis-store.ts';
import { SingleFlight } from './single-flight.ts';

const MEMORY_MAX_BYTES = 64 * 1024 * 1024;

export interface CacheEvents extends RedisEvents {
  /** An answer of so many bytes is kept. */
  stored(bytes: number): void;
  /** One that could be kept is not: Redis does not answer, or has little memory left. */
  notStored(reason: 'away' | 'full'): void;
}

interface Shared {
  readonly store: RedisStore;
  readonly identity: string;
}

/**
 * Answers that are given again, of one gateway: in Redis where it has one, else in this process' memory. What Redis does not
 * answer in time is not there. Its connection is not that of the limits, which must not wait behind large answers.
 */
export class AnswerCache {
  readonly flights = new SingleFlight();
  readonly #clock: Clock;
  readonly #events: CacheEvents;
  readonly #memory: MemoryStore;
  #shared: Shared | null = null;
  readonly #closing = new Set<Promise<void>>();

  constructor(clock: Clock, events: CacheEvents, memoryMaxBytes = MEMORY_MAX_BYTES) {
    this.#clock = clock;
    this.#events = events;
    this.#memory = new MemoryStore(clock, memoryMaxBytes);
  }

  get memoryBytes(): number {
    return this.#memory.bytes;
  }

  /** Whether Redis answers; null: answers are kept in memory. */
  get reachable(): boolean | null {
    return this.#shared === null ? null : this.#shared.store.reachable;
  }

  /** `wanted`: some route of the gateway has a cache; without, no connection is opened. */
  apply(gateway: ObjectName, settings: RedisSettings | null, wanted: boolean): void {
    if (!wanted || settings === null) {
      this.#leave();
      if (!wanted) this.#memory.clear();
      return;
    }
    const { onUnavailable: _, ...connects } = settings;
    const identity = canonicalJson([gateway, connects], (value) => value.reveal());
    if (this.#shared?.identity === identity) return;
    this.#leave();
    this.#memory.clear();
    const prefix = keyPrefix(gateway);
    const pod = randomBytes(9).toString('base64url');
    const connection = new RedisConnection(settings, this.#clock, pod, `${prefix}caches`, this.#events, COMMAND_TIMEOUT_MS);
    this.#shared = { store: new RedisStore(connection, prefix, () => this.#clock.nowMs()), identity };
  }

  /** A promise only where Redis must be asked; it never rejects. */
  lookUp(key: string): CachedAnswer | null | Promise<CachedAnswer | null> {
    if (this.#shared === null) return this.#memory.get(key);
    return this.#shared.store.reachable ? this.#shared.store.get(key) : null;
  }

  /** Nobody waits for it. */
  keep(key: string, answer: CachedAnswer, ttlMs: number): void {
    if (this.#shared === null) {
      this.#memory.set(key, answer, ttlMs);
      this.#events.stored(answer.body.length);
      return;
    }
    void this.#shared.store.set(key, answer, ttlMs).then((stored) => {
      if (stored === 'stored') this.#events.stored(answer.body.length);
      else this.#events.notStored(stored);
    });
  }

  async close(): Promise<void> {
    this.#leave();
    this.#memory.clear();
    await Promise.all(this.#closing);
  }

  #leave(): void {
    const shared = this.#shared;
    if (shared === null) return;
    this.#shared = null;
    const closed = shared.store.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
