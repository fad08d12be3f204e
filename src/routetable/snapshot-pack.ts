/**
 * A table as it lies in Secrets for the cold start of a pod while no leader is up: in parts, each small enough for a Secret and
 * valid alone (settings, its share of routes and keys, its own place in the order). Entries go to parts by a hash of their id, so
 * that an edit rewrites one part.
 */
import type { ObjectName } from './types.ts';

/** A pod declares as many optional Secrets up front; those of parts that are not there stay absent. */
export const SNAPSHOT_PARTS = 16;
/** Compressed, of one part: a Secret takes 1 MiB, its other fields included. */
export const SNAPSHOT_PART_MAX_BYTES = 900_000;
/** The one key of a part's Secret. */
export const SNAPSHOT_KEY = 'table.jsonl.gz';

/** `part`: 0 to `SNAPSHOT_PARTS` − 1. */
export function snapshotSecretName(gatewayName: string, part: number): string {
  return `${gatewayName}-table-${part}`;
}

/** Under the directory of snapshots: one projected volume of `SNAPSHOT_PARTS` optional Secrets, each with its key at this path. */
export function snapshotFile(part: number): string {
  return `part-${part}.jsonl.gz`;
}

/** Where a table stands among all of its gateway: by epoch, then by sequence. */
export interface TableOrder {
  /** The Lease's transitions when its leader began. */
  readonly epoch: number;
  /** Counts the changes of one gateway's table under one leader, from 1. */
  readonly sequence: number;
}

export interface SnapshotPart {
  readonly gateway: ObjectName;
  readonly part: number;
  readonly order: TableOrder;
  /** Of what is in it: equal for parts that need not be written again, whatever their order. */
  readonly digest: string;
  /** What `SNAPSHOT_KEY` holds: gzip of JSON lines, **with credentials in clear**. */
  readonly bytes: Buffer;
}
