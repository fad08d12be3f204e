import { setImmediate as nextTurn } from 'node:timers/promises';
import { CounterCell, Family, GaugeCell, HistogramCell, type MetricSpec } from './cells.ts';

/** Lines rendered in one turn of the event loop: well below a millisecond, so that a scrape stalls no stream. */
const LINES_A_TURN = 250;

/** The metrics of one process, and their text in Prometheus' exposition format 0.0.4. */
export class MetricRegistry {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8';
  readonly #families: Family[] = [];
  readonly #dropped: Family<readonly ['metric'], CounterCell>;

  /** `dropped`: the counter of what other metrics count as `other`. */
  constructor(dropped: MetricSpec<readonly ['metric']>) {
    const newCell = (): CounterCell => new CounterCell();
    this.#dropped = this.#add(new Family(dropped, newCell, () => {}));
  }

  counter<const L extends readonly string[]>(spec: MetricSpec<L>): Family<L, CounterCell> {
    return this.#add(new Family(spec, () => new CounterCell(), this.#onDropped(spec)));
  }

  gauge<const L extends readonly string[]>(spec: MetricSpec<L>): Family<L, GaugeCell> {
    return this.#add(new Family(spec, () => new GaugeCell(), this.#onDropped(spec)));
  }

  histogram<const L extends readonly string[]>(spec: MetricSpec<L>): Family<L, HistogramCell> {
    return this.#add(new Family(spec, () => new HistogramCell(spec.bounds), this.#onDropped(spec)));
  }

  /** Drops the series of every metric that has this label with one of these values. */
  remove(label: string, values: ReadonlySet<string>): void {
    if (values.size === 0) return;
    for (const family of this.#families) {
      if (family.spec.labels.includes(label)) family.remove(label, values);
    }
  }

  /** Gives way to the event loop every few hundred lines: values of different series may be some turns apart. */
  async render(): Promise<string> {
    const texts: string[] = [];
    let pending: string[] = [];
    let lines = 0;
    for (const family of this.#families) {
      pending.push(family.head());
      const linesEach = family.spec.bounds.length === 0 ? 1 : family.spec.bounds.length + 3;
      for (const series of family.lines()) {
        pending.push(series);
        lines += linesEach;
        if (lines < LINES_A_TURN) continue;
        // Joined here, so that no turn has to flatten the whole text.
        texts.push(pending.join(''));
        pending = [];
        lines = 0;
        await nextTurn();
      }
    }
    texts.push(pending.join(''));
    return texts.join('');
  }

  #add<F extends Family>(family: F): F {
    this.#families.push(family);
    return family;
  }

  #onDropped({ name }: MetricSpec): () => void {
    return () => this.#dropped.with(name).add(1);
  }
}
