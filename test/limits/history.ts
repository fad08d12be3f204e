/** Whether what a fleet admitted kept to its limits. */
import { periodAt } from '../../src/lib/calendar.ts';
import { leaseTerms } from '../../src/limits/redis/lease-terms.ts';
import type { Limit } from '../../src/routetable/types.ts';
import { TOKEN_NANO_USD } from './schedule.ts';

/** Milliseconds on a clock that all processes of this machine share, and that nobody sets. */
export function trueMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** One admitted request. Its moment of admission lies between `beforeMs` and `afterMs`, by `trueMs`. */
export interface Admission {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Tokens that it counts for in the end. */
  readonly tokens: number;
  /** False: it was given back whole. */
  readonly used: boolean;
  /** 0: it had not ended when its pod was killed. */
  readonly endMs: number;
}

/** When Redis forgot something or its clock was set. */
export interface Loss {
  readonly fromMs: number;
  /** All pods spoke to what came after from here on. */
  readonly toMs: number;
  /** Its clock was set back, which only limits by the calendar can see. */
  readonly back: boolean;
}

/** What was surely admitted in one span of time, inclusive. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly admitted: number;
}

export interface Excess {
  readonly limit: Limit;
  readonly admitted: number;
  readonly allowed: number;
  readonly atMs: number;
}

export interface Verdict {
  /** The worst that surely happened for each limit that was broken; empty: all were kept. */
  readonly excesses: readonly Excess[];
  /** Of its limit, what the fullest span had in it. */
  readonly fullest: number;
}

/**
 * A span that a loss touches may hold one limit more: what pods used of it that Redis does not know. `wallAheadMs`: of the date before
 * `trueMs`.
 */
export function judge(
  limits: readonly Limit[],
  admissions: readonly Admission[],
  losses: readonly Loss[] = [],
  wallAheadMs = 0,
): Verdict {
  const excesses: Excess[] = [];
  let fullest = 0;
  for (const limit of limits) {
    let worst: Excess | null = null;
    for (const span of spansOf(limit, admissions, wallAheadMs)) {
      const allowed = limit.limit * (1 + losses.filter((loss) => touches(loss, span, limit)).length);
      const { admitted } = span;
      fullest = Math.max(fullest, admitted / limit.limit);
      const over = admitted - allowed;
      if (over > 0 && (worst === null || over > worst.admitted - worst.allowed)) {
        worst = { limit, admitted, allowed, atMs: span.toMs };
      }
    }
    if (worst !== null) excesses.push(worst);
  }
  return { excesses, fullest };
}

function spansOf(limit: Limit, admissions: readonly Admission[], wallAheadMs: number): readonly Span[] {
  if (limit.windowMs !== null) return windows(limit, limit.windowMs, admissions);
  return limit.calendar !== undefined ? periods(limit, limit.calendar, admissions, wallAheadMs) : underWay(admissions);
}

/** Leases from before it are used up for as long as they last. */
function touches({ fromMs, toMs, back }: Loss, span: Span, { windowMs, calendar }: Limit): boolean {
  if (calendar !== undefined) return span.toMs >= fromMs;
  if (back) return false;
  const { leaseMs } = leaseTerms(windowMs === null ? 'slots' : 'sliding', windowMs ?? 0);
  return span.toMs >= fromMs && span.fromMs < toMs + leaseMs;
}

/** Of each span as long as the window, what surely lies inside: it began after the span's start and was over by its end. */
function windows(limit: Limit, windowMs: number, admissions: readonly Admission[]): readonly Span[] {
  const counted = admissions.filter(({ used }) => used).sort((a, b) => a.afterMs - b.afterMs);
  return counted.map(({ afterMs: end }, last) => {
    let admitted = 0;
    for (let i = last; i >= 0; i--) {
      const admission = counted[i];
      if (admission === undefined || admission.afterMs <= end - windowMs) break;
      if (admission.beforeMs > end - windowMs) admitted += amountOf(limit, admission);
    }
    return { fromMs: end - windowMs, toMs: end, admitted };
  });
}

function amountOf({ unit }: Limit, { tokens }: Admission): number {
  return unit === 'Tokens' ? tokens : unit === 'USD' ? tokens * TOKEN_NANO_USD : 1;
}

/** Of each period, what surely lies inside. */
function periods(
  limit: Limit,
  calendar: NonNullable<Limit['calendar']>,
  admissions: readonly Admission[],
  wallAheadMs: number,
): readonly Span[] {
  const sums = new Map<number, Span>();
  for (const admission of admissions) {
    const { startMs, endMs } = periodAt(calendar, admission.afterMs + wallAheadMs);
    const [fromMs, toMs] = [startMs - wallAheadMs, endMs - wallAheadMs];
    if (!admission.used || admission.beforeMs < fromMs) continue;
    sums.set(startMs, { fromMs, toMs, admitted: (sums.get(startMs)?.admitted ?? 0) + amountOf(limit, admission) });
  }
  return [...sums.values()];
}

/** Requests that were surely under way at once: from when each was known to be admitted until just before it gave its place back. */
function underWay(admissions: readonly Admission[]): readonly Span[] {
  const moments = admissions
    .filter(({ afterMs, endMs }) => endMs > afterMs)
    .flatMap(({ afterMs, endMs }) => [
      { atMs: afterMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let admitted = 0;
  return moments.map(({ atMs, by }) => {
    admitted += by;
    return { fromMs: atMs, toMs: atMs, admitted };
  });
}
