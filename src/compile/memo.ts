/**
 * Remembers what was made of an object together with everything it looked at, so that it is made again exactly when one of those
 * looks would now see something else.
 */
import type { World } from './world.ts';

/** A look at a world that is written down. `look` must be pure and its answer comparable by identity. */
export type Read<W = World> = <T>(look: (world: W) => T) => T;

interface Look<W> {
  readonly look: (world: W) => unknown;
  readonly seen: unknown;
}

export interface Memory<V, W = World> {
  readonly value: V;
  readonly looks: readonly Look<W>[];
  /** The last world that the looks were seen to agree with. */
  world: W;
}

/** `known` itself where it still holds, else what `make` gives now. */
export function recall<V, W>(known: Memory<V, W> | undefined, world: W, make: (read: Read<W>) => V): Memory<V, W> {
  if (known !== undefined) {
    if (known.world === world) return known;
    if (known.looks.every(({ look, seen }) => look(world) === seen)) {
      known.world = world;
      return known;
    }
  }
  const looks: Look<W>[] = [];
  const value = make((look) => {
    const seen = look(world);
    looks.push({ look, seen });
    return seen;
  });
  return { value, looks, world };
}

/** Memories by the object that they are of; a forgotten object takes its memory with it. */
export class Memories<K extends object, V> {
  readonly #entries = new WeakMap<K, Memory<V>>();
  /** How often something was made: what tests hold memoization to. */
  made = 0;

  recall(key: K, world: World, make: (read: Read) => V): V {
    const known = this.#entries.get(key);
    const memory = recall(known, world, make);
    if (memory !== known) {
      this.#entries.set(key, memory);
      this.made++;
    }
    return memory.value;
  }
}
