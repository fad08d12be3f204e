/** Keeps the Secrets of a gateway's snapshot as its table is, without writing any of them too often. */
import type { SnapshotPart } from '../../routetable/snapshot-pack.ts';

/** An entry that no part has room for: a pod that starts while no leader is up does without it. */
export interface LeftOut {
  readonly entry: 'route' | 'clientKey';
  readonly id: string;
}

export interface SnapshotStore {
  /** By server-side apply. A rejection is tried again, with backoff. */
  write(part: SnapshotPart): Promise<void>;
  /** The digests of the parts that are stored, by part, for a new leader that need not write what is there; absent where unknown. */
  stored(gateway: string): Promise<ReadonlyMap<number, string>>;
}
