/**
 * What clients of the built gateway see while Redis is killed, stopped, cut off, slow or replaced: 1,000 requests a second go on all the time, against
 * limits of four scopes.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { FaultyLink } from '../../limits/faulty-link.ts';
import { namespaceAbsent, NetworkNamespace } from '../../limits/network-namespace.ts';
import { ClusterGroup, SentinelGroup } from '../../limits/redis-groups.ts';
import { RedisProcess } from '../../limits/redis-process.ts';
import type { OpenJob, Outcome } from '../load.ts';
import { median } from '../modes.ts';
import type { Server } from '../server.ts';
import { chatBody } from '../workload.ts';
import { HOT_KEYS } from './keys.ts';
import { type Rig, startGateway } from './rig.ts';

const REQUESTS_A_SECOND = 1_000;
const POLICIES = ['FailOpen', 'LocalShare'];
const GIVE_UP_MS = 10_000;
const WARM_UP_SECONDS = 4;
/** Without a fault: before it, and again after it. */
const CONTROL_SECONDS = 6;

/** A Redis, how a gateway reaches it, and what goes wrong with it. */
interface Scene {
  readonly address: string;
  /** More of `spec.redis`. */
  readonly mode?: string;
  begin(): Promise<void>;
  heal(): Promise<void>;
  close(): Promise<void>;
}

interface Fault {
  /** For the command line; slow: by so many milliseconds; sentinel, cluster: the master is killed. */
  readonly name: string;
  /** It lasts so long after its first second. */
  readonly seconds: number;
  readonly scene: () => Promise<Scene>;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'killed',
    seconds: 4,
    scene: async () => {
      const redis = await RedisProcess.start();
      return scene(
        redis,
        async () => redis.kill(),
        async () => redis.restart(),
      );
    },
  },
  {
    name: 'stopped',
    seconds: 29,
    scene: async () => {
      const redis = await RedisProcess.start();
      return scene(
        redis,
        async () => redis.signal('SIGSTOP'),
        async () => redis.signal('SIGCONT'),
      );
    },
  },
  { name: 'cut-off', seconds: 4, scene: cutOff },
  { name: 'slow-20', seconds: 4, scene: async () => slow(20) },
  { name: 'slow-200', seconds: 4, scene: async () => slow(200) },
  {
    name: 'sentinel',
    seconds: 6,
    scene: async () => {
      const group = await SentinelGroup.start();
      return failover(group, group.master, `mode: Sentinel, sentinel: {masterName: ${SentinelGroup.masterName}},`);
    },
  },
  {
    name: 'cluster',
    seconds: 6,
    scene: async () => {
      const group = await ClusterGroup.start();
      return failover(group, group.masters[0], 'mode: Cluster,');
    },
  },
];

/** `named`: these only; empty: all. */
export async function faults(rig: Rig, named: readonly string[]): Promise<void> {
  await rig.bench.upstream.ask({ firstByteMs: 0, events: 1, intervalMs: 1 });
  const absent = namespaceAbsent();
  for (const fault of FAULTS.filter(({ name }) => named.length === 0 || named.includes(name))) {
    if (fault.scene === cutOff && absent !== null) console.log(`${fault.name}: left out, ${absent}`);
    else for (const policy of POLICIES) await play(rig, fault, policy);
  }
}

export const FAULT_NAMES: readonly string[] = FAULTS.map(({ name }) => name);

/**
 * The same process is asked the same before the fault and after it: how far its seconds without a fault differ among themselves is how much
 * of a difference is the machine's.
 */
async function play(rig: Rig, fault: Fault, policy: string): Promise<void> {
  const stage = await fault.scene();
  const settings = { LIMITS: 'shared', REDIS: stage.address, POLICY: policy, MODE: stage.mode ?? '' };
  const server = await startGateway(rig, 'gateway', settings);
  try {
    await seconds(rig, server, WARM_UP_SECONDS);
    const before = await seconds(rig, server, CONTROL_SECONDS);
    await stage.begin();
    const beganMs = performance.now();
    const first = await seconds(rig, server, 1);
    let aloneMs: number | null = null;
    let alone = await decidedAlone(server);
    const during = await seconds(rig, server, fault.seconds, async () => {
      const now = await decidedAlone(server);
      if (now > alone) aloneMs = performance.now() - beganMs;
      alone = now;
    });
    await stage.heal();
    const [healing, backMs] = await Promise.all([seconds(rig, server, 2), untilReachable(server)]);
    const after = await seconds(rig, server, CONTROL_SECONDS);
    const control = spread([...before, ...after]);
    const added = (us: number): string => `${us < control.medianUs ? '' : '+'}${ms(us - control.medianUs)}`;
    const then = spread(during);
    const longest = Math.max(...before.map(({ maxUs }) => maxUs));
    const all = [...before, ...first, ...during, ...healing, ...after];
    const sum = (of: (outcome: Outcome) => number): number => all.reduce((total, outcome) => total + of(outcome), 0);
    console.log(
      `${fault.name.padEnd(9)} ${policy.padEnd(10)} ` +
        `p99 of a second without a fault ${ms(control.medianUs)} ms (${ms(control.leastUs)} to ${ms(control.mostUs)}), longest ${ms(longest)}; ` +
        `first second: longest +${ms(Math.max(0, (first[0]?.maxUs ?? NaN) - longest))}; ` +
        `then p99 ${added(then.medianUs)} ms (${added(then.leastUs)} to ${added(then.mostUs)}); ` +
        `decided alone ${aloneMs === null ? 'in the first second at most' : `until ${(aloneMs / 1_000).toFixed(0)} s`}; ` +
        `healed: reachable after ${backMs.toFixed(0)} ms, p99 ${added(spread(healing).mostUs)} at most; ` +
        `failed ${sum(({ errors }) => errors)} of ${sum(({ answered }) => answered)}`,
    );
  } finally {
    await server.process?.stop();
    await stage.close();
  }
}

/** A load for each second. `between`: what is asked while there is none, so that it slows no request. */
async function seconds(rig: Rig, { target }: Server, count: number, between?: () => Promise<void>): Promise<Outcome[]> {
  const job: OpenJob = {
    kind: 'open',
    target,
    body: chatBody({ model: target.model, sizeBytes: 1_024, stream: false }),
    ratePerSecond: REQUESTS_A_SECOND,
    requests: REQUESTS_A_SECOND,
    events: 0,
    keys: HOT_KEYS,
  };
  const outcomes: Outcome[] = [];
  for (let second = 0; second < count; second++) {
    outcomes.push((await rig.bench.load.ask(job)) as Outcome);
    await between?.();
  }
  return outcomes;
}

/** Of the seconds' p99. */
function spread(outcomes: readonly Outcome[]): { readonly medianUs: number; readonly leastUs: number; readonly mostUs: number } {
  const p99s = outcomes.map(({ p99Us }) => p99Us);
  return { medianUs: median(p99s), leastUs: Math.min(...p99s), mostUs: Math.max(...p99s) };
}

/** Requests that were decided without Redis, since the start. */
async function decidedAlone({ adminPort }: Server): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const samples = (await answer.text()).matchAll(/^fairlead_limits_decided_alone_total\{.*\} (\d+)$/gm);
  return [...samples].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** From now on. */
async function untilReachable({ adminPort }: Server): Promise<number> {
  const startMs = performance.now();
  while (performance.now() - startMs < GIVE_UP_MS) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
    if ((await answer.text()).includes('fairlead_limit_store_reachable 1\n')) return performance.now() - startMs;
    await sleep(10);
  }
  throw new Error(`Redis is not used again after ${GIVE_UP_MS} ms`);
}

function scene(redis: RedisProcess, begin: () => Promise<void>, heal: () => Promise<void>): Scene {
  return { address: `127.0.0.1:${redis.port}`, begin, heal, close: async () => redis.kill() };
}

async function slow(byMs: number): Promise<Scene> {
  const redis = await RedisProcess.start();
  const link = await FaultyLink.to(redis.port);
  const delay = async (ms: number): Promise<void> => {
    link.delayMs = ms / 2;
  };
  return {
    address: `127.0.0.1:${link.port}`,
    begin: async () => delay(byMs),
    heal: async () => delay(0),
    close: async () => {
      await link.close();
      await redis.kill();
    },
  };
}

/** Nobody heals it but Redis itself. */
function failover(
  group: { readonly nodes: readonly { readonly port: number }[]; close(): Promise<void> },
  master: RedisProcess | undefined,
  mode: string,
): Scene {
  return {
    address: group.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',redis://'),
    mode,
    begin: async () => master?.kill(),
    heal: async () => {},
    close: async () => group.close(),
  };
}

async function cutOff(): Promise<Scene> {
  const namespace = NetworkNamespace.create();
  const redis = await RedisProcess.startIn(namespace);
  return {
    address: `${namespace.host}:${redis.port}`,
    begin: async () => namespace.cutOff(),
    heal: async () => namespace.heal(),
    close: async () => {
      await redis.kill();
      namespace.close();
    },
  };
}

const ms = (us: number): string => (us / 1_000).toFixed(1);
