/**
 * Remembers what was made of an object together with everything it looked at, so that it is made again exactly when one of those
 * looks would now see something else.
 */
import type { World } from './world.ts';

/** A look at the world that is written down. `look` must be pure and its answer comparable by identity. */
export type Read = <T>(look: (world: World) => T) => T;

interface Look {
  readonly look: (world: World) => unknown;
  readonly seen: unknown;
}

interface Remembered<V> {
  readonly value: V;
  readonly looks: readonly Look[];
  /** The last world that the looks were seen to agree with. */
  world: World;
}

export class LookMemo<K extends object, V> {
  readonly #entries = new WeakMap<K, Remembered<V>>();
  /** How often something was made, since the beginning: what tests hold memoization to. */
  made = 0;

  /** What `make` gave for this key, or gives now if there is nothing or it has seen another world. */
  get(key: K, world: World, make: (read: Read) => V): V {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      if (known.world === world) return known.value;
      if (known.looks.every(({ look, seen }) => look(world) === seen)) {
        known.world = world;
        return known.value;
      }
    }
    const looks: Look[] = [];
    const value = make((look) => {
      const seen = look(world);
      looks.push({ look, seen });
      return seen;
    });
    this.#entries.set(key, { value, looks, world });
    this.made++;
    return value;
  }
}
