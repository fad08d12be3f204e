/** Objects for tests: one of each kind that uses every part of the API. Written as a user writes them, defaults left out. */

export interface Draft {
  [key: string]: unknown;
}

export function fullRoute(): Draft {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: 'team-a' },
    spec: {
      parentRefs: [{ name: 'default', namespace: 'fairlead-system' }],
      modelNames: ['chat', 'gpt-4o*'],
      access: { from: 'Tenants', tenants: ['team-b'] },
      models: [
        {
          name: 'azure',
          provider: { type: 'AzureOpenAI', azureOpenAI: { endpoint: 'https://team-a.openai.azure.com', deployment: 'gpt-4o', apiVersion: '2024-10-21' } },
          auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: 'azure-openai' } } },
          capacity: { requestsPerMinute: 1800, tokensPerMinute: 300_000, concurrency: 64 },
          pricing: { input: '2.50', cachedInput: '1.25', output: '10' },
          capabilities: { tools: true, jsonSchema: true, vision: true, contextTokens: 128_000, maxOutputTokens: 16_384 },
          tls: { caRef: { name: 'ca' }, serverName: 'azure.example.com' },
          headers: [{ name: 'x-project', value: 'chat' }],
          defaults: { temperature: 0.2, stop: null },
          override: { store: false },
        },
        { name: 'shared', backendRef: { name: 'gpt-4o-swedencentral', namespace: 'platform' } },
        { name: 'claude', provider: { type: 'Anthropic' }, auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: 'anthropic', key: 'key' }, header: 'x-api-key' } } },
        { name: 'llama', provider: { type: 'OpenAICompatible', openAICompatible: { model: 'llama-3.1-8b', serviceRef: { name: 'vllm', port: 8000 } } }, auth: { type: 'None' } },
      ],
      rules: [
        {
          name: 'interactive',
          matches: [{ headers: [{ name: 'x-tier', value: 'gold' }] }, { stream: true, minPromptTokens: 8000 }],
          targets: [{ model: 'azure' }, { model: 'shared', priority: 1, weight: 80 }, { model: 'claude', priority: 1, weight: 20 }],
          selection: { strategy: 'LeastBusy' },
          constraints: { maxTimeToFirstToken: { value: '800ms' }, minOutputTokensPerSecond: 30, maxCostPerRequest: '0.02' },
          failover: {
            timeouts: { connect: '1s' },
            contentFilter: { mode: 'Failover', targets: ['claude'] },
            contextOverflow: { mode: 'Failover', targets: ['claude'] },
            hedge: {},
          },
          structuredOutput: {},
          sessionAffinity: { header: 'x-session-id' },
          mirror: { model: 'llama', percent: 1 },
        },
        {
          name: 'default',
          targets: [{ model: 'llama' }, { model: 'azure' }],
          selection: {
            strategy: 'Learned',
            learned: {
              scorer: { type: 'Lexical', lexical: { artifactRef: { name: 'chat-router' } } },
              objective: { type: 'QualityFloor', qualityFloor: '0.95', of: 'azure' },
              onError: { use: 'azure' },
            },
          },
        },
      ],
      rateLimits: [
        { name: 'rpm', per: ['APIKey'], unit: 'Requests', limit: 600, window: '1m' },
        { name: 'inflight', per: ['Tenant'], unit: 'Concurrency', limit: 32 },
        { name: 'team', per: ['Header'], header: { name: 'x-team' }, unit: 'Tokens', limit: 200_000, window: '1h' },
        { name: 'usd', per: ['Tenant'], unit: 'USD', limit: '500', calendar: { period: 'Month', timeZone: 'Europe/Rome' }, onExceeded: { action: 'Downgrade', to: 'llama' } },
      ],
      cache: {},
    },
  };
}

export function fullGateway(): Draft {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace: 'fairlead-system', annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
    spec: {
      autoscaling: { minReplicas: 3, maxReplicas: 30, keda: { inFlightStreams: 500 } },
      resources: { requests: { cpu: '100m', memory: '256Mi' }, limits: { cpu: 2 } },
      listener: { maxRequestBytes: 33_554_432, tls: { secretRef: { name: 'gateway-tls' } } },
      prices: { configMapRef: { name: 'prices' } },
      redis: { mode: 'Sentinel', sentinel: { masterName: 'mymaster' }, addressRef: { name: 'redis' }, tls: { caRef: { name: 'redis-ca' }, serverName: 'redis.example.com' } },
      clientAuth: { type: 'JWT', jwt: { issuer: 'https://login.example.com', jwksURL: 'https://login.example.com/keys' } },
      allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'env', operator: 'In', values: ['prod'] }] } } },
      upstreams: { allow: ['10.20.0.0/16', '*.internal.example.com'] },
      podTemplate: { tolerations: [{ key: 'gpu', operator: 'Exists' }] },
    },
  };
}

export function fullBackend(): Draft {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMBackend',
    metadata: { name: 'gpt-4o-swedencentral', namespace: 'platform' },
    spec: {
      provider: { type: 'AzureOpenAI', azureOpenAI: { endpoint: 'https://platform.openai.azure.com' } },
      auth: { type: 'Entra' },
      capacity: { tokensPerMinute: 300_000 },
      unsupported: 'Drop',
    },
  };
}

export function fullQuota(): Draft {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMQuota',
    metadata: { name: 'fair-use', namespace: 'fairlead-system' },
    spec: {
      targetRefs: [{ kind: 'LLMGateway', name: 'default' }, { kind: 'LLMRoute', name: 'chat', namespace: 'team-a' }],
      limits: [
        { name: 'tenant-tpd', per: ['Tenant'], unit: 'Tokens', limit: 50_000_000, window: '24h' },
        { name: 'inflight', per: ['APIKey'], unit: 'Concurrency', limit: 32, onExceeded: { action: 'Reject' } },
        { name: 'team', per: ['Route', 'Header'], header: { name: 'x-team' }, unit: 'Requests', limit: 600, window: '1m' },
        { name: 'month', unit: 'USD', limit: '500', calendar: { period: 'Month', timeZone: 'Europe/Rome' } },
      ],
    },
  };
}

/** Sets (or with `undefined` takes away) what is at `path`, e.g. `spec.rules.0.name`. */
export function withValue(draft: Draft, path: string, value: unknown): Draft {
  const copy = structuredClone(draft);
  const segments = path.split('.');
  const last = segments.pop() ?? '';
  let at = copy;
  for (const segment of segments) at = at[segment] as Draft;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}
