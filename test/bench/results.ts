/** What a run found, as it lies in results.json. Figures are medians over rounds unless their name says otherwise. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type as osType } from 'node:os';

import { CORES } from './processes.ts';

export const MODE_NAMES = ['thr', 'thr100k', 'lat', 'sse', 'ttft', 'open'] as const;
export type ModeName = (typeof MODE_NAMES)[number];

/** A figure that could not be measured is absent. */
export interface Figures {
  /** Of the server's processes: a request in `thr`, `thr100k` and `lat`, an event in `sse`, a stream in `ttft`. */
  readonly cpuUs?: number;
  readonly cpuUsMin?: number;
  /** What a core that does nothing else would serve: 10^6 / `cpuUs`. */
  readonly perCoreSecond?: number;
  /** What came through. Where `coreBusyPercent` is far below 100 the load generator was the limit, not the server. */
  readonly perSecond?: number;
  readonly coreBusyPercent?: number;
  /** Whole answer, or first event of a stream; `added…` is the difference to the same without a server in between. */
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly addedP50Us?: number;
  readonly addedP99Us?: number;
  readonly idleMiB?: number;
  readonly kibPerStream?: number;
  readonly streamsPerGiB?: number;
  /** Over all rounds: requests that ended with something else than a whole answer. */
  readonly errors: number;
  /** Over all rounds; what the server's own metrics counted of them, where it has metrics. */
  readonly answered: number;
  readonly counted?: number;
}

export interface ModeResult {
  /** ISO 8601, when it began. */
  readonly at: string;
  readonly commit: string;
  readonly settings: Readonly<Record<string, number>>;
  /** By peer, in the order of the table. */
  readonly figures: Readonly<Record<string, Figures>>;
  /** Peers that could not be measured, and why. */
  readonly leftOut: Readonly<Record<string, string>>;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** The server that is measured had a core to itself. */
  readonly pinned: boolean;
}

export interface Results {
  readonly machine: Machine;
  readonly node: string;
  /** By peer. */
  readonly versions: Readonly<Record<string, string>>;
  readonly modes: Readonly<Partial<Record<ModeName, ModeResult>>>;
}

export function thisMachine(): Machine {
  return {
    cpu: (cpus()[0]?.model ?? 'unknown').trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${osType()} ${/^\d+\.\d+/.exec(release())?.[0] ?? ''}`.trim(),
    pinned: CORES !== null,
  };
}

/** The commit that is checked out; with `+` where files that are part of it differ from it, other than `except`. */
export function thisCommit(root: string, except: string): string {
  const git = (...argv: string[]) => execFileSync('git', argv, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', `:!${except}`);
    return git('rev-parse', '--short', 'HEAD') + (changed === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}

export function readResults(file: string): Results | null {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Results) : null;
}

/** Modes that were not run keep what they have, if that came from the same machine and Node. */
export function writeResults(file: string, found: Results): void {
  const before = readResults(file);
  const same = before !== null && before.node === found.node && sameMachine(before.machine, found.machine);
  const merged = same
    ? { ...found, versions: { ...before.versions, ...found.versions }, modes: { ...before.modes, ...found.modes } }
    : found;
  writeFileSync(file, `${JSON.stringify(merged, null, 2)}\n`);
}

function sameMachine(a: Machine, b: Machine): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
