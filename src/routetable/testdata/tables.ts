/** Small tables for tests of how they travel. */
import { SecretValue } from '../../lib/secret.ts';
import { digestOf } from '../digest.ts';
import { tableDigest } from '../parts.ts';
import { byText } from '../order.ts';
import { ROUTE_TABLE_VERSION, type ClientKey, type Endpoints, type GatewaySettings, type Route, type RouteTable } from '../types.ts';

export const GATEWAY = { namespace: 'fairlead-system', name: 'default' };

/** `flavour` is what makes two versions of one route differ. */
export function routeEntry(id: string, flavour: string | number = 0, baseUrl = 'https://api.openai.com/v1'): Route {
  const [namespace = '', name = ''] = id.split('/');
  const body: Omit<Route, 'digest'> = {
    id,
    namespace,
    name,
    modelNames: [{ value: name, wildcard: false }],
    access: { from: 'All' },
    targets: [
      {
        name: 'main',
        provider: 'OpenAICompatible',
        upstreamId: `${baseUrl}#${flavour}`,
        credentialId: `${baseUrl}#${flavour}@1`,
        baseUrl,
        trusted: true,
        model: String(flavour),
        apiVersion: null,
        credential: { header: 'authorization', value: new SecretValue(`sk-canary-${id}-${flavour}`) },
        tls: null,
        headers: [],
        defaults: [],
        override: [],
        unsupported: 'Reject',
        capacity: { requestsPerMinute: null, tokensPerMinute: null, concurrency: null },
        pricing: null,
        capabilities: { tools: null, jsonSchema: null, vision: null, contextTokens: null, maxOutputTokens: null },
      },
    ],
    rules: [
      {
        name: 'default',
        matches: [],
        targets: [{ target: 0, priority: 0, weight: 1 }],
        strategy: 'Weighted',
        failover: {
          maxAttempts: 3,
          timeouts: { connectMs: 2_000, firstTokenMs: 60_000, idleMs: 120_000, totalMs: 600_000 },
          reasons: ['Timeout'],
          contentFilter: null,
          contextOverflow: null,
        },
      },
    ],
    limits: [],
  };
  return { digest: digestOf(body), ...body };
}

/** `addresses`: as many pods. */
export function endpointsEntry(id: string, addresses: number): Endpoints {
  const body: Omit<Endpoints, 'digest'> = {
    id,
    addresses: Array.from({ length: addresses }, (_, index) => `10.1.0.${index + 1}:8000`),
    fallback: '10.96.0.9:8000',
  };
  return { digest: digestOf(body), ...body };
}

export function keyEntry(number: number, tenant = 'team-a'): ClientKey {
  const body: Omit<ClientKey, 'digest'> = {
    sha256: number.toString(16).padStart(64, '0'),
    id: `team-a/key-${number}`,
    namespace: 'team-a',
    tenant,
    platform: false,
    models: null,
    expiresAtMs: null,
  };
  return { digest: digestOf(body), ...body };
}

export function settingsEntry(change: Partial<GatewaySettings> = {}): GatewaySettings {
  const body: Omit<GatewaySettings, 'digest'> = {
    port: 8080,
    maxRequestBytes: 1_000_000,
    tls: null,
    clientAuth: 'None',
    upstreamAllow: [],
    drainTimeoutMs: 1_000,
    maxConnectionAgeMs: 600_000,
    requestLog: 'Off',
    redis: null,
    prices: [],
    ...change,
  };
  return { digest: digestOf(body), ...body };
}

export function tableOf(
  routes: readonly Route[],
  clientKeys: readonly ClientKey[] = [],
  settings: GatewaySettings = settingsEntry(),
  endpoints: readonly Endpoints[] = [],
): RouteTable {
  const sortedRoutes = routes.toSorted((a, b) => byText(a.id, b.id));
  const sortedKeys = clientKeys.toSorted((a, b) => byText(a.sha256, b.sha256));
  const sortedEndpoints = endpoints.toSorted((a, b) => byText(a.id, b.id));
  return {
    version: ROUTE_TABLE_VERSION,
    gateway: GATEWAY,
    settings,
    clientKeys: sortedKeys,
    routes: sortedRoutes,
    endpoints: sortedEndpoints,
    digest: tableDigest(GATEWAY, settings, { clientKeys: sortedKeys, endpoints: sortedEndpoints, routes: sortedRoutes }),
  };
}

/** `count` routes of as many teams as there are hundreds. */
export function manyRoutes(count: number): Route[] {
  return Array.from({ length: count }, (_, index) => routeEntry(`team-${Math.floor(index / 100)}/route-${index}`));
}
