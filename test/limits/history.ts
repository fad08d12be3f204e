/** Whether what a fleet admitted kept to its limits. */
import type { Limit } from '../../src/routetable/types.ts';

/** One admitted request. Its moment of admission lies between `beforeMs` and `afterMs`, on a clock that all pods share. */
export interface Admission {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Tokens that it counts for in the end. */
  readonly tokens: number;
  /** False: it was given back whole. */
  readonly used: boolean;
  /** Infinity: it had not ended when its pod was killed, or when all was over. */
  readonly endMs: number;
}

export interface Excess {
  readonly limit: Limit;
  readonly admitted: number;
  readonly atMs: number;
}

/** The worst that surely happened for each limit that was broken; empty: all were kept. */
export function excesses(limits: readonly Limit[], admissions: readonly Admission[]): readonly Excess[] {
  return limits.flatMap((limit) => {
    const worst = limit.windowMs === null ? mostUnderWay(admissions) : mostInWindow(limit, limit.windowMs, admissions);
    return worst.admitted > limit.limit ? [{ limit, ...worst }] : [];
  });
}

/** Of each span as long as the window, what surely lies inside: it began after the span's start and was over by its end. */
function mostInWindow(limit: Limit, windowMs: number, admissions: readonly Admission[]): { admitted: number; atMs: number } {
  const counted = admissions.filter(({ used }) => used).sort((a, b) => a.afterMs - b.afterMs);
  const amount = ({ tokens }: Admission): number => (limit.unit === 'Tokens' ? tokens : 1);
  let worst = { admitted: 0, atMs: 0 };
  for (const [last, { afterMs: end }] of counted.entries()) {
    let admitted = 0;
    for (let i = last; i >= 0; i--) {
      const admission = counted[i];
      if (admission === undefined || admission.afterMs <= end - windowMs) break;
      if (admission.beforeMs > end - windowMs) admitted += amount(admission);
    }
    if (admitted > worst.admitted) worst = { admitted, atMs: end };
  }
  return worst;
}

/** Requests that were surely under way at once: from when each was known to be admitted until just before it gave its place back. */
function mostUnderWay(admissions: readonly Admission[]): { admitted: number; atMs: number } {
  const moments = admissions
    .filter(({ afterMs, endMs }) => endMs > afterMs)
    .flatMap(({ afterMs, endMs }) => [
      { atMs: afterMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let worst = { admitted: 0, atMs: 0 };
  let now = 0;
  for (const { atMs, by } of moments) {
    now += by;
    if (now > worst.admitted) worst = { admitted: now, atMs };
  }
  return worst;
}
