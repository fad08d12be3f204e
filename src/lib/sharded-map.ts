const SHARDS = 64;

/**
 * An immutable map by strings of which a version with a few changes costs a few shards, not a copy of everything: each shard is a
 * `Map` that versions share until one of them changes it.
 */
export class ShardedMap<V> {
  readonly #shards: readonly (ReadonlyMap<string, V> | undefined)[];
  readonly size: number;

  constructor(shards: readonly (ReadonlyMap<string, V> | undefined)[] = [], size = 0) {
    this.#shards = shards;
    this.size = size;
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  *keys(): Iterable<string> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.keys();
  }

  edit(): ShardedMapEdit<V> {
    return new ShardedMapEdit(this, this.#shards, this.size);
  }
}

/** Becomes another version with `done`, after which it must not be used. */
export class ShardedMapEdit<V> {
  readonly #before: ShardedMap<V>;
  readonly #shards: (ReadonlyMap<string, V> | undefined)[];
  /** Those that this edit has made and may change. */
  readonly #own: (Map<string, V> | undefined)[] = [];
  #size: number;
  #changed = false;

  constructor(before: ShardedMap<V>, shards: readonly (ReadonlyMap<string, V> | undefined)[], size: number) {
    this.#before = before;
    this.#shards = [...shards];
    this.#size = size;
  }

  get(key: string): V | undefined {
    return this.#shards[shardOf(key)]?.get(key);
  }

  set(key: string, value: V): void {
    const shard = this.#ownShard(shardOf(key));
    this.#size -= shard.size;
    shard.set(key, value);
    this.#size += shard.size;
  }

  delete(key: string): void {
    const at = shardOf(key);
    if (this.#shards[at]?.has(key) !== true) return;
    this.#ownShard(at).delete(key);
    this.#size--;
  }

  done(): ShardedMap<V> {
    return this.#changed ? new ShardedMap(this.#shards, this.#size) : this.#before;
  }

  #ownShard(at: number): Map<string, V> {
    this.#changed = true;
    let own = this.#own[at];
    if (own === undefined) {
      own = new Map(this.#shards[at]);
      this.#own[at] = own;
      while (this.#shards.length <= at) this.#shards.push(undefined);
      this.#shards[at] = own;
    }
    return own;
  }
}

function shardOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0;
  return (hash ^ (hash >>> 16)) & (SHARDS - 1);
}
