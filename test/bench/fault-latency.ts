/**
 * How long a client waits when the first target fails before its first output and there is nothing to wait for: from sending the
 * request to the last byte of the other target's answer. Client, gateway and upstreams share this process.
 * node test/bench/fault-latency.ts [requests a fault]
 */
import { ManualClock } from '../../src/lib/clock.ts';
import { cleanUp } from '../features/support/clean-up.ts';
import { request } from '../features/support/client.ts';
import { chat } from '../features/support/dialects.ts';
import { FAULTS, serve } from '../features/support/faults.ts';
import { startGateway } from '../features/support/gateway.ts';
import { FakeUpstream, refusingPort } from '../features/support/upstream.ts';
import { routeYaml } from '../features/support/yaml.ts';

const REQUESTS = Number(process.argv[2] ?? 200);
const WARM_UP = 20;

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function row(name: string, latenciesMs: readonly number[]): string {
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  const figures = [percentile(sorted, 0.5), percentile(sorted, 0.99), sorted.at(-1) ?? NaN].map((ms) =>
    ms.toFixed(2).padStart(9),
  );
  return `${name.padEnd(52)}${figures.join('')}`;
}

async function measure(badUrl: string, stream: boolean): Promise<number[]> {
  const good = await FakeUpstream.start(serve(chat, 'All', ' is', ' well'));
  const clock = new ManualClock();
  const failover =
    '    failover: {timeouts: {connect: 1h, firstToken: 1h, idle: 1h, total: 1h}, contentFilter: {mode: Failover, targets: [good]}}';
  const { port } = await startGateway(routeYaml({ bad: badUrl, good: good.url }, failover), { clock });
  const latenciesMs: number[] = [];
  for (let round = 0; round < WARM_UP + REQUESTS; round++) {
    // A day later nothing keeps the failing target out.
    clock.advance(24 * 3_600_000);
    const startMs = performance.now();
    const answer = await request(port, { body: { ...chat.body, ...(stream ? { stream } : {}) } });
    const ms = performance.now() - startMs;
    if (answer.headers['x-fairlead-model'] !== 'good' || !answer.complete)
      throw new Error(`not answered: ${answer.status} ${answer.text}`);
    if (round >= WARM_UP) latenciesMs.push(ms);
  }
  await cleanUp();
  return latenciesMs;
}

const all: number[] = [];
console.log(`${'the first target'.padEnd(52)}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)}${'max ms'.padStart(9)}`);
for (const [name, fault] of Object.entries(FAULTS)) {
  for (const stream of fault.on === undefined ? [false, true] : [fault.on === 'stream']) {
    const bad = await FakeUpstream.start(fault.respond);
    const latenciesMs = await measure(bad.url, stream);
    all.push(...latenciesMs);
    console.log(row(`${name}${stream ? ' (stream)' : ''}`, latenciesMs));
  }
}
const refused = await measure(`http://127.0.0.1:${await refusingPort()}/v1`, false);
const unknown = await measure('http://no-such-host..invalid/v1', false);
all.push(...refused, ...unknown);
console.log(row('a connection that is refused', refused));
console.log(row('a name that does not resolve', unknown));
console.log(row('all of them', all));
