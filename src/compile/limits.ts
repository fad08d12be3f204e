/** A route's limits → those of the table. */
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { isTimeZone } from '../lib/calendar.ts';
import { parseDurationMs } from '../lib/duration.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { parseNanoUsd } from '../lib/money.ts';
import { byText } from '../routetable/order.ts';
import type { Limit, LimitScope } from '../routetable/types.ts';
import type { TargetIndex } from './rules.ts';

type LimitSpec = NonNullable<LLMRoute['spec']['rateLimits']>[number];

/** By name. Of a model that cannot be served nothing is downgraded to: such a request is refused. */
export function compileLimits(specs: readonly LimitSpec[], targets: TargetIndex): readonly Limit[] {
  return specs
    .map(({ onExceeded, calendar, window, ...spec }): Limit => {
      const downgradeTo = onExceeded.action === 'Downgrade' ? targets.get(onExceeded.to ?? '') : undefined;
      return {
        name: spec.name,
        per: compileScopes(spec),
        unit: spec.unit,
        limit: amountOf(spec.limit),
        windowMs: window === undefined ? null : durationMs(window),
        ...(calendar === undefined ? {} : { calendar: { period: calendar.period, timeZone: calendar.timeZone } }),
        ...(downgradeTo === undefined ? {} : { downgradeTo }),
      };
    })
    .sort((a, b) => byText(a.name, b.name));
}

/** What the schema cannot tell: each keeps its route from being served, because a limit must not go unenforced. */
export function limitFaults(specs: readonly LimitSpec[], path = 'spec.rateLimits'): readonly Issue[] {
  return specs.flatMap(({ calendar }, index) =>
    calendar === undefined || isTimeZone(calendar.timeZone)
      ? []
      : [
          issue(
            `${path}[${index}].calendar.timeZone`,
            'InvalidSpec',
            `${JSON.stringify(calendar.timeZone)} is no time zone that is known here: write an IANA name like "Europe/Rome"`,
          ),
        ],
  );
}

function compileScopes({ per, header }: Pick<LimitSpec, 'per' | 'header'>): readonly LimitScope[] {
  return [...per].sort(byText).flatMap((kind): LimitScope[] => {
    if (kind !== 'Header') return [{ kind }];
    return header === undefined ? [] : [{ kind, name: header.name.toLowerCase(), maxValues: header.maxValues }];
  });
}

/** USD is written as a string. */
function amountOf(limit: LimitSpec['limit']): number {
  if (typeof limit === 'number') return limit;
  const parsed = parseNanoUsd(limit);
  if (!parsed.ok) throw new Error(`past the schema: ${parsed.error}`);
  return parsed.value;
}

/** The schema has seen to it that this is a duration. */
function durationMs(text: string): number {
  const parsed = parseDurationMs(text);
  if (!parsed.ok) throw new Error(`past the schema: ${parsed.error}`);
  return parsed.value;
}
