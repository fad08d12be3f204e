import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import type { MetricSpec } from './cells.ts';
import { METRICS } from './metric-table.ts';
import { GatewayMetrics } from './metrics.ts';
import { MetricRegistry } from './registry.ts';

function spec<const L extends readonly string[]>(labels: L, given: Partial<MetricSpec> = {}): MetricSpec<L> {
  return { name: 'm', type: 'counter', help: 'h', maxSeries: 10, bounds: [], ...given, labels };
}

/** The sample lines, without comments. */
async function samples(source: { render(): Promise<string> }): Promise<string[]> {
  return (await source.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('exposition', () => {
  it('writes counters and gauges with their labels escaped', async () => {
    const registry = new MetricRegistry(METRICS.seriesDropped);
    registry
      .counter(spec(['a', 'b'], { name: 'c_total', help: 'two\nlines \\ "quoted"' }))
      .with('x"y\\z\n', '')
      .add(2.5);
    const gauge = registry.gauge(spec([], { name: 'g', type: 'gauge' })).with();
    gauge.add(3);
    gauge.add(-4);
    const text = await registry.render();
    expect(text).toContain(
      '# HELP c_total two\\nlines \\\\ "quoted"\n# TYPE c_total counter\nc_total{a="x\\"y\\\\z\\n",b=""} 2.5\n',
    );
    expect(text).toContain('# TYPE g gauge\ng -1\n');
    gauge.set(Infinity);
    expect(await samples(registry)).toContain('g +Inf');
  });

  it('writes histograms with cumulative buckets, bounds inclusive', async () => {
    const registry = new MetricRegistry(METRICS.seriesDropped);
    const histogram = registry.histogram(spec(['u'], { name: 'h', type: 'histogram', bounds: [0.1, 1] })).with('a');
    for (const value of [0, 0.1, 0.100001, 1, 7, Number.NaN]) histogram.observe(value);
    expect(await samples(registry)).toEqual([
      'h_bucket{u="a",le="0.1"} 2',
      'h_bucket{u="a",le="1"} 4',
      'h_bucket{u="a",le="+Inf"} 5',
      'h_sum{u="a"} 8.200001',
      'h_count{u="a"} 5',
    ]);
  });

  it('counts what goes beyond maxSeries as other, and says so', async () => {
    const registry = new MetricRegistry(METRICS.seriesDropped);
    const family = registry.counter(spec(['a'], { name: 'c', maxSeries: 2 }));
    for (const value of ['1', '2', '3', '4', '1']) family.with(value).add(1);
    expect(await samples(registry)).toEqual([
      'fairlead_metric_series_dropped_total{metric="c"} 2',
      'c{a="1"} 2',
      'c{a="2"} 1',
      'c{a="other"} 2',
    ]);
    registry.remove('a', new Set(['1']));
    family.with('5').add(1);
    expect(await samples(registry)).toContain('c{a="5"} 1');
  });

  it('gives way to the event loop while it renders many series', async () => {
    const registry = new MetricRegistry(METRICS.seriesDropped);
    const family = registry.counter(spec(['a'], { name: 'c', maxSeries: 10_000 }));
    for (let i = 0; i < 10_000; i++) family.with(String(i)).add(1);
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    const text = await registry.render();
    done = true;
    expect(text.split('\n').filter((line) => line.startsWith('c{'))).toHaveLength(10_000);
    expect(turns).toBeGreaterThanOrEqual(10_000 / 500);
  });
});

describe('the table of metrics', () => {
  const all: readonly MetricSpec[] = Object.values(METRICS);

  it('names one metric, and only one, that ends in requests_total', async () => {
    const rendered = await samples(new GatewayMetrics(new ManualClock()));
    const names = new Set([...all.map(({ name }) => name), ...rendered.map((line) => line.split(/[{ ]/)[0] ?? '')]);
    expect([...names].filter((name) => name.endsWith('requests_total'))).toEqual(['fairlead_requests_total']);
  });

  it('keeps a scrape below 10,000 lines whatever happens', () => {
    const lines = all.map(({ maxSeries, bounds, labels }) => {
      const series = labels.length === 0 ? 1 : maxSeries + 1;
      return series * (bounds.length === 0 ? 1 : bounds.length + 3);
    });
    const processLines = 100;
    expect(lines.reduce((sum, count) => sum + count) + processLines).toBeLessThanOrEqual(10_000);
  });

  it('has good names, no route on a histogram, and is rendered whole', async () => {
    const text = await new GatewayMetrics(new ManualClock(), false).render();
    for (const { name, type, labels, help, bounds } of all) {
      expect(name).toMatch(type === 'counter' ? /^fairlead_[a-z_]+_total$/ : /^fairlead_[a-z_]+(?<!_total)$/);
      expect(help).toMatch(/\.$/);
      expect(type === 'histogram' && labels.includes('route')).toBe(false);
      expect([...bounds]).toEqual([...bounds].sort((a, b) => a - b));
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
    }
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });
});

describe('GatewayMetrics', () => {
  it('counts a request in every place it belongs', async () => {
    const metrics = new GatewayMetrics(new ManualClock(), false);
    const route = metrics.forRoute('team-a/chat');
    const target = metrics.forTarget('team-a/chat', 'azure');
    const upstream = metrics.forUpstream('https://a gpt-4o');
    target.attemptEnded('rate_limited');
    route.failedOver('azure', 'openai', 'RateLimited');
    route.contentFilterFailedOver('prompt', 'openai');
    target.contentFiltered('prompt', ['hate', 'violence']);
    target.contentFiltered('prompt', []);
    target.attemptEnded('ok');
    target.used({ inputTokens: 100, outputTokens: 20, cachedInputTokens: 5, reasoningTokens: 0, estimated: true });
    target.cost(2_500_000);
    target.cost(null);
    upstream.firstToken(0.25);
    upstream.healthy(false);
    upstream.ejected('Timeout');
    route.requestEnded('chat', 200);
    route.requestEnded('chat', 200);
    route.requestEnded('chat', 429);
    route.error('rate_limit_exceeded');
    route.limited('key-rpm');
    route.paramDropped('logprobs');
    route.streamBroken();
    metrics.unrouted.requestEnded('none', 404);
    metrics.authFailed('unknown');
    metrics.shed('overloaded');
    metrics.tableApplied('d1', 0);
    metrics.tableApplied('d2', 3);
    metrics.onScrape(() => metrics.bufferedBytes.set(77));
    const lines = await samples(metrics);
    expect(lines).toEqual(
      expect.arrayContaining([
        'fairlead_requests_total{route="team-a/chat",operation="chat",status="200"} 2',
        'fairlead_requests_total{route="team-a/chat",operation="chat",status="429"} 1',
        'fairlead_requests_total{route="none",operation="none",status="404"} 1',
        'fairlead_request_errors_total{route="team-a/chat",code="rate_limit_exceeded"} 1',
        'fairlead_attempts_total{route="team-a/chat",target="azure",outcome="rate_limited"} 1',
        'fairlead_attempts_total{route="team-a/chat",target="azure",outcome="ok"} 1',
        'fairlead_failovers_total{route="team-a/chat",from="azure",to="openai",reason="RateLimited"} 1',
        'fairlead_content_filter_failovers_total{route="team-a/chat",phase="prompt",to="openai"} 1',
        'fairlead_content_filtered_total{route="team-a/chat",target="azure",phase="prompt"} 2',
        'fairlead_content_filter_categories_total{phase="prompt",category="hate"} 1',
        'fairlead_content_filter_categories_total{phase="prompt",category="violence"} 1',
        'fairlead_content_filter_categories_total{phase="prompt",category="none"} 1',
        'fairlead_tokens_total{route="team-a/chat",target="azure",direction="input"} 100',
        'fairlead_tokens_total{route="team-a/chat",target="azure",direction="output"} 20',
        'fairlead_tokens_total{route="team-a/chat",target="azure",direction="cached_input"} 5',
        'fairlead_usage_estimated_total{route="team-a/chat",target="azure"} 1',
        'fairlead_cost_usd_total{route="team-a/chat",target="azure"} 0.0025',
        'fairlead_cost_unknown_total{route="team-a/chat",target="azure"} 1',
        'fairlead_time_to_first_token_seconds_count{upstream="https://a gpt-4o"} 1',
        'fairlead_upstream_healthy{upstream="https://a gpt-4o"} 0',
        'fairlead_ejections_total{upstream="https://a gpt-4o",reason="Timeout"} 1',
        'fairlead_limited_total{route="team-a/chat",limit="key-rpm"} 1',
        'fairlead_dropped_params_total{route="team-a/chat",param="logprobs"} 1',
        'fairlead_streams_broken_total{route="team-a/chat"} 1',
        'fairlead_auth_failures_total{reason="unknown"} 1',
        'fairlead_shed_total{reason="overloaded"} 1',
        'fairlead_table_info{digest="d2"} 1',
        `fairlead_table_applied_timestamp_seconds ${Date.UTC(2026, 0, 1) / 1_000}`,
        'fairlead_table_refused_entries 3',
        'fairlead_buffered_bytes 77',
      ]),
    );
    expect(lines.filter((line) => line.startsWith('fairlead_table_info'))).toHaveLength(1);
  });

  it('drops the series of a route that left, a while later, unless it comes back', async () => {
    const clock = new ManualClock();
    const metrics = new GatewayMetrics(clock, false);
    const count = (id: string): void => metrics.forRoute(id).requestEnded('chat', 200);
    const routesSeen = async (): Promise<string[]> =>
      (await samples(metrics)).flatMap((line) => /^fairlead_requests_total\{route="([^"]*)"/.exec(line)?.[1] ?? []);
    for (const id of ['a/stays', 'a/goes', 'a/returns']) count(id);
    metrics.forUpstream('u').healthy(true);
    metrics.retain(new Set(['a/stays']), new Set());
    clock.advance(14 * 60_000);
    expect(await routesSeen()).toEqual(['a/stays', 'a/goes', 'a/returns']);
    count('a/returns');
    metrics.retain(new Set(['a/stays', 'a/returns']), new Set());
    clock.advance(60_000);
    expect(await routesSeen()).toEqual(['a/stays', 'a/returns']);
    expect(await metrics.render()).not.toContain('upstream="u"');
    count('a/goes');
    expect(await samples(metrics)).toContain('fairlead_requests_total{route="a/goes",operation="chat",status="200"} 1');
  });

  it('appends the metrics of the process, without those that walk every socket', async () => {
    const text = await new GatewayMetrics(new ManualClock()).render();
    expect(text).toMatch(/^process_cpu_seconds_total \d/m);
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect(text).toMatch(/nodejs_gc_duration_seconds/);
    expect(text).not.toMatch(/process_open_fds|nodejs_active/);
  });
});
