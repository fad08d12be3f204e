import { performance } from 'node:perf_hooks';

/**
 * Time, handed to whoever needs it so that tests own it. Pure folders take numbers; only wiring makes a `Clock`.
 * `nowMs` is monotonic and has no relation to the calendar; `wallMs` is milliseconds since the Unix epoch.
 */
export interface Clock {
  nowMs(): number;
  wallMs(): number;
}

// Imported, because the global of this name is an accessor: each reading of the clock would call it, through code that nothing else uses.
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #startWallMs: number;

  constructor(startWallMs = Date.UTC(2026, 0, 1)) {
    this.#startWallMs = startWallMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#startWallMs + this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}
