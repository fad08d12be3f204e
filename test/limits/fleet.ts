/** Eight pods that live through schedules together, and what they wrote down. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyLink } from './faulty-link.ts';
import { type Admission, excesses, type Excess } from './history.ts';
import { RedisProcess } from './redis-process.ts';
import { DEMAND_MS, type Fault, PODS, Random, type Schedule } from './schedule.ts';

/** Clocks of the pods are up to so far off. */
const SKEW_MS = 5 * 60_000;
/** For the forks to hear of a schedule before it begins. */
const LEAD_MS = 40;
const LAST_ANSWERS_MS = 15_000;

export interface Outcome {
  readonly excesses: readonly Excess[];
  readonly admitted: number;
  readonly refused: number;
  readonly unavailable: number;
}

export class Fleet {
  readonly redis: RedisProcess;
  readonly #link: FaultyLink;
  readonly #directory: string;
  readonly #random: Random;
  readonly #pods: (ChildProcess | null)[] = [];
  readonly #done: Set<number>[] = [];

  private constructor(redis: RedisProcess, link: FaultyLink, directory: string, seed: number) {
    this.redis = redis;
    this.#link = link;
    this.#directory = directory;
    this.#random = new Random(seed);
  }

  static async start(seed: number): Promise<Fleet> {
    const redis = await RedisProcess.start();
    const link = await FaultyLink.to(redis.port);
    const fleet = new Fleet(redis, link, await mkdtemp(join(tmpdir(), 'limits-history-')), seed);
    await Promise.all(Array.from({ length: PODS }, async (_, pod) => fleet.#startPod(pod)));
    return fleet;
  }

  async run(schedule: Schedule): Promise<Outcome> {
    const startMs = Date.now() + LEAD_MS;
    const killed = new Set<ChildProcess>();
    for (const [pod, child] of this.#pods.entries()) child?.send({ schedule, pod, startMs });
    await Promise.all(schedule.faults.map(async (fault) => this.#befall(fault, startMs, killed, schedule)));
    await sleep(Math.max(0, startMs + DEMAND_MS - Date.now()));
    const deadlineMs = Date.now() + LAST_ANSWERS_MS;
    while (!this.#done.every((done) => done.has(schedule.number))) {
      if (Date.now() > deadlineMs) throw new Error(`schedule ${schedule.number}: a pod did not come to its end`);
      await sleep(5);
    }
    return this.#judge(schedule);
  }

  async close(): Promise<void> {
    for (const child of this.#pods) child?.kill('SIGKILL');
    await this.#link.close();
    await this.redis.kill();
    await rm(this.#directory, { recursive: true });
  }

  async #befall(fault: Fault, startMs: number, killed: Set<ChildProcess>, schedule: Schedule): Promise<void> {
    await sleep(Math.max(0, startMs + fault.atMs - Date.now()));
    switch (fault.kind) {
      case 'kill': {
        const child = this.#pods[fault.pod];
        if (child === null || child === undefined || killed.has(child)) return;
        killed.add(child);
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
        const reborn = await this.#startPod(fault.pod);
        reborn.send({ schedule, pod: fault.pod, startMs });
        return;
      }
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
    }
  }

  async #startPod(pod: number): Promise<ChildProcess> {
    const skewMs = this.#random.whole(-SKEW_MS, SKEW_MS);
    const file = this.#fileOf(pod);
    const child = fork(new URL('./pod.ts', import.meta.url), [String(this.#link.port), file, String(skewMs)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const done = new Set<number>();
    this.#done[pod] = done;
    this.#pods[pod] = child;
    child.on('message', (message: { readonly done?: number }) => {
      if (message.done !== undefined) done.add(message.done);
    });
    await once(child, 'message');
    return child;
  }

  #fileOf(pod: number): string {
    return join(this.#directory, `pod-${pod}`);
  }

  async #judge(schedule: Schedule): Promise<Outcome> {
    const admissions = new Map<string, Admission>();
    let refused = 0;
    let unavailable = 0;
    for (let pod = 0; pod < PODS; pod++) {
      const text = await readFile(this.#fileOf(pod), 'utf8').catch(() => '');
      for (const line of text.split('\n')) {
        const [what, number, id = '', first, second, third] = line.split(' ');
        if (Number(number) !== schedule.number) continue;
        if (what === 'R') {
          if (first === 'unavailable') unavailable += 1;
          else refused += 1;
        } else if (what === 'A') {
          const tokens = Number(third);
          admissions.set(id, { beforeMs: Number(first), afterMs: Number(second), tokens, used: true, endMs: 0 });
        } else {
          const admission = admissions.get(id);
          if (admission === undefined || admission.endMs > 0) continue;
          admissions.set(id, { ...admission, tokens: Number(second), used: what === 'E', endMs: Number(first) });
        }
      }
      if (text !== '') await truncate(this.#fileOf(pod));
    }
    const all = [...admissions.values()];
    return { excesses: excesses(schedule.limits, all), admitted: all.length, refused, unavailable };
  }
}
