import type { RedisConnection } from '../limits/redis/connection.ts';
import { MemoryGauge } from '../limits/redis/memory-gauge.ts';
import { type CachedAnswer, decodeAnswer, encodeAnswer } from './cached-answer.ts';

/** Of a large answer over a slow network; nobody waits for it. */
const STORE_TIMEOUT_MS = 1_000;

export type Stored = 'stored' | 'away' | 'full';

/** Answers in Redis, for all pods of a gateway. Never throws: a Redis that is away has nothing and takes nothing. */
export class RedisStore {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #memory: MemoryGauge;

  constructor(connection: RedisConnection, prefix: string, nowMs: () => number) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#memory = new MemoryGauge(connection, nowMs);
  }

  get reachable(): boolean {
    return this.#connection.reachable;
  }

  /** In at most the connection's time for a command. */
  async get(key: string): Promise<CachedAnswer | null> {
    try {
      const bytes = await this.#connection.command(async (client) => client.getBuffer(this.#keyOf(key)));
      return bytes === null ? null : decodeAnswer(bytes);
    } catch {
      // Counted and told by the connection.
      return null;
    }
  }

  async set(key: string, answer: CachedAnswer, ttlMs: number): Promise<Stored> {
    if (!this.reachable) return 'away';
    try {
      if (await this.#memory.isFull()) return 'full';
      const value = encodeAnswer(answer);
      await this.#connection.command(async (client) => client.set(this.#keyOf(key), value, 'PX', ttlMs), STORE_TIMEOUT_MS);
      return 'stored';
    } catch (error) {
      return error instanceof Error && error.message.startsWith('OOM') ? 'full' : 'away';
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  #keyOf(key: string): string {
    return `${this.#prefix}answer:{${key}}`;
  }
}
