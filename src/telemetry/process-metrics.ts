import { collectDefaultMetrics, Registry } from 'prom-client';

/**
 * What prom-client measures of the process and we leave out: each walks every open handle or file descriptor at each scrape, which
 * with tens of thousands of open streams stalls them all for many milliseconds.
 */
const TOO_COSTLY = [
  'process_open_fds',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_requests',
  'nodejs_active_requests_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
];

/** Metrics of the process itself (CPU, memory, garbage collection, event-loop lag) under their usual names, by prom-client. */
export function processMetrics(): { render(): Promise<string> } {
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 20 });
  for (const name of TOO_COSTLY) register.removeSingleMetric(name);
  return { render: () => register.metrics() };
}
