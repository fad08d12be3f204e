import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../lib/clock.ts';
import { parseJson } from '../lib/json.ts';
import type { SharedRedis } from '../limits/fleet.ts';
import type { Target } from '../routetable/types.ts';

/** Who keeps a response, a file or a batch: what another request that names it must come to. */
export interface Pin {
  /** As the client named it. */
  readonly model: string;
  /** The target that made it. */
  readonly target: string;
  /** Of its upstream and of the account there, each a hash: neither a URL nor a credential's digest is anybody's business in Redis. */
  readonly upstream: string;
  readonly account: string;
}

/** For how long a pin is kept, from when it was made. Providers keep what it leads to for longer; after this it is no longer found by its id. */
export const RESPONSES_KEPT_MS = 24 * 3_600_000;
/** Of files and batches: no batch runs for longer than a day, and its files go after 30 (https://platform.openai.com/docs/guides/batch). */
export const FILES_KEPT_MS = 30 * 24 * 3_600_000;
/** Of each kind in this process; of some 500 bytes each. */
export const MAX_IN_MEMORY = 20_000;
/** Nobody waits for it. */
const STORE_TIMEOUT_MS = 1_000;
/** Before each further try. */
const STORE_WAITS_MS = [250, 1_000, 4_000];
/** What a provider's ids may look like; others are never asked for. */
const ID = /^[\w-]{1,256}$/;

/** `away`: it may be known, but Redis does not answer. */
export type FoundPin = Pin | null | 'away';

interface Entry {
  readonly pin: Pin;
  readonly expiresMs: number;
}

export interface PinKind {
  /** What its keys in Redis are called. */
  readonly name: 'response' | 'file';
  readonly keptMs: number;
}

/**
 * Which upstream keeps what, by tenant: one tenant's id leads nowhere for another. In Redis for all pods where the gateway has one; in
 * this process beside it, the one used longest ago goes first.
 */
export class UpstreamPins {
  readonly #kind: PinKind;
  readonly #clock: Clock;
  readonly #redis: () => SharedRedis | null;
  readonly #maxInMemory: number;
  /** In the order of their last use. */
  readonly #memory = new Map<string, Entry>();

  constructor(kind: PinKind, clock: Clock, redis: () => SharedRedis | null, maxInMemory = MAX_IN_MEMORY) {
    this.#kind = kind;
    this.#clock = clock;
    this.#redis = redis;
    this.#maxInMemory = maxInMemory;
  }

  get size(): number {
    return this.#memory.size;
  }

  /** What Redis does not take is known to this pod alone. */
  keep(tenant: string, id: string, target: Target, model: string): void {
    if (!ID.test(id)) return;
    const key = keyOf(tenant, id);
    // Nobody gives an id twice.
    if ((this.#memory.get(key)?.expiresMs ?? 0) > this.#clock.nowMs()) return;
    const pin: Pin = { model, target: target.name, ...placeOf(target) };
    this.#remember(key, { pin, expiresMs: this.#clock.nowMs() + this.#kind.keptMs });
    const redis = this.#redis();
    if (redis === null || !redis.connection.reachable) return;
    void this.#store(redis, key, pin);
  }

  /** A promise only where Redis must be asked; it never rejects. */
  find(tenant: string, id: string): FoundPin | Promise<FoundPin> {
    if (!ID.test(id)) return null;
    const key = keyOf(tenant, id);
    const entry = this.#memory.get(key);
    if (entry !== undefined && entry.expiresMs > this.#clock.nowMs()) {
      this.#remember(key, entry);
      return entry.pin;
    }
    this.#memory.delete(key);
    const redis = this.#redis();
    if (redis === null) return null;
    return redis.connection.reachable ? this.#ask(redis, key) : 'away';
  }

  /** It is deleted where it was kept. */
  forget(tenant: string, id: string): void {
    const key = keyOf(tenant, id);
    this.#memory.delete(key);
    const redis = this.#redis();
    if (redis?.connection.reachable !== true) return;
    // Not DEL, which a user of Redis that may do what limits need may not.
    redis.connection
      .command(async (client) => client.set(this.#redisKey(redis, key), '', 'PX', 1), STORE_TIMEOUT_MS)
      .catch(() => undefined);
  }

  async #ask(redis: SharedRedis, key: string): Promise<FoundPin> {
    try {
      const text = await redis.connection.command(async (client) => client.get(this.#redisKey(redis, key)));
      return text === null ? null : readPin(text);
    } catch {
      // Counted and told by the connection.
      return 'away';
    }
  }

  /** Again where it fails: other pods would not learn of it for as long as it is kept. */
  async #store(redis: SharedRedis, key: string, { model, target, upstream, account }: Pin): Promise<void> {
    const value = JSON.stringify([model, target, upstream, account]);
    for (const waitMs of [...STORE_WAITS_MS, null]) {
      try {
        if (await redis.memory.isFull()) return;
        await redis.connection.command(
          async (client) => client.set(this.#redisKey(redis, key), value, 'PX', this.#kind.keptMs),
          STORE_TIMEOUT_MS,
        );
        return;
      } catch {
        // Counted and told by the connection; this pod knows it all the same.
        if (waitMs !== null) await setTimeout(waitMs, undefined, { ref: false });
      }
    }
  }

  #redisKey({ prefix }: SharedRedis, key: string): string {
    return `${prefix}${this.#kind.name}:{${key}}`;
  }

  #remember(key: string, entry: Entry): void {
    this.#memory.delete(key);
    this.#memory.set(key, entry);
    for (const oldest of this.#memory.keys()) {
      if (this.#memory.size <= this.#maxInMemory) break;
      this.#memory.delete(oldest);
    }
  }
}

/** The same account of the same service; or the same target, whose key was changed meanwhile. */
export function keepsIt(target: Target, pin: Pin): boolean {
  const { upstream, account } = placeOf(target);
  return account === pin.account || (target.name === pin.target && upstream === pin.upstream);
}

/** As the id of what has none: reasoning that its account alone can read. */
export function encryptedId(encrypted: string): string {
  return `encrypted-${hash(encrypted)}`;
}

/** What is kept is of an account, whichever of its models made it. */
function placeOf(target: Target): Pick<Pin, 'upstream' | 'account'> {
  return { upstream: hash(target.upstreamId), account: accountOf(target) };
}

export function accountOf({ upstreamId, credentialId, baseUrl }: Target): string {
  return hash(`${baseUrl}\0${credentialId.slice(upstreamId.length)}`);
}

function readPin(text: string): Pin | null {
  const value = parseJson(text);
  if (!Array.isArray(value) || value.length < 4) return null;
  const [model, target, upstream, account] = value.map(String) as [string, string, string, string];
  return { model, target, upstream, account };
}

function keyOf(tenant: string, id: string): string {
  return hash(`${tenant}\0${id}`);
}

/** 128 bits: no two share one. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}
