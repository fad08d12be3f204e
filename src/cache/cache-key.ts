import { hash } from 'node:crypto';
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { digestOf } from '../routetable/digest.ts';
import type { Route } from '../routetable/types.ts';
import { canonicalBody } from './canonical.ts';
import { isRepeatable } from './repeatable.ts';

/** A route's `cache`, ready for requests. */
export interface RouteCache {
  readonly ttlMs: number;
  readonly scope: 'APIKey' | 'Tenant' | 'Route';
  /**
   * Of all that makes an answer what it is: the targets without their credentials, limits and weights. So an answer outlives the
   * rotation of a key, and not a change of the model.
   */
  readonly fingerprint: string;
}

export function routeCache(route: Route): RouteCache | null {
  if (route.cache === undefined) return null;
  const targets = route.targets.map((target) => {
    const { name, provider, upstreamId, model, apiVersion, headers, defaults, override, unsupported } = target;
    return { name, provider, upstreamId, model, apiVersion, headers, defaults, override, unsupported };
  });
  return { ...route.cache, fingerprint: digestOf(targets) };
}

export interface CacheableRequest {
  readonly routeId: string;
  /** Who asks. */
  readonly tenant: string;
  readonly keyId: string;
  /** Of the rule that the request matched: another one may have better models. */
  readonly rule: string;
  readonly body: Pick<ParsedBody, 'operation' | 'model' | 'bytes' | 'json'>;
  /** Request headers that reach the upstream and switch something on there, in a fixed order; undefined: not sent. */
  readonly switches: readonly (string | undefined)[];
}

/** The same for two requests exactly where one's answer may be the other's; null: nobody's may. */
export function cacheKey(cache: Omit<RouteCache, 'ttlMs'>, request: CacheableRequest): string | null {
  const { body } = request;
  if (!isRepeatable(body)) return null;
  const canonical = canonicalBody(body);
  if (canonical === null) return null;
  const whose = { APIKey: [request.tenant, request.keyId], Tenant: [request.tenant], Route: [] }[cache.scope];
  const parts = [
    [cache.scope, ...whose],
    request.routeId,
    cache.fingerprint,
    request.rule,
    body.operation,
    body.model,
    request.switches.map((value) => value ?? null),
    canonical,
  ];
  return hash('sha256', JSON.stringify(parts), 'base64url');
}
