import { METRICS } from './metric-table.ts';

/** docs/reference/metrics.md */
export function renderMetricsReference(): string {
  const rows = Object.values(METRICS).map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.length === 0 ? '' : `\`${labels.join('`, `')}\``} | ${help} |`,
  );
  return `<!-- Generated from src/telemetry by \`npm run generate\`. Do not edit. -->
# Metrics

On the admin port under \`/metrics\`, beside prom-client's metrics of the process. Names are stable. Label values are bounded: beyond
a metric's bound they share one series whose values are \`other\`, and \`fairlead_metric_series_dropped_total\` counts it. Series of a
route that is gone stay for 15 minutes.

| metric | type | labels | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}
