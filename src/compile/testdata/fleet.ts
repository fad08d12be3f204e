/**
 * Many routes as a large company has them: fifty teams, a Secret each route, every tenth on a shared backend, a thousand client keys, a quota
 * over all of it and one over a route of each team.
 */
import { parseObject, type ApiObject } from '../../api/parse.ts';
import { snapshotOf, type CompileOptions, type Snapshot } from '../snapshot.ts';

export const FLEET_OPTIONS: CompileOptions = { resolveService: 'Cluster', loopbackAllowed: false };

const TEAMS = 50;

export function fleet(routes: number): Snapshot {
  const objects: ApiObject[] = [
    parsed({ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMGateway', metadata: { name: 'default', namespace: 'fairlead-system', annotations: { 'fairlead.dev/is-default-gateway': 'true' } } }),
    parsed({ apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMBackend', metadata: { name: 'shared', namespace: 'platform' }, spec: { provider: { type: 'OpenAI' }, auth: { type: 'None' } } }),
  ];
  objects.push(parsed(quotaOf('fairlead-system', { kind: 'LLMGateway', name: 'default' })));
  for (let team = 0; team < TEAMS; team++) {
    objects.push(
      parsed(quotaOf(`team-${team}`, { kind: 'LLMRoute', name: `route-${team}` })),
      parsed({
        apiVersion: 'gateway.networking.k8s.io/v1beta1',
        kind: 'ReferenceGrant',
        metadata: { name: `team-${team}`, namespace: 'platform' },
        spec: { from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: `team-${team}` }], to: [{ group: 'fairlead.dev', kind: 'LLMBackend' }] },
      }),
    );
  }
  for (let index = 0; index < routes; index++) {
    const namespace = `team-${index % TEAMS}`;
    objects.push(
      parsed({ apiVersion: 'v1', kind: 'Secret', metadata: { name: `provider-${index}`, namespace }, stringData: { 'api-key': `sk-${index}` } }),
      parsed(routeOf(index, namespace)),
    );
    if (index % 5 === 0) {
      const labels = { 'fairlead.dev/api-key': 'true' };
      objects.push(parsed({ apiVersion: 'v1', kind: 'Secret', metadata: { name: `key-${index}`, namespace, labels }, stringData: { sha256: index.toString(16).padStart(64, '0') } }));
    }
  }
  return snapshotOf(objects);
}

function quotaOf(namespace: string, target: unknown): unknown {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMQuota',
    metadata: { name: 'fair', namespace, generation: 1 },
    spec: { targetRefs: [target], limits: [{ name: 'tenant-tpd', per: ['Tenant'], unit: 'Tokens', limit: 50_000_000, window: '24h' }] },
  };
}

function routeOf(index: number, namespace: string): unknown {
  const auth = { type: 'APIKey', apiKey: { secretKeyRef: { name: `provider-${index}` } } };
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: `route-${index}`, namespace, generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {
      modelNames: [`chat-${index}`, `gpt-${index}*`],
      models: [
        { name: 'main', provider: { type: 'AzureOpenAI', azureOpenAI: { endpoint: `https://a${index}.openai.azure.com`, deployment: 'gpt-4o', apiVersion: '2024-10-21' } }, auth, pricing: { input: '2.5', output: '10' } },
        { name: 'other', provider: { type: 'OpenAI', openAI: { model: 'gpt-4o' } }, auth, capabilities: { tools: true, contextTokens: 128_000 } },
        ...(index % 10 === 0 ? [{ name: 'shared', backendRef: { name: 'shared', namespace: 'platform' } }] : []),
      ],
      rules: [
        { name: 'streams', matches: [{ stream: true }], targets: [{ model: 'main' }, { model: 'other', priority: 1 }] },
        { name: 'default', targets: [{ model: 'main', weight: 80 }, { model: 'other', weight: 20 }], failover: { contentFilter: { mode: 'Failover', targets: ['other'] } } },
      ],
      rateLimits: [{ name: 'rpm', per: ['APIKey'], unit: 'Requests', limit: 600, window: '1m' }],
    },
  };
}

function parsed(value: unknown): ApiObject {
  const result = parseObject(value);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
