/** After its end, as long as no success has followed it; of what nobody has tried for longer nothing is known. */
const UNPROVEN_MS = 10_000;

/** A time out that a provider's answer imposes: for as long as it says, else growing while it goes on. Times are monotonic ms. */
export class Cooldown {
  untilMs = 0;
  reason = '';
  /** Set while the time out has not been followed by a success. */
  open = false;
  /** How often in a row it was imposed without a length of its own. */
  #streak = 0;
  /** The first attempt that was started after it began: only such a one can tell that the cause is gone. */
  #since = 0;

  /**
   * @param baseMs its length at the first time; doubled each further time, up to `maxMs`. Answers that arrive while it runs (from
   * requests that were already under way) do not make it grow.
   * @returns true where it begins now, false where it was running.
   */
  grow(reason: string, baseMs: number, maxMs: number, nowMs: number, nextAttempt: number): boolean {
    if (nowMs < this.untilMs) return false;
    const lengthMs = Math.min(maxMs, baseMs * 2 ** this.#streak);
    this.#streak++;
    return this.lastUntil(nowMs + lengthMs, reason, nowMs, nextAttempt);
  }

  /** At least until `untilMs`. Returns true where it begins now, false where it was running. */
  lastUntil(untilMs: number, reason: string, nowMs: number, nextAttempt: number): boolean {
    const begins = nowMs >= this.untilMs;
    if (untilMs > this.untilMs) {
      this.untilMs = untilMs;
      this.reason = reason;
    }
    if (begins) this.#since = nextAttempt;
    this.open = true;
    return begins;
  }

  /**
   * A success. One that was started after the time out began closes it.
   * @param atOnce also while it runs; else only its growth is forgotten, once it is over.
   */
  succeeded(attempt: number, atOnce: boolean, nowMs: number): boolean {
    if (!this.open || attempt < this.#since || (!atOnce && nowMs < this.untilMs)) return false;
    this.close();
    return true;
  }

  /** It is over, and whether its cause is gone nobody has seen yet. */
  unproven(nowMs: number): boolean {
    return this.open && nowMs >= this.untilMs && nowMs < this.untilMs + UNPROVEN_MS;
  }

  /** The cause is gone. */
  close(): void {
    this.untilMs = 0;
    this.#streak = 0;
    this.open = false;
  }
}
