/** The routes of a measurement: fifty teams', each with a model name of its own. */
import type { Api } from './api.ts';

const TEAMS = 50;

export const teamOf = (name: string): string => `team-${Number(name.split('-')[1]) % TEAMS}`;
export const pathOf = (name: string): string => `/apis/fairlead.dev/v1alpha1/namespaces/${teamOf(name)}/llmroutes`;

export function route(name: string, upstreamPort: number): unknown {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name, namespace: teamOf(name) },
    spec: {
      modelNames: [name],
      models: ['main', 'other'].map((model) => ({
        name: model,
        provider: { type: 'OpenAICompatible', openAICompatible: { model: name, baseURL: `http://127.0.0.1:${upstreamPort}/v1` } },
        auth: { type: 'None' },
        pricing: { input: '2.5', output: '10' },
      })),
      rules: [
        { name: 'streams', matches: [{ stream: true }], targets: [{ model: 'main' }, { model: 'other', priority: 1 }] },
        {
          name: 'default',
          targets: [
            { model: 'main', weight: 80 },
            { model: 'other', weight: 20 },
          ],
        },
      ],
      access: { from: 'All' },
      rateLimits: [{ name: 'rpm', per: ['APIKey'], unit: 'Requests', limit: 600_000, window: '1m' }],
    },
  };
}

/** As large as the README's. */
export function readmeRoute(name: string, upstreamPort: number, edit = 0): unknown {
  const secret = (of: string): unknown => ({ type: 'APIKey', apiKey: { secretKeyRef: { name: of, key: 'api-key' } } });
  const local = { model: name, baseURL: `http://127.0.0.1:${upstreamPort}/v1` };
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name, namespace: teamOf(name) },
    spec: {
      modelNames: [name, `gpt-${name}*`],
      models: [
        {
          name: 'azure',
          provider: {
            type: 'AzureOpenAI',
            azureOpenAI: { endpoint: `https://${teamOf(name)}.openai.azure.com`, deployment: 'gpt-4o', apiVersion: '2024-10-21' },
          },
          auth: secret('azure-openai'),
          capacity: { concurrency: 64 },
          pricing: { input: '2.50', output: '10.00' },
        },
        {
          name: 'openai',
          provider: { type: 'OpenAI', openAI: { model: 'gpt-4o' } },
          auth: secret('openai'),
          pricing: { input: '2.50', output: '10.00' },
        },
        { name: 'local', provider: { type: 'OpenAICompatible', openAICompatible: local }, auth: { type: 'None' } },
      ],
      rules: [
        {
          name: 'private',
          matches: [{ headers: [{ name: 'x-data', value: 'private' }] }],
          targets: [{ model: 'local' }],
        },
        {
          name: 'default',
          targets: [
            { model: 'azure', priority: 0, weight: 80 },
            { model: 'openai', priority: 0, weight: 20 },
            { model: 'local', priority: 1 },
          ],
          failover: { timeouts: { firstToken: '20s' }, contentFilter: { mode: 'Failover', targets: ['openai'] } },
        },
      ],
      access: { from: 'All' },
      rateLimits: [{ name: 'tenant-tpm', per: ['Tenant'], unit: 'Tokens', limit: 200_000 + edit, window: '1m' }],
    },
  };
}

/** Namespaces and, where `secret` is given, the Secrets that the README's routes name. */
export async function makeTeams(api: Api, secret?: string): Promise<void> {
  const named = (kind: string, name: string, namespace?: string): unknown => ({
    apiVersion: 'v1',
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    ...(kind === 'Secret' ? { stringData: { 'api-key': secret } } : {}),
  });
  for (let team = 0; team < TEAMS; team++) {
    await api.create('/api/v1/namespaces', named('Namespace', `team-${team}`));
    if (secret === undefined) continue;
    for (const name of ['azure-openai', 'openai'])
      await api.create(`/api/v1/namespaces/team-${team}/secrets`, named('Secret', name, `team-${team}`));
  }
}
