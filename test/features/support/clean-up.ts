import { setTimeout as sleep } from 'node:timers/promises';

const pending = new Set<() => unknown>();

/** Undone at the end of the test, the last first, whether it passes or fails. Returns what takes it back. */
export function onCleanUp(undo: () => unknown): () => void {
  pending.add(undo);
  return () => pending.delete(undo);
}

/** For scripts; in a test it is done after each. */
export async function cleanUp(): Promise<void> {
  const failures: unknown[] = [];
  const undoing = [...pending].reverse();
  pending.clear();
  for (const undo of undoing) {
    try {
      await undo();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures, 'cleaning up failed');
}

if (process.env['JEST_WORKER_ID'] !== undefined) {
  const { afterEach } = await import('@jest/globals');
  afterEach(cleanUp);
}

/** For what nothing tells: looks again at every turn, for ten seconds at most. */
export async function eventually(holds: () => boolean): Promise<void> {
  for (let turns = 0; turns < 10_000 && !holds(); turns++) await sleep(1);
}
