import type { RedisConnection } from './connection.ts';

/** How long what Redis said of its memory is believed. */
const SEEN_MS = 5_000;
/** Of `maxmemory`: beyond it nothing is stored but limits, because a full Redis refuses their writes as well. */
const MAX_SHARE = 0.8;
/** Nobody waits for it. */
const TIMEOUT_MS = 1_000;

/** Whether a Redis has room for what can be done without. */
export class MemoryGauge {
  readonly #connection: RedisConnection;
  readonly #nowMs: () => number;
  #full = false;
  #seenMs = -Infinity;

  constructor(connection: RedisConnection, nowMs: () => number) {
    this.#connection = connection;
    this.#nowMs = nowMs;
  }

  async isFull(): Promise<boolean> {
    const nowMs = this.#nowMs();
    if (nowMs - this.#seenMs < SEEN_MS) return this.#full;
    this.#seenMs = nowMs;
    try {
      const info = await this.#connection.command(async (client) => client.info('memory'), TIMEOUT_MS);
      const used = figure(info, 'used_memory');
      const most = figure(info, 'maxmemory');
      this.#full = most > 0 && used > most * MAX_SHARE;
    } catch {
      // Not everybody may ask: then Redis itself says when it is full.
      this.#full = false;
    }
    return this.#full;
  }
}

function figure(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}
