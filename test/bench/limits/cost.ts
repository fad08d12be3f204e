/**
 * What limits of four scopes over Redis cost a request through the built gateway, beside the same gateway without any, and a second one
 * without any: how far those two differ is what the machine adds to the difference.
 */
import { measureMode, type Bench } from '../measure.ts';
import type { Job, Outcome } from '../load.ts';
import { AT_ONCE, closedLoop, fixedRate } from '../modes.ts';
import type { Figures } from '../results.ts';
import type { Server } from '../server.ts';
import { RedisProcess } from '../../limits/redis-process.ts';
import { HOT_KEYS } from './keys.ts';
import { startGateway, type Rig } from './rig.ts';

const REQUESTS_A_SECOND = 1_000;
/** Many short ones, in turn: what the machine does meanwhile falls on all alike. */
const CPU_ROUNDS = 18;
const CPU_ROUND_SECONDS = 0.6;
const P50_ROUNDS = 6;
const OPERATIONS_SECONDS = 10;

const thr = closedLoop('1 KB, 64 connections, one request after the other on each', 1_024, CPU_ROUNDS);
const rate = fixedRate(
  `${REQUESTS_A_SECOND} requests of 1 KB a second over ${HOT_KEYS.length} client keys`,
  AT_ONCE,
  REQUESTS_A_SECOND,
  'answer',
  thr.warmUp,
  HOT_KEYS,
);

export async function cost(rig: Rig): Promise<void> {
  const redis = await RedisProcess.start();
  const without = await startGateway(rig, 'without', { LIMITS: 'none' });
  const control = await startGateway(rig, 'control', { LIMITS: 'none' });
  const limited = await startGateway(rig, 'limits', { LIMITS: 'shared', REDIS: `127.0.0.1:${redis.port}` });
  const servers = [without, limited, control];
  try {
    const busy = await measureMode(rig.bench, thr, servers, { rounds: CPU_ROUNDS, seconds: CPU_ROUND_SECONDS });
    const steady = await measureMode(rig.bench, rate, [rig.direct, ...servers], { rounds: P50_ROUNDS, seconds: 2 });
    const cpu = (of: (figures: Partial<Figures>) => number | undefined): string => {
      const [before, after, again] = servers.map(({ name }) => of(busy.figures[name] ?? {}) ?? NaN) as [number, number, number];
      return `${before} µs without limits, ${after} µs with (${percent(after / before)}; control ${percent(again / before)})`;
    };
    console.log(`CPU a request, medians: ${cpu(({ cpuUs }) => cpuUs)}`);
    console.log(`CPU a request, minima:  ${cpu(({ cpuUsMin }) => cpuUsMin)}`);
    const [before, after, again] = servers.map(({ name }) => steady.figures[name]?.p50Us ?? NaN) as [number, number, number];
    console.log(
      `p50 at ${REQUESTS_A_SECOND}/s: ${before} µs without limits, ${after} µs with (${signed(after - before)} µs; control ${signed(again - before)} µs)`,
    );
    const { requests, operations } = await countOperations(rig.bench, limited, redis);
    console.log(`one Redis operation per ${(requests / operations).toFixed(0)} requests (${operations} for ${requests})`);
  } finally {
    await Promise.all(servers.map(async ({ process }) => process?.stop()));
    await redis.kill();
  }
}

async function countOperations(
  bench: Bench,
  server: Server,
  redis: RedisProcess,
): Promise<{ readonly requests: number; readonly operations: number }> {
  const job: Job = rate.load(server.target, OPERATIONS_SECONDS, {} as Outcome);
  // Leases follow demand; before it there was none for a while.
  await bench.load.ask(job);
  const before = await operationsOf(redis);
  const { answered } = (await bench.load.ask(job)) as Outcome;
  return { requests: answered, operations: (await operationsOf(redis)) - before };
}

/** What the gateway has sent; what scripts do inside Redis is no operation of its own. */
async function operationsOf(redis: RedisProcess): Promise<number> {
  const stats = await redis.command('INFO', 'commandstats');
  return [...stats.matchAll(/^cmdstat_(?:evalsha|eval|publish):calls=(\d+)/gm)].reduce(
    (sum, [, calls]) => sum + Number(calls),
    0,
  );
}

const percent = (ratio: number): string => `${signed((ratio - 1) * 100)} %`;
const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(1)}`;
