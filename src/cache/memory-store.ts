import type { Clock } from '../lib/clock.ts';
import type { CachedAnswer } from './cached-answer.ts';

/** What an entry takes beside its body, roughly: key, headers, the map's own. */
const ENTRY_BYTES = 1024;

interface Entry {
  readonly answer: CachedAnswer;
  readonly expiresMs: number;
  readonly bytes: number;
}

/** Answers in this process' memory, for gateways without Redis. Bounded in bytes: the one that was asked for longest ago goes first. */
export class MemoryStore {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): CachedAnswer | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.expiresMs <= this.#clock.nowMs()) {
      this.#bytes -= entry.bytes;
      return null;
    }
    this.#entries.set(key, entry);
    return entry.answer;
  }

  set(key: string, answer: CachedAnswer, ttlMs: number): void {
    this.#delete(key);
    // A copy, because what comes from a socket may be a small part of a large buffer.
    const kept = { ...answer, body: Buffer.from(answer.body) };
    const bytes = kept.body.length + ENTRY_BYTES;
    if (bytes > this.#maxBytes) return;
    this.#entries.set(key, { answer: kept, expiresMs: this.#clock.nowMs() + ttlMs, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#delete(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
