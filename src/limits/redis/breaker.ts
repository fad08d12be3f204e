import type { Clock } from '../../lib/clock.ts';

/** In a row, with none answered between them. */
const FAILURES = 3;
/** A failure that is told this late says that this process was paused. */
const LATE_MS = 1_000;

/**
 * Whether Redis is worth waiting for. Opens when it is, after calls in a row without an answer or a lost connection; closes with
 * the first answer. While it is open nobody waits.
 */
export class Breaker {
  readonly #clock: Clock;
  readonly #onChange: (closed: boolean, reason: string, afterMs: number) => void;
  #closed = false;
  #failures = 0;
  #sinceMs: number;

  /** Open at first. `afterMs`: how long the state before lasted. */
  constructor(clock: Clock, onChange: (closed: boolean, reason: string, afterMs: number) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#sinceMs = clock.nowMs();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get sinceMs(): number {
    return this.#sinceMs;
  }

  succeeded(): void {
    this.#failures = 0;
    if (!this.#closed) this.#change(true, 'it answers');
  }

  failed(sentMs: number, reason: string): void {
    if (this.#clock.nowMs() - sentMs >= LATE_MS) return;
    this.#failures += 1;
    if (this.#failures >= FAILURES) this.open(reason);
  }

  open(reason: string): void {
    if (this.#closed) this.#change(false, reason);
  }

  #change(closed: boolean, reason: string): void {
    const nowMs = this.#clock.nowMs();
    const afterMs = nowMs - this.#sinceMs;
    this.#closed = closed;
    this.#sinceMs = nowMs;
    this.#onChange(closed, reason, afterMs);
  }
}
