import { afterEach } from '@jest/globals';

const pending: (() => unknown)[] = [];

/** Undone at the end of the test, the last first, whether it passes or fails. */
export function onCleanUp(undo: () => unknown): void {
  pending.push(undo);
}

afterEach(async () => {
  const failures: unknown[] = [];
  for (let undo = pending.pop(); undo !== undefined; undo = pending.pop()) {
    try {
      await undo();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures, 'cleaning up failed');
});
