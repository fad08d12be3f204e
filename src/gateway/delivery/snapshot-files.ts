/** The snapshot as the kubelet mounts it: some of its parts, each by itself. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type PartContents, SNAPSHOT_PARTS, snapshotFile, unpackPart } from '../../routetable/snapshot-pack.ts';

export interface SnapshotFiles {
  readonly parts: readonly PartContents[];
  /** What is there and cannot be used, free of its contents. */
  readonly problems: readonly string[];
}

export async function readSnapshot(directory: string): Promise<SnapshotFiles> {
  const parts: PartContents[] = [];
  const problems: string[] = [];
  await Promise.all(
    Array.from({ length: SNAPSHOT_PARTS }, async (_, part) => {
      const file = snapshotFile(part);
      let bytes: Buffer;
      try {
        bytes = await readFile(join(directory, file));
      } catch (error) {
        if (!isAbsent(error)) problems.push(`${file}: ${String(error)}`);
        return;
      }
      const found = await unpackPart(bytes);
      if (!found.ok) problems.push(`${file}: ${found.error}`);
      else if (found.value.head.part !== part) problems.push(`${file}: it is part ${found.value.head.part}`);
      else parts.push(found.value);
    }),
  );
  return { parts: parts.toSorted((a, b) => a.head.part - b.head.part), problems };
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
