/**
 * Every metric of ours: the reference in docs/ is generated from this table. Names are stable. Exactly one ends in
 * `requests_total`, so that a sum over that suffix is the number of requests. Histograms have no route label, and the `maxSeries`
 * together keep a scrape below 10,000 lines however many routes there are.
 */
import type { MetricSpec } from './cells.ts';

export function counter<const L extends readonly string[]>(
  name: string,
  labels: L,
  maxSeries: number,
  help: string,
): MetricSpec<L> {
  return { name, type: 'counter', help, labels, maxSeries, bounds: [] };
}

export function gauge<const L extends readonly string[]>(
  name: string,
  labels: L,
  maxSeries: number,
  help: string,
): MetricSpec<L> {
  return { name, type: 'gauge', help, labels, maxSeries, bounds: [] };
}

export function histogram<const L extends readonly string[]>(
  name: string,
  labels: L,
  maxSeries: number,
  bounds: readonly number[],
  help: string,
): MetricSpec<L> {
  return { name, type: 'histogram', help, labels, maxSeries, bounds };
}

const FIRST_TOKEN_SECONDS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3, 5, 10, 20, 60];
const REQUEST_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600];
const OVERHEAD_SECONDS = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
const CONNECT_SECONDS = [0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5];

export const METRICS = {
  requests: counter(
    'fairlead_requests_total',
    ['route', 'operation', 'status'],
    1_800,
    'Requests answered, by route (namespace/name, or none), operation and HTTP status.',
  ),
  requestErrors: counter(
    'fairlead_request_errors_total',
    ['route', 'code'],
    600,
    "Requests that the gateway answered with an error of its own, by the error's code.",
  ),
  attempts: counter(
    'fairlead_attempts_total',
    ['route', 'target', 'outcome'],
    1_300,
    'Upstream calls that ended, by what became of them: ok or the kind of failure.',
  ),
  leftOut: counter(
    'fairlead_targets_left_out_total',
    ['route', 'target', 'reason'],
    200,
    'Requests whose plan went without a target, by reason: what it cannot do, `ejected`, `probing`, `coolingDown`, `headroom` (its provider says that too little is left) or `capacity` (all that its `capacity` states is used).',
  ),
  failovers: counter(
    'fairlead_failovers_total',
    ['route', 'from', 'to', 'reason'],
    500,
    'Requests that went on from one target to the next, by the failure that made them.',
  ),
  contentFilterFailovers: counter(
    'fairlead_content_filter_failovers_total',
    ['route', 'phase', 'to'],
    200,
    'Requests that went on to another target because a content filter stopped them, by the phase in which it did.',
  ),
  contentFiltered: counter(
    'fairlead_content_filtered_total',
    ['route', 'target', 'phase'],
    200,
    'Attempts that a content filter stopped, by phase: prompt, completion or mid_stream.',
  ),
  contentFilterCategories: counter(
    'fairlead_content_filter_categories_total',
    ['phase', 'category'],
    60,
    'What content filters stopped attempts for, in the words of the providers, by phase; an attempt counts for each. `none`: not told.',
  ),
  tokens: counter(
    'fairlead_tokens_total',
    ['route', 'target', 'direction'],
    1_300,
    "Tokens used, by direction: input (all of it), and of that cached_input, cache_write (into the provider's prompt cache) and of that cache_write_hour (to be kept for an hour); output (all of it), and of that reasoning. Estimated where the provider gave none.",
  ),
  cost: counter('fairlead_cost_usd_total', ['route', 'target'], 500, "Cost of answers in US dollars, by the model's prices."),
  costUnknown: counter(
    'fairlead_cost_unknown_total',
    ['route', 'target'],
    200,
    'Answers whose cost is unknown, because the model has no price.',
  ),
  usageEstimated: counter(
    'fairlead_usage_estimated_total',
    ['route', 'target'],
    200,
    'Answers whose token usage is an estimate, because the provider gave none.',
  ),
  downgraded: counter(
    'fairlead_downgraded_total',
    ['route', 'limit'],
    300,
    'Requests beyond a limit that another model answered for that.',
  ),
  limited: counter('fairlead_limited_total', ['route', 'limit'], 300, 'Requests that a limit refused, by its name.'),
  maxTokensClamped: counter(
    'fairlead_max_tokens_clamped_total',
    ['route'],
    60,
    'Requests whose answer was made shorter, because what is left of a budget in USD pays for no longer one.',
  ),
  budgetUsed: gauge(
    'fairlead_budget_used_ratio',
    ['route', 'limit'],
    100,
    'The used part of a limit in USD, from 0 to 1 (above: owed); of several keys, tenants or models that it counts the greatest, as far as this pod knows.',
  ),
  limitStoreReachable: gauge(
    'fairlead_limit_store_reachable',
    [],
    1,
    '1 while the Redis that limits are shared over answers, 0 while each pod decides by the policy `onUnavailable`; absent without Redis.',
  ),
  limitStoreCommands: counter(
    'fairlead_limit_store_commands_total',
    ['outcome'],
    2,
    'Commands sent to the Redis that limits are shared over, by outcome: answered or failed.',
  ),
  limitStoreSeconds: histogram(
    'fairlead_limit_store_command_seconds',
    [],
    1,
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05],
    'How long Redis took to answer a command of the limits.',
  ),
  limitsDecidedAlone: counter(
    'fairlead_limits_decided_alone_total',
    ['decision'],
    2,
    "Requests whose limits, and attempts whose target's capacity, were decided without Redis, because it was away: admitted or refused.",
  ),
  structuredOutputs: counter(
    'fairlead_structured_outputs_total',
    ['route', 'target', 'result'],
    80,
    'Answers to requests with a JSON schema, where the rule checks them: valid, repaired, invalid, or unchecked (the schema asks for what is not checked).',
  ),
  cacheLookups: counter(
    'fairlead_cache_lookups_total',
    ['route', 'result'],
    120,
    'Requests of routes with a cache, by result: hit, joined (answered with an identical request of the same moment), miss, or bypass (not to be cached, or not wanted by the client).',
  ),
  cacheStored: counter('fairlead_cache_stored_total', [], 1, 'Answers that were put into the cache.'),
  cacheStoredBytes: counter('fairlead_cache_stored_bytes_total', [], 1, 'Bytes of the answers that were put into the cache.'),
  cacheNotStored: counter(
    'fairlead_cache_not_stored_total',
    ['reason'],
    6,
    'Answers that were not put into the cache: too_large, not_whole (failed, filtered or cut short), client_gone, no_room (in this pod), away or full (Redis).',
  ),
  cacheMemoryBytes: gauge(
    'fairlead_cache_memory_bytes',
    [],
    1,
    'Bytes of answers cached in the memory of this pod, where the gateway has no Redis.',
  ),
  cacheStoreReachable: gauge(
    'fairlead_cache_store_reachable',
    [],
    1,
    '1 while the Redis that answers are cached in answers, 0 while every request is a miss; absent without Redis or without a cache.',
  ),
  droppedParams: counter(
    'fairlead_dropped_params_total',
    ['route', 'param'],
    120,
    'Request parameters, and parts of answers (`answer.…`), left out because the other side has no place for them.',
  ),
  streamsBroken: counter(
    'fairlead_streams_broken_total',
    ['route'],
    300,
    'Streams that broke after output had reached the client, and ended in an error event.',
  ),
  timeToFirstToken: histogram(
    'fairlead_time_to_first_token_seconds',
    ['upstream'],
    40,
    FIRST_TOKEN_SECONDS,
    'From the start of an attempt to its first output, for streams.',
  ),
  requestDuration: histogram(
    'fairlead_request_duration_seconds',
    ['stream'],
    2,
    REQUEST_SECONDS,
    "From a request's head to the last byte of its answer.",
  ),
  gatewayOverhead: histogram(
    'fairlead_gateway_overhead_seconds',
    [],
    1,
    OVERHEAD_SECONDS,
    "From a request's last byte to the start of its first attempt: what the gateway itself adds before it calls.",
  ),
  upstreamConnect: histogram(
    'fairlead_upstream_connect_seconds',
    [],
    1,
    CONNECT_SECONDS,
    'From the wish to call an upstream to a connection for it, waiting for a free one included.',
  ),
  upstreamQueued: counter('fairlead_upstream_queued_total', [], 1, 'Attempts that had to wait for a free connection.'),
  upstreamHealthy: gauge(
    'fairlead_upstream_healthy',
    ['upstream'],
    150,
    '1 while this pod sends requests to the upstream, 0 while it is ejected.',
  ),
  upstreamHeadroom: gauge(
    'fairlead_upstream_headroom',
    ['upstream', 'unit'],
    150,
    'What the upstream said last is left of its own limit of requests, tokens, input_tokens or output_tokens, less what this pod has sent since; of several credentials the least. Absent where it does not say.',
  ),
  ejections: counter('fairlead_ejections_total', ['upstream', 'reason'], 200, 'Times an upstream was taken out, by reason.'),
  authFailures: counter('fairlead_auth_failures_total', ['reason'], 10, 'Requests refused for their client key, by reason.'),
  shed: counter('fairlead_shed_total', ['reason'], 10, 'Requests refused because the pod was overloaded or ending.'),
  clientDisconnects: counter('fairlead_client_disconnects_total', [], 1, 'Clients that left before their answer was complete.'),
  inFlightRequests: gauge('fairlead_in_flight_requests', [], 1, 'Requests under way.'),
  inFlightStreams: gauge('fairlead_in_flight_streams', [], 1, 'Streams under way.'),
  bufferedBytes: gauge('fairlead_buffered_bytes', [], 1, 'Bytes of requests and answers held in memory.'),
  configAge: gauge(
    'fairlead_config_age_seconds',
    [],
    1,
    'Since the operator last said that what this pod serves is what it should: a few seconds, or how long it has been out of reach.',
  ),
  operatorConnected: gauge(
    'fairlead_operator_connected',
    [],
    1,
    "1 while this pod has the operator's stream and serves all that came over it, else 0.",
  ),
  operatorReconnects: counter(
    'fairlead_operator_reconnects_total',
    [],
    1,
    "Times this pod's stream from the operator ended or could not be opened.",
  ),
  tableInfo: gauge('fairlead_table_info', ['digest'], 1, 'Always 1: the digest of the route table that is served.'),
  tableApplied: gauge(
    'fairlead_table_applied_timestamp_seconds',
    [],
    1,
    'When the route table that is served was applied, in seconds since the epoch.',
  ),
  tableRefused: gauge(
    'fairlead_table_refused_entries',
    [],
    1,
    'Entries of the last route table that this pod refused; their last good version is served.',
  ),
  seriesDropped: counter(
    'fairlead_metric_series_dropped_total',
    ['metric'],
    100,
    'Times a label combination was counted as `other`, because its metric had as many series as it may have.',
  ),
  logDropped: counter('fairlead_log_lines_dropped_total', [], 1, 'Log lines lost because they could not be written fast enough.'),
  logErrors: counter('fairlead_log_write_errors_total', [], 1, 'Failed writes of the log.'),
} as const satisfies Readonly<Record<string, MetricSpec>>;
