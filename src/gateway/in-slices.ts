import { setImmediate as turn } from 'node:timers/promises';

/** Does a piece of `work` a turn of the event loop: what takes long as a whole holds up no other request. null: nobody `wanted` it any more. */
export async function inSlices<T>(work: Generator<void, T>, wanted: () => boolean): Promise<T | null> {
  while (wanted()) {
    const { done, value } = work.next();
    if (done === true) return value;
    await turn();
  }
  return null;
}
