/** Tells the leader what became of its table, and how the pod is: at once when something changes, and every few seconds. */
import { EPOCH_HEADER, REPORT_PATH, type Nack, type Report } from '../../routetable/stream-messages.ts';
import { type OperatorLink, OperatorRefused } from './operator-link.ts';

const REPORT_EVERY_MS = 5_000;
const SETTLE_MS = 10;
const BACKOFF_MS = 200;
const BACKOFF_MAX_MS = 5_000;

export interface ReporterOptions {
  readonly link: OperatorLink;
  /** Number of the first report: greater than any of a process before this one in the same pod. */
  readonly firstNumber: number;
  /** What is so now, but for what the reporter itself knows. */
  collect(): Omit<Report, 'number' | 'leaving' | 'nacks'> & { readonly nacks: readonly Nack[] };
  /** A leader of this epoch exists. */
  onEpoch(epoch: number): void;
  onProblem(why: string): void;
}

export class Reporter {
  readonly #options: ReporterOptions;
  readonly #abort = new AbortController();
  #number: number;
  /** What the leader of the open stream knows of; null: nothing yet. */
  #told: readonly Nack[] | null = null;
  /** Counts streams. */
  #stream = 0;
  #open = false;
  #wanted = false;
  #busy = false;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#number = options.firstNumber;
  }

  /** A stream has begun: its leader is told everything. */
  begin(): void {
    this.#open = true;
    this.#stream++;
    this.#told = null;
    this.#failures = 0;
    this.changed();
  }

  /** The stream is over: there is nobody to tell. */
  pause(): void {
    this.#open = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#soon);
    this.#soon = undefined;
  }

  /** What happens within a moment is told together, and what was just served goes first. */
  changed(): void {
    this.#wanted = true;
    if (this.#busy || this.#soon !== undefined || !this.#open) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      if (!this.#busy) this.#next(0);
    }, SETTLE_MS);
  }

  /** A last word. */
  async leave(): Promise<void> {
    if (!this.#open) return;
    this.pause();
    try {
      const response = await this.#options.link.post(REPORT_PATH, this.#report(true).body, {
        stream: false,
        signal: AbortSignal.timeout(1_000),
      });
      response.resume();
    } catch {
      // It would only have been sooner known.
    }
  }

  close(): void {
    this.pause();
    this.#abort.abort();
  }

  #next(inMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    if (inMs === 0) void this.#send();
    else this.#timer = setTimeout(() => void this.#send(), inMs);
  }

  async #send(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    this.#wanted = false;
    const { link } = this.#options;
    let waitMs = REPORT_EVERY_MS;
    const { body, nacks } = this.#report(false);
    const stream = this.#stream;
    try {
      const response = await link.post(REPORT_PATH, body, { stream: false, signal: this.#abort.signal });
      response.resume();
      const epoch = Number(response.headers[EPOCH_HEADER]);
      if (Number.isSafeInteger(epoch)) this.#options.onEpoch(epoch);
      if (this.#stream === stream) this.#told = nacks;
      this.#failures = 0;
    } catch (error) {
      this.#wanted = true;
      waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** this.#failures++);
      if (this.#open)
        this.#options.onProblem(error instanceof OperatorRefused ? error.message : `a report was lost: ${String(error)}`);
    } finally {
      this.#busy = false;
    }
    this.#next(this.#wanted && this.#failures === 0 ? 0 : waitMs);
  }

  #report(leaving: boolean): { body: Report; nacks: readonly Nack[] } {
    const { nacks, ...rest } = this.#options.collect();
    const same = this.#told !== null && sameNacks(this.#told, nacks);
    return { body: { ...rest, number: this.#number++, leaving, nacks: same ? null : nacks }, nacks };
  }
}

function sameNacks(a: readonly Nack[], b: readonly Nack[]): boolean {
  return a.length === b.length && a.every((nack, index) => nack === b[index]);
}
