import type { MetricSpec } from './cells.ts';
import { METRICS } from './metric-table.ts';
import { OPERATOR_METRICS } from './operator-metrics.ts';

function tableOf(metrics: Readonly<Record<string, MetricSpec>>): string {
  const rows = Object.values(metrics).map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.length === 0 ? '' : `\`${labels.join('`, `')}\``} | ${help} |`,
  );
  return ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

/** docs/reference/metrics.md */
export function renderMetricsReference(): string {
  return `<!-- Generated from src/telemetry by \`npm run generate\`. Do not edit. -->
# Metrics

On the admin port under \`/metrics\`, beside prom-client's metrics of the process. Names are stable. Label values are bounded: beyond
a metric's bound they share one series whose values are \`other\`, and \`fairlead_metric_series_dropped_total\` counts it. Series of a
route that is gone stay for 15 minutes.

## Gateway

${tableOf(METRICS)}

## Operator

${tableOf(OPERATOR_METRICS)}
`;
}
