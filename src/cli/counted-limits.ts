/** The limits that count a request: its route's own, and those of LLMQuotas, which are named `namespace/quota/limit`. */
import { formatDuration } from '../lib/duration.ts';
import { formatUsd } from '../lib/money.ts';
import type { Limit, Route } from '../routetable/types.ts';

export interface CountedLimit {
  readonly name: string;
  /** `namespace/name` of an LLMQuota; null: the route's own. */
  readonly quota: string | null;
  /** Money is a decimal string. */
  readonly limit: number | string;
  readonly unit: Limit['unit'];
  /** `1m`, or a period of the calendar with its time zone, `Month (Europe/Rome)`; null for Concurrency. */
  readonly in: string | null;
  /** Counted separately for each combination. */
  readonly per: readonly string[];
}

export function countedLimits({ limits }: Route): readonly CountedLimit[] {
  return limits.map(({ name, quota, unit, limit, windowMs, calendar, per }) => ({
    name,
    quota: quota ?? null,
    limit: unit === 'USD' ? formatUsd(limit) : limit,
    unit,
    in:
      calendar !== undefined ? `${calendar.period} (${calendar.timeZone})` : windowMs === null ? null : formatDuration(windowMs),
    per: per.map((scope) => (scope.kind === 'Header' ? `Header ${scope.name}` : scope.kind)),
  }));
}

/** `platform/fair/tenant: 3 Requests in 1h, for each Tenant` */
export function countedLimitText({ name, limit, unit, in: span, per }: CountedLimit): string {
  return `${name}: ${limit} ${unit}${span === null ? '' : ` in ${span}`}${per.length === 0 ? '' : `, for each ${per.join(' and ')}`}`;
}
