import { allowedPart } from '../auth/client-keys.ts';
import { type Calendar, periodAt } from '../lib/calendar.ts';
import { formatDuration } from '../lib/duration.ts';
import { formatUsd } from '../lib/money.ts';
import type { LimitedRequest, LimitUse } from '../limits/limiter.ts';
import type { Limit, LimitScope, Route } from '../routetable/types.ts';
import type { RequestContext } from './request-context.ts';

/** Names for which limits by model are told, of all that a key may use. */
const MAX_MODELS = 100;

/** One limit that counts the caller. Money is a decimal string. */
interface ToldLimit {
  readonly name: string;
  /** Whose it is, or, of a quota's limit that counts each route by itself, which one it is of. */
  readonly route?: string;
  /** `namespace/name` of the LLMQuota whose it is, counted over all routes that the quota limits. */
  readonly quota?: string;
  readonly scope: readonly LimitScope['kind'][];
  /** Where it is counted by model. */
  readonly model?: string;
  readonly unit: Limit['unit'];
  readonly window?: string;
  readonly calendar?: Calendar;
  readonly limit: number | string;
  readonly used: number | string;
  readonly remaining: number | string;
  /** When nothing of it is used any more, were nothing else to come; null: nothing is, or (Concurrency) nobody knows. */
  readonly resetsAt: string | null;
}

/** GET /v1/usage: what the caller's key has used and has left, by limit, across the routes that it may use. Takes nothing of any. */
export async function usageOf(context: RequestContext): Promise<Buffer> {
  const { core } = context;
  const told: ToldLimit[] = [];
  const seen = new Set<object>();
  const asked = await Promise.all(
    [...modelsByRoute(context)].flatMap(([route, models]) =>
      models.map(async (model) => ({ route, model, uses: await core.limiter.look(new Caller(context, route, model)) })),
    ),
  );
  for (const { route, model, uses } of asked) {
    for (const use of uses) {
      // Several names lead to one counter, where it does not count by name.
      if (seen.has(use.counter)) continue;
      seen.add(use.counter);
      told.push(toldLimit(route, model, use, core.clock.wallMs()));
    }
  }
  return Buffer.from(JSON.stringify({ object: 'list', limits: told }));
}

/** One name is enough for a route that has no limit by model. Of a wildcard the prefix stands for the names behind it. */
function modelsByRoute({ table, caller }: RequestContext): ReadonlyMap<Route, readonly string[]> {
  const models = new Map<Route, string[]>();
  let count = 0;
  for (const listed of table.names.list(caller)) {
    const { route } = listed;
    if (route.limits.length === 0) continue;
    const known = models.get(route) ?? [];
    const byModel = route.limits.some(({ per }) => per.some(({ kind }) => kind === 'Model'));
    if (known.length > 0 && (!byModel || count >= MAX_MODELS)) continue;
    const [name] = allowedPart(caller, listed);
    if (name === undefined) continue;
    models.set(route, [...known, name.value]);
    count++;
  }
  return models;
}

function toldLimit(route: Route, model: string, { definition, remaining, resetMs }: LimitUse, wallMs: number): ToldLimit {
  const { name, unit, limit, per, windowMs, calendar, quota } = definition;
  const scope = per.map(({ kind }) => kind);
  const left = Math.min(limit, Math.max(0, Math.floor(remaining)));
  const amount = (value: number): number | string => (unit === 'USD' ? formatUsd(value) : value);
  const resetsAtMs = calendar === undefined ? (resetMs === 0 ? null : wallMs + resetMs) : periodAt(calendar, wallMs).endMs;
  return {
    name,
    ...(quota === undefined ? {} : { quota }),
    ...(quota === undefined || scope.includes('Route') ? { route: route.id } : {}),
    scope,
    ...(scope.includes('Model') ? { model } : {}),
    unit,
    ...(windowMs === null ? {} : { window: formatDuration(windowMs) }),
    ...(calendar === undefined ? {} : { calendar }),
    limit: amount(limit),
    used: amount(limit - left),
    remaining: amount(left),
    resetsAt: resetsAtMs === null || unit === 'Concurrency' ? null : new Date(resetsAtMs).toISOString(),
  };
}

/** The caller, as a request of its own for this model would be counted; the headers are those of the question. */
class Caller implements LimitedRequest {
  readonly routeId: string;
  readonly limits: readonly Limit[];
  readonly apiKeyId: string;
  readonly tenant: string;
  readonly model: string;
  readonly tokens = 0;
  readonly #context: RequestContext;

  constructor(context: RequestContext, route: Route, model: string) {
    this.routeId = route.id;
    this.limits = route.limits;
    this.apiKeyId = context.caller.keyId;
    this.tenant = context.caller.tenant;
    this.model = model;
    this.#context = context;
  }

  header(name: string): string | undefined {
    return this.#context.exchange.headers[name];
  }
}
