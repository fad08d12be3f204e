import { PARTS } from './lease-call.ts';

/** More than a window has: what is older is looked for. While Redis is away nothing is told, and it would pile up without end. */
const MAX_PARTS = 2 * PARTS;
/** How many calls back a failover may have lost them. */
const KEPT_MS = 15_000;

interface Sent {
  readonly call: number;
  readonly sentMs: number;
  readonly pairs: readonly number[];
}

/** What a counter's pod has used and not told yet, by part of the window on Redis' clock, and what it told lately. */
export class Reports {
  readonly #parts: number[] = [];
  readonly #amounts: number[] = [];
  #sent: Sent[] = [];

  get empty(): boolean {
    return this.#parts.length === 0;
  }

  book(part: number, amount: number): void {
    const at = this.#parts.lastIndexOf(part);
    if (at === -1) {
      this.#parts.push(part);
      this.#amounts.push(amount);
      if (this.#parts.length > MAX_PARTS) this.#forgetAged();
    } else {
      this.#amounts[at] = (this.#amounts[at] ?? 0) + amount;
    }
  }

  /** True: it had not been told, so it is still inside the lease and may be used again. */
  giveBack(part: number, amount: number): boolean {
    const at = this.#parts.lastIndexOf(part);
    if (at === -1 || (this.#amounts[at] ?? 0) < amount) {
      this.book(part, -amount);
      return false;
    }
    this.#amounts[at] = (this.#amounts[at] ?? 0) - amount;
    return true;
  }

  /** Pairs of part and amount, which are then told with this call. `nowMs` is monotonic. */
  tell(call: number, nowMs: number): number[] {
    const pairs: number[] = [];
    for (const [index, part] of this.#parts.entries()) {
      const amount = this.#amounts[index] ?? 0;
      if (amount !== 0) pairs.push(part, amount);
    }
    this.#parts.length = 0;
    this.#amounts.length = 0;
    if (this.#sent[0] !== undefined && this.#sent[0].sentMs < nowMs - KEPT_MS) {
      this.#sent = this.#sent.filter(({ sentMs }) => sentMs >= nowMs - KEPT_MS);
    }
    if (pairs.length > 0) this.#sent.push({ call, sentMs: nowMs, pairs });
    return pairs;
  }

  /** What was told with later calls than this one is to be told again. */
  lostAfter(call: number): void {
    const lost = this.#sent.filter((sent) => sent.call > call);
    this.#sent = this.#sent.filter((sent) => sent.call <= call);
    for (const { pairs } of lost) {
      for (let i = 0; i < pairs.length; i += 2) this.book(pairs[i] ?? 0, pairs[i + 1] ?? 0);
    }
  }

  /** What Redis would pass over: a window's length before the latest part. */
  #forgetAged(): void {
    const oldest = Math.max(...this.#parts) - PARTS - 1;
    let kept = 0;
    for (const [index, part] of this.#parts.entries()) {
      if (part < oldest) continue;
      this.#parts[kept] = part;
      this.#amounts[kept] = this.#amounts[index] ?? 0;
      kept += 1;
    }
    this.#parts.length = kept;
    this.#amounts.length = kept;
  }

  /** Everything is told in another way. */
  clear(): void {
    this.#parts.length = 0;
    this.#amounts.length = 0;
    this.#sent = [];
  }
}
