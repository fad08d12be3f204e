/** Runs modes: what is compared takes turns, so that a machine whose speed drifts is as fast for one as for the other. */
import { setTimeout as sleep } from 'node:timers/promises';

import type { Job, Outcome } from './load.ts';
import { known, OPEN_MODE, type LoadMode, type Round } from './modes.ts';
import { cpuTimes, cpuUsBetween, pssBytes } from './proc.ts';
import type { Helper } from './processes.ts';
import type { Figures } from './results.ts';
import { countedOnceSettled, countedRequests, type Server } from './server.ts';
import type { Shape } from './workload.ts';

export interface Bench {
  readonly load: Helper;
  readonly upstream: Helper;
  readonly progress: (line: string) => void;
}

/** By peer. */
export interface Found {
  readonly figures: Record<string, Figures>;
  readonly leftOut: Record<string, string>;
}

interface CountedRound extends Round {
  /** By the server's own metrics; null where it has none. */
  readonly counted: number | null;
}

export interface Extent {
  readonly rounds: number;
  readonly seconds: number;
}

async function runLoad(bench: Bench, job: Job): Promise<Outcome> {
  const answer = (await bench.load.ask(job)) as Outcome | { failed: string };
  if ('failed' in answer) throw new Error(answer.failed);
  return answer;
}

async function oneRound(bench: Bench, server: Server, job: Job): Promise<CountedRound> {
  const countedBefore = await countedRequests(server);
  const before = server.process === null ? null : cpuTimes(server.process.pid);
  const outcome = await runLoad(bench, job);
  const cpuUs = cpuUsBetween(before, server.process === null ? null : cpuTimes(server.process.pid));
  const expected = (countedBefore ?? 0) + outcome.answered;
  const countedAfter = await countedOnceSettled(server, expected);
  const counted = countedBefore === null || countedAfter === null ? null : countedAfter - countedBefore;
  return { outcome, cpuUs, counted };
}

export async function measureMode(bench: Bench, mode: LoadMode, servers: readonly Server[], extent: Extent): Promise<Found> {
  await setShape(bench, mode.shape);
  const found: Found = { figures: {}, leftOut: {} };
  const warm: { server: Server; warmUp: Outcome; rounds: CountedRound[] }[] = [];
  for (const server of servers) {
    const warmUp = await runLoad(bench, mode.warmUp(server.target));
    if (warmUp.good > 0) {
      warm.push({ server, warmUp, rounds: [] });
    } else {
      found.leftOut[server.name] = warmUp.firstError;
      bench.progress(`without ${server.name}: ${warmUp.firstError}`);
    }
  }
  for (let round = 0; round < extent.rounds; round++) {
    // Each comes first once: what the one before leaves behind (garbage, closing sockets) falls on all.
    const shift = round % Math.max(1, warm.length);
    for (const { server, warmUp, rounds } of [...warm.slice(shift), ...warm.slice(0, shift)]) {
      const job = mode.load(server.target, extent.seconds, warmUp);
      rounds.push(await oneRound(bench, server, job));
    }
  }
  const direct = warm.find(({ server }) => server.process === null)?.rounds ?? [];
  for (const { server, rounds } of warm) {
    const figures = { ...mode.figures(rounds, server.process === null ? [] : direct), ...totals(rounds) };
    found.figures[server.name] = figures;
    bench.progress(`${server.name.padEnd(11)} ${describe(figures)}`);
    const wrong = rounds.find(({ outcome }) => outcome.errors > 0);
    if (wrong !== undefined) bench.progress(`  ${server.name}: ${wrong.outcome.firstError}`);
  }
  return found;
}

const SAMPLE_MS = 400;

/** Memory of one server that has just started, `count` streams open on it. */
export async function measureOpenStreams(bench: Bench, server: Server, count: number): Promise<Figures> {
  await setShape(bench, OPEN_MODE.shape);
  const pid = server.process?.pid ?? 0;
  await sleep(SAMPLE_MS);
  const idle = pssBytes(pid) ?? NaN;
  const round = oneRound(bench, server, OPEN_MODE.load(server.target, count));
  let over = false;
  const ended = round.finally(() => (over = true));
  let peak = idle;
  while (!over) {
    await Promise.race([ended, sleep(SAMPLE_MS)]);
    peak = Math.max(peak, pssBytes(pid) ?? NaN);
  }
  const result = await ended;
  const perStream = (peak - idle) / count;
  // What was not all open at once says nothing about so many streams.
  const valid = result.outcome.mostAtOnce === count ? perStream : NaN;
  const figures = {
    ...known('idleMiB', idle / 2 ** 20, 1),
    ...known('kibPerStream', valid / 1024, 1),
    ...known('streamsPerGiB', 2 ** 30 / valid),
    ...totals([result]),
  };
  bench.progress(`${server.name.padEnd(11)} ${describe(figures)}`);
  if (result.outcome.errors > 0) bench.progress(`  ${server.name}: ${result.outcome.firstError}`);
  return figures;
}

function totals(rounds: readonly CountedRound[]): Pick<Figures, 'answered' | 'errors' | 'counted'> {
  const sum = (of: (round: CountedRound) => number) => rounds.reduce((total, round) => total + of(round), 0);
  const counted = rounds.some((round) => round.counted !== null) ? { counted: sum((round) => round.counted ?? 0) } : {};
  return { answered: sum(({ outcome }) => outcome.answered), errors: sum(({ outcome }) => outcome.errors), ...counted };
}

async function setShape(bench: Bench, shape: Shape): Promise<void> {
  await bench.upstream.ask(shape);
}

function describe(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join('  ');
}
