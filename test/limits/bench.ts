/**
 * `make bench-limits`: what shared limits cost a request while Redis is well, and while it is not. One limiter process, a real
 * Redis, 1,000 requests a second over 20 keys, limits of four scopes; what is timed is a decision, from asking to having it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/lib/clock.ts';
import { FleetLimits } from '../../src/limits/fleet.ts';
import type { Limiter } from '../../src/limits/limiter.ts';
import { LocalLimiter } from '../../src/limits/local.ts';
import type { Limit } from '../../src/routetable/types.ts';
import { FaultyLink } from './faulty-link.ts';
import { settingsFor } from './pods.ts';
import { redisAbsent, RedisProcess } from './redis-process.ts';

const KEYS = 20;
const REQUESTS_A_SECOND = 1_000;
const TICK_MS = 10;
const WARM_UP_MS = 6_000;
const MEASURED_MS = 10_000;

const limit = (name: string, kinds: readonly ('APIKey' | 'Tenant' | 'Route' | 'Model')[], unit: Limit['unit']): Limit => ({
  name,
  per: kinds.map((kind) => ({ kind })),
  unit,
  limit: 100_000_000,
  windowMs: unit === 'Concurrency' ? null : 60_000,
});
const LIMITS: readonly Limit[] = [
  limit('key', ['APIKey'], 'Requests'),
  limit('tenant', ['Tenant'], 'Tokens'),
  limit('route', ['Route'], 'Requests'),
  limit('model', ['Model'], 'Tokens'),
];

interface Timed {
  readonly atMs: number;
  readonly tookMs: number;
  readonly admitted: boolean;
}

/** An open loop: a limiter that is slow does not slow its demand. */
async function drive(limiter: () => Limiter, forMs: number): Promise<Timed[]> {
  const timed: Timed[] = [];
  const startMs = performance.now();
  const under: Promise<void>[] = [];
  let sent = 0;
  while (performance.now() - startMs < forMs) {
    const due = Math.floor(((performance.now() - startMs) / 1_000) * REQUESTS_A_SECOND);
    for (; sent < due; sent++) under.push(one(limiter(), sent % KEYS, startMs, timed));
    await sleep(TICK_MS);
  }
  await Promise.all(under);
  return timed;
}

async function one(limiter: Limiter, key: number, startMs: number, timed: Timed[]): Promise<void> {
  const beganMs = performance.now();
  const asked = limiter.reserve({
    routeId: 'bench/route',
    limits: LIMITS,
    apiKeyId: `bench/key-${key}`,
    tenant: `tenant-${key % 5}`,
    model: 'model',
    header: () => undefined,
    tokens: 600,
  });
  const decision = asked instanceof Promise ? await asked : asked;
  timed.push({ atMs: beganMs - startMs, tookMs: performance.now() - beganMs, admitted: decision.ok });
  if (!decision.ok) return;
  await sleep(20);
  decision.settle(550);
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0;
const us = (ms: number): string => `${(ms * 1_000).toFixed(1)} µs`;

async function steady(name: string, limiter: () => Limiter, commands: () => number): Promise<void> {
  await drive(limiter, WARM_UP_MS);
  const before = commands();
  const cpu = process.cpuUsage();
  const timed = await drive(limiter, MEASURED_MS);
  const { user, system } = process.cpuUsage(cpu);
  const took = timed.map(({ tookMs }) => tookMs);
  const sent = commands() - before;
  const perCommand = sent === 0 ? 'no commands' : `one Redis command per ${(timed.length / sent).toFixed(0)} requests`;
  const cpuUs = ((user + system) / timed.length).toFixed(1);
  console.log(
    `${name}: p50 ${us(quantile(took, 0.5))}, p99 ${us(quantile(took, 0.99))}, CPU ${cpuUs} µs a request, ${perCommand}`,
  );
}

async function fault(
  name: string,
  begin: (redis: RedisProcess, link: FaultyLink) => void,
  end: (redis: RedisProcess, link: FaultyLink) => Promise<void>,
): Promise<void> {
  const redis = await RedisProcess.start();
  const link = await FaultyLink.to(redis.port);
  const changes: { readonly atMs: number; readonly reachable: boolean }[] = [];
  const fleet = new FleetLimits(systemClock, {
    stateChanged: (reachable) => changes.push({ atMs: performance.now(), reachable }),
    warned() {},
    commandEnded() {},
    decidedAlone() {},
  });
  fleet.apply({ namespace: 'bench', name: 'gateway' }, settingsFor(link.port, 'LocalShare'));
  await drive(() => fleet.limiter, 2_000);
  const beganMs = performance.now();
  begin(redis, link);
  const during = await drive(() => fleet.limiter, 5_000);
  const healedMs = performance.now();
  await end(redis, link);
  await drive(() => fleet.limiter, 2_500);
  const back = changes.find(({ atMs, reachable }) => reachable && atMs >= healedMs);
  const away = changes.find(({ atMs, reachable }) => !reachable && atMs >= beganMs);
  const first = during.filter(({ atMs }) => atMs < 1_000).map(({ tookMs }) => tookMs);
  const later = during.filter(({ atMs }) => atMs >= 1_000).map(({ tookMs }) => tookMs);
  const refused = during.filter(({ admitted }) => !admitted).length;
  console.log(
    `${name}: longest in the first second ${Math.max(...first).toFixed(1)} ms, afterwards p99 ${us(quantile(later, 0.99))}, longest ${Math.max(...later).toFixed(1)} ms; ${refused} of ${during.length} refused; away after ${away === undefined ? '-' : (away.atMs - beganMs).toFixed(0)} ms, back ${back === undefined ? 'never away' : `${(back.atMs - healedMs).toFixed(0)} ms after healing`}`,
  );
  await fleet.close();
  await link.close();
  await redis.kill();
}

if (redisAbsent !== null) {
  console.error(redisAbsent);
  process.exit(1);
}
const redis = await RedisProcess.start();
let commands = 0;
const shared = new FleetLimits(systemClock, {
  stateChanged() {},
  warned() {},
  commandEnded: () => (commands += 1),
  decidedAlone() {},
});
const local = new LocalLimiter(systemClock);
await steady(
  'local ',
  () => local,
  () => 0,
);
shared.apply({ namespace: 'bench', name: 'gateway' }, settingsFor(redis.port, 'LocalShare'));
await steady(
  'shared',
  () => shared.limiter,
  () => commands,
);
await shared.close();
await redis.kill();
await fault(
  'killed       ',
  (it, link) => {
    void it.kill();
    link.cut();
  },
  async (it) => it.restart(),
);
await fault(
  'stopped      ',
  (it) => it.signal('SIGSTOP'),
  async (it) => it.signal('SIGCONT'),
);
await fault(
  'answers lost ',
  (_, link) => link.loseAnswers(),
  async (_, link) => link.heal(),
);
await fault(
  'slow by 20 ms',
  (_, link) => {
    link.delayMs = 10;
  },
  async (_, link) => {
    link.delayMs = 0;
  },
);
await fault(
  'slow by 200 ms',
  (_, link) => {
    link.delayMs = 100;
  },
  async (_, link) => {
    link.delayMs = 0;
  },
);
process.exit(0);
