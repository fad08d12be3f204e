import type { KubeObject } from './objects.ts';
import { keyOf } from './objects.ts';

/** Deletions remembered while no list is under way; older ones are forgotten first. */
const MAX_TOMBSTONES = 5000;

/** What changed: the object as it is now, or null where it is gone. */
export interface ReplicaChange {
  readonly key: string;
  readonly object: KubeObject | null;
}

export interface MergeOutcome {
  readonly changes: readonly ReplicaChange[];
  /** The server shows a past in which what we saw never happened: its etcd was restored. The list then replaced everything. */
  readonly rewound: boolean;
}

/**
 * Which version of each object is held, so that an event or a list can be judged: newer, known, or older than what is held. The API server's
 * resourceVersions are one rising number for all objects of a kind, deletions included (KEP-5504 promises that they may be compared).
 */
export class Replica {
  readonly #versions = new Map<string, number>();
  readonly #tombstones = new Map<string, number>();
  #highest = 0;

  /** The newest moment of the server that was seen; 0 before the first. */
  get highest(): number {
    return this.#highest;
  }

  get size(): number {
    return this.#versions.size;
  }

  /** Null: nothing new (a repetition, or an event that others overtook). */
  apply(deleted: boolean, object: KubeObject): ReplicaChange | null {
    const key = keyOf(object.metadata);
    const version = versionOf(object);
    if (version > this.#highest) this.#highest = version;
    const known = Math.max(this.#versions.get(key) ?? -1, this.#tombstones.get(key) ?? -1);
    if (version <= known) return null;
    if (!deleted) {
      this.#tombstones.delete(key);
      this.#versions.set(key, version);
      return { key, object };
    }
    this.#bury(key, version);
    return this.#versions.delete(key) ? { key, object: null } : null;
  }

  bookmark(resourceVersion: string): void {
    const version = Number(resourceVersion);
    if (version > this.#highest) this.#highest = version;
  }

  /**
   * A complete list as of `resourceVersion`, which may have been read while events came in. Each object is judged by its own version, so
   * what events told since stays. Where list and memory contradict each other, the list is right. `since`: `highest` before it was asked for.
   */
  merge(items: readonly KubeObject[], resourceVersion: string, since: number): MergeOutcome {
    const asOf = Number(resourceVersion);
    const rewound = asOf < since || items.some((object) => this.#contradicts(object, asOf));
    const listed = new Set<string>();
    const changes: ReplicaChange[] = [];
    for (const object of items) {
      const key = keyOf(object.metadata);
      const version = versionOf(object);
      listed.add(key);
      if (!rewound && version <= Math.max(this.#versions.get(key) ?? -1, this.#tombstones.get(key) ?? -1)) continue;
      this.#versions.set(key, version);
      changes.push({ key, object });
    }
    for (const [key, version] of this.#versions) {
      if (listed.has(key) || (version > asOf && !rewound)) continue;
      this.#versions.delete(key);
      changes.push({ key, object: null });
    }
    for (const [key, version] of this.#tombstones) if (rewound || version <= asOf) this.#tombstones.delete(key);
    this.#highest = rewound ? asOf : Math.max(this.#highest, asOf);
    return { changes, rewound };
  }

  /** The kind is gone, and its objects with it. */
  clear(): ReplicaChange[] {
    const changes = [...this.#versions.keys()].map((key) => ({ key, object: null }));
    this.#versions.clear();
    this.#tombstones.clear();
    this.#highest = 0;
    return changes;
  }

  /** A list as of a later moment cannot show an older object than was seen before that moment, nor one deleted before it. */
  #contradicts(object: KubeObject, asOf: number): boolean {
    const key = keyOf(object.metadata);
    const version = versionOf(object);
    const known = Math.max(this.#versions.get(key) ?? -1, this.#tombstones.get(key) ?? -1);
    return version < known && known <= asOf;
  }

  #bury(key: string, version: number): void {
    this.#tombstones.delete(key);
    this.#tombstones.set(key, version);
    if (this.#tombstones.size <= MAX_TOMBSTONES) return;
    for (const oldest of this.#tombstones.keys()) {
      this.#tombstones.delete(oldest);
      return;
    }
  }
}

/** Of a server whose versions are no numbers nothing could be judged: none of Kubernetes' own storage is one. */
function versionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion);
}
