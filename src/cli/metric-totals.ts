/**
 * Sums over Prometheus' text format: of a metric's samples that have these labels, whatever others they have. Enough of the format
 * for our own exposition, in which no label value holds a quote or a comma.
 */
export function metricTotals(text: string): (name: string, labels?: Readonly<Record<string, string>>) => number {
  const samples: { readonly name: string; readonly labels: string; readonly value: number }[] = [];
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-z_:]+)(?:\{(.*)\})? ([-+.eE\d]+)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) samples.push({ name, labels: `,${labels},`, value: Number(value) });
  }
  return (name, labels = {}) => {
    const wanted = Object.entries(labels).map(([label, value]) => `,${label}="${value}",`);
    return samples
      .filter((sample) => sample.name === name && wanted.every((part) => sample.labels.includes(part)))
      .reduce((sum, { value }) => sum + value, 0);
  };
}
