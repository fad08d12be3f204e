/** What the gateway is to hold beside its peers, and whether a run showed it. */
import type { Figures, ModeName, Results } from './results.ts';

interface Target {
  readonly what: string;
  readonly mode: ModeName;
  readonly figure: keyof Figures;
  /** null: the figure itself is bounded, not its ratio to a peer's. */
  readonly peer: string | null;
  readonly atMost?: number;
  readonly atLeast?: number;
}

const TARGETS: readonly Target[] = [
  { what: 'CPU a request, 1 KB', mode: 'thr', figure: 'cpuUs', peer: 'envoy', atMost: 1.2 },
  { what: 'requests a core, 1 KB', mode: 'thr', figure: 'perCoreSecond', peer: 'nginx', atLeast: 0.25 },
  { what: 'requests a core, 1 KB', mode: 'thr', figure: 'perCoreSecond', peer: 'tensorzero', atLeast: 3 },
  { what: 'requests a core, 1 KB', mode: 'thr', figure: 'perCoreSecond', peer: 'portkey', atLeast: 10 },
  { what: 'requests a core, 100 KB', mode: 'thr100k', figure: 'perCoreSecond', peer: 'nginx', atLeast: 0.15 },
  { what: 'added p50', mode: 'lat', figure: 'addedP50Us', peer: 'nginx', atMost: 2 },
  { what: 'added TTFT p50', mode: 'ttft', figure: 'addedP50Us', peer: 'nginx', atMost: 2 },
  { what: 'CPU a streamed event', mode: 'sse', figure: 'cpuUs', peer: 'nginx', atMost: 3 },
  { what: 'CPU a streamed event', mode: 'sse', figure: 'cpuUs', peer: 'tensorzero', atMost: 1 },
  { what: 'open streams a GiB', mode: 'open', figure: 'streamsPerGiB', peer: null, atLeast: 24_000 },
];

/** One line for each target that the results can judge. */
export function judgeTargets(results: Results): string[] {
  const lines: string[] = [];
  for (const { what, mode, figure, peer, atMost = Infinity, atLeast = -Infinity } of TARGETS) {
    const figures = results.modes[mode]?.figures;
    const ours = figures?.['gateway']?.[figure];
    const theirs = peer === null ? 1 : figures?.[peer]?.[figure];
    if (ours === undefined || theirs === undefined) continue;
    const value = ours / theirs;
    const bound = Number.isFinite(atMost) ? `at most ${atMost}` : `at least ${atLeast}`;
    const is = peer === null ? `${Math.round(value)}` : `${value.toFixed(2)}x ${peer}'s`;
    lines.push(`${value <= atMost && value >= atLeast ? 'holds ' : 'MISSED'} ${what}: ${is}, ${bound}`);
  }
  return lines;
}
