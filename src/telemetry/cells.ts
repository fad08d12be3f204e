/**
 * Metrics that cost the request path an array write: cells are resolved once and kept by the caller. Label values are bounded: what
 * goes beyond a metric's `maxSeries` shares one series whose label values are all `other`.
 */
export interface MetricSpec<Labels extends readonly string[] = readonly string[]> {
  /** As Prometheus asks: base units, counters end in `_total`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: Labels;
  /** Combinations of label values that get a series of their own. */
  readonly maxSeries: number;
  /** Upper bounds of a histogram's buckets, ascending, without infinity; empty for the other types. */
  readonly bounds: readonly number[];
}

export type LabelValues<Labels extends readonly string[]> = { readonly [Index in keyof Labels]: string };

export interface Cell {
  /** Appends this series' lines. `labels`: `a="x",b="y"`, escaped, or empty. */
  render(name: string, labels: string): string;
}

export class CounterCell implements Cell {
  readonly #value = new Float64Array(1);

  get value(): number {
    return this.#value[0] ?? 0;
  }

  /** `n` at least 0. */
  add(n: number): void {
    this.#value[0] = (this.#value[0] ?? 0) + n;
  }

  render(name: string, labels: string): string {
    return sample(name, labels, this.value);
  }
}

export class GaugeCell implements Cell {
  readonly #value = new Float64Array(1);

  get value(): number {
    return this.#value[0] ?? 0;
  }

  add(n: number): void {
    this.#value[0] = (this.#value[0] ?? 0) + n;
  }

  set(value: number): void {
    this.#value[0] = value;
  }

  render(name: string, labels: string): string {
    return sample(name, labels, this.value);
  }
}

export class HistogramCell implements Cell {
  readonly #bounds: readonly number[];
  /** A count for each bound, then for what is above all, then the sum. */
  readonly #cells: Float64Array;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#cells = new Float64Array(bounds.length + 2);
  }

  /** In the metric's base unit: seconds for a duration. NaN is not counted: one would spoil the sum for good. */
  observe(value: number): void {
    if (Number.isNaN(value)) return;
    const cells = this.#cells;
    const sum = cells.length - 1;
    let bucket = 0;
    while (bucket < sum - 1 && value > (this.#bounds[bucket] ?? Infinity)) bucket++;
    cells[bucket] = (cells[bucket] ?? 0) + 1;
    cells[sum] = (cells[sum] ?? 0) + value;
  }

  render(name: string, labels: string): string {
    const before = labels === '' ? '' : `${labels},`;
    let text = '';
    let count = 0;
    for (let i = 0; i <= this.#bounds.length; i++) {
      count += this.#cells[i] ?? 0;
      text += `${name}_bucket{${before}le="${number(this.#bounds[i] ?? Infinity)}"} ${count}\n`;
    }
    const sum = this.#cells[this.#bounds.length + 1] ?? 0;
    return text + sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, count);
  }
}

/** One combination of label values. */
class Series<C extends Cell> {
  readonly values: readonly string[];
  readonly cell: C;
  readonly #labels: string;

  constructor(names: readonly string[], values: readonly string[], cell: C) {
    this.values = values;
    this.cell = cell;
    this.#labels = names.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join(',');
  }

  render(name: string): string {
    return this.cell.render(name, this.#labels);
  }
}

const OTHER = 'other';

/** All series of one metric. */
export class Family<Labels extends readonly string[] = readonly string[], C extends Cell = Cell> {
  readonly spec: MetricSpec<Labels>;
  readonly #newCell: () => C;
  readonly #onDropped: () => void;
  readonly #series = new Map<string, Series<C>>();
  #other: Series<C> | null = null;

  /** `onDropped`: a combination was asked for that gets no series of its own. */
  constructor(spec: MetricSpec<Labels>, newCell: () => C, onDropped: () => void) {
    this.spec = spec;
    this.#newCell = newCell;
    this.#onDropped = onDropped;
    if (spec.labels.length === 0) this.#add('', []);
  }

  /** The cell of these label values, for the caller to keep: this looks it up by a joined key. */
  with(...values: LabelValues<Labels>): C {
    const key = values.join('\u0000');
    const known = this.#series.get(key);
    if (known !== undefined) return known.cell;
    if (this.#series.size < this.spec.maxSeries) return this.#add(key, values);
    this.#onDropped();
    this.#other ??= new Series(
      this.spec.labels,
      this.spec.labels.map(() => OTHER),
      this.#newCell(),
    );
    return this.#other.cell;
  }

  /** Drops the series with one of these values of a label; what is added to their cells from now on is lost. */
  remove(label: Labels[number], values: ReadonlySet<string>): void {
    const index = this.spec.labels.indexOf(label);
    for (const [key, series] of this.#series) {
      if (values.has(series.values[index] ?? '')) this.#series.delete(key);
    }
  }

  clear(): void {
    this.#series.clear();
  }

  /** `# HELP` and `# TYPE`. */
  head(): string {
    const { name, help, type } = this.spec;
    return `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
  }

  /** Each series' lines; safe while series come and go. */
  *lines(): Iterable<string> {
    for (const series of this.#series.values()) yield series.render(this.spec.name);
    if (this.#other !== null) yield this.#other.render(this.spec.name);
  }

  #add(key: string, values: readonly string[]): C {
    const series = new Series(this.spec.labels, values, this.#newCell());
    this.#series.set(key, series);
    return series.cell;
  }
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${number(value)}\n` : `${name}{${labels}} ${number(value)}\n`;
}

function number(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
