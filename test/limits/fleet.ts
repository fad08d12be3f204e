/** Eight pods of a kind that live through schedules together. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyLink } from './faulty-link.ts';
import { judge, type Loss, trueMs, type Verdict } from './history.ts';
import type { PodMessage } from './pod.ts';
import { takeTold, type Told } from './pod-log.ts';
import { eventually } from './pods.ts';
import { REPLICATES_AT_ONCE } from './redis-groups.ts';
import { RedisProcess } from './redis-process.ts';
import { CLOCK_STEP_KEY, DEMAND_MS, type Fault, type PodKind, PODS, Random, type Schedule, STEP_MS } from './schedule.ts';

/** For the forks to hear of a schedule before it begins. */
const LEAD_MS = 40;
/** A bound on what hangs, never on what is slow. */
const LAST_ANSWERS_MS = 120_000;

export interface Outcome extends Verdict {
  readonly admitted: number;
  readonly refused: number;
  readonly unavailable: number;
  /** Redis forgot something, or its clock was set. */
  readonly lost: boolean;
}

export class Fleet {
  readonly #kind: PodKind;
  #master: RedisProcess;
  #replica: RedisProcess;
  readonly #link: FaultyLink;
  readonly #directory: string;
  readonly #random: Random;
  readonly #pods: (ChildProcess | null)[] = [];
  readonly #done: Set<number>[] = [];

  private constructor(
    kind: PodKind,
    [master, replica]: readonly [RedisProcess, RedisProcess],
    link: FaultyLink,
    directory: string,
    seed: number,
  ) {
    this.#kind = kind;
    this.#master = master;
    this.#replica = replica;
    this.#link = link;
    this.#directory = directory;
    this.#random = new Random(seed);
  }

  static async start(kind: PodKind, seed: number): Promise<Fleet> {
    const redis = [await RedisProcess.start(...REPLICATES_AT_ONCE), await RedisProcess.start(...REPLICATES_AT_ONCE)] as const;
    const link = await FaultyLink.to(redis[0].port);
    const fleet = new Fleet(kind, redis, link, await mkdtemp(join(tmpdir(), 'limits-history-')), seed);
    await fleet.#replicate();
    await Promise.all(Array.from({ length: PODS }, async (_, pod) => fleet.#startPod(pod)));
    return fleet;
  }

  async run(schedule: Schedule): Promise<Outcome> {
    const startMs = Date.now() + LEAD_MS;
    const killed = new Set<ChildProcess>();
    const losses: Loss[] = [];
    for (const [pod, child] of this.#pods.entries()) child?.send({ schedule, pod, startMs } satisfies PodMessage);
    await Promise.all(
      schedule.faults.map(async (fault) => {
        await sleep(Math.max(0, startMs + fault.atMs - Date.now()));
        await this.#befall(fault, losses);
        if (fault.kind === 'kill') await this.#kill(fault.pod, killed, { schedule, pod: fault.pod, startMs });
      }),
    );
    await sleep(Math.max(0, startMs + DEMAND_MS - Date.now()));
    const deadlineMs = Date.now() + LAST_ANSWERS_MS;
    while (!this.#done.every((done) => done.has(schedule.number))) {
      if (Date.now() > deadlineMs) throw new Error(`schedule ${schedule.number}: a pod did not come to its end`);
      await sleep(5);
    }
    await this.#master.command('DEL', CLOCK_STEP_KEY);
    return this.#judge(schedule, losses);
  }

  async close(): Promise<void> {
    for (const child of this.#pods) child?.kill('SIGKILL');
    await this.#link.close();
    await Promise.all([this.#master.kill(), this.#replica.kill()]);
    await rm(this.#directory, { recursive: true });
  }

  async #befall(fault: Fault, losses: Loss[]): Promise<void> {
    switch (fault.kind) {
      case 'kill':
        return;
      case 'pause': {
        const child = this.#pods[fault.pod];
        child?.kill('SIGSTOP');
        await sleep(fault.forMs);
        child?.kill('SIGCONT');
        return;
      }
      case 'lose':
        this.#link.loseAnswers();
        await sleep(fault.forMs);
        this.#link.heal();
        return;
      case 'delay':
        this.#link.delayMs = fault.delayMs;
        await sleep(fault.forMs);
        this.#link.delayMs = 0;
        return;
      case 'clock':
        this.#pods[fault.pod]?.send({ stepClockMs: fault.byMs } satisfies PodMessage);
        return;
      case 'flush':
        await lossy(losses, async () => this.#master.command('FLUSHALL'));
        return;
      case 'restart':
        await lossy(losses, async () => this.#master.restart());
        await this.#replicate();
        return;
      case 'failover':
        await lossy(losses, async () => {
          // What the master is told from now on, nobody has.
          await this.#replica.command('REPLICAOF', 'NO', 'ONE');
          await sleep(fault.lostMs);
          await this.#master.kill();
          [this.#master, this.#replica] = [this.#replica, this.#master];
          this.#link.lead(this.#master.port);
        });
        await this.#replica.restart();
        await this.#replicate();
        return;
      case 'redis-clock':
        await lossy(
          losses,
          async () => this.#master.command('SET', CLOCK_STEP_KEY, String(Math.round(fault.byMs / 1_000))),
          fault.byMs < 0,
        );
    }
  }

  async #kill(pod: number, killed: Set<ChildProcess>, message: PodMessage): Promise<void> {
    const child = this.#pods[pod];
    if (child === null || child === undefined || killed.has(child)) return;
    killed.add(child);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    const reborn = await this.#startPod(pod);
    reborn.send(message);
  }

  async #replicate(): Promise<void> {
    await this.#replica.command('REPLICAOF', '127.0.0.1', String(this.#master.port));
    await eventually(async () => (await this.#replica.command('INFO', 'replication')).includes('master_link_status:up'));
  }

  async #startPod(pod: number): Promise<ChildProcess> {
    const skewMs = this.#random.whole(-STEP_MS, STEP_MS);
    const argv = [this.#kind, String(this.#link.port), this.#fileOf(pod), String(skewMs)];
    const child = fork(new URL('./pod.ts', import.meta.url), argv, {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      // It is no test, whoever started it.
      env: { ...process.env, JEST_WORKER_ID: undefined },
    });
    const done = new Set<number>();
    this.#done[pod] = done;
    this.#pods[pod] = child;
    child.on('message', (message: { readonly done?: number }) => {
      if (message.done !== undefined) done.add(message.done);
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`pod ${pod} ended before it was ready`);
      }),
    ]);
    return child;
  }

  #fileOf(pod: number): string {
    return join(this.#directory, `pod-${pod}`);
  }

  async #judge({ number, limits }: Schedule, losses: readonly Loss[]): Promise<Outcome> {
    const told: Told[] = [];
    for (let pod = 0; pod < PODS; pod++) told.push(await takeTold(this.#fileOf(pod), number));
    const admissions = told.flatMap((each) => each.admissions);
    const sum = (of: (each: Told) => number): number => told.reduce((total, each) => total + of(each), 0);
    return {
      ...judge(limits, admissions, losses, Date.now() - trueMs()),
      admitted: admissions.length,
      refused: sum(({ refused }) => refused),
      unavailable: sum(({ unavailable }) => unavailable),
      lost: losses.length > 0,
    };
  }
}

async function lossy(losses: Loss[], lose: () => Promise<unknown>, back = false): Promise<void> {
  const fromMs = trueMs();
  await lose();
  losses.push({ fromMs, toMs: trueMs(), back });
}
