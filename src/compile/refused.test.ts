import { describe, expect, it } from '@jest/globals';

import { parseObject } from '../api/parse.ts';
import { withValue, type Draft } from '../api/testdata/fixtures.ts';
import { decode, encode } from '../routetable/codec.ts';
import { compile } from './compile.ts';
import { snapshotOf } from './snapshot.ts';

const API = 'fairlead.dev/v1alpha1';

const GATEWAY: Draft = {
  apiVersion: API,
  kind: 'LLMGateway',
  metadata: { name: 'default', namespace: 'default', annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
  spec: {
    upstreams: { allow: ['llm.internal', '10.0.0.0/8'] },
    redis: {
      mode: 'Sentinel',
      addressRef: { name: 'redis', key: 'url' },
      sentinel: { masterName: 'master' },
      tls: { serverName: 'redis.internal' },
    },
  },
};

const SECRETS = [
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'redis' }, stringData: { url: 'rediss://redis.internal:6379' } },
  {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'key', namespace: 'team', labels: { 'fairlead.dev/api-key': 'true' } },
    stringData: { sha256: 'a'.repeat(64), expires: '1969-12-31T00:00:00Z' },
  },
];

const PROVIDERS = [
  { type: 'OpenAI', openAI: { model: 'm', baseURL: 'https://llm.example.com/v1' } },
  {
    type: 'AzureOpenAI',
    azureOpenAI: { endpoint: 'https://a.openai.azure.com', deployment: 'd', model: 'm', apiVersion: '2024-10-21' },
  },
  { type: 'VertexAI', vertexAI: { project: 'p', location: 'global', model: 'm' } },
  { type: 'Bedrock', bedrock: { region: 'eu-west-1', model: 'm' } },
  { type: 'OpenAICompatible', openAICompatible: { model: 'm', serviceRef: { name: 's', port: 80, path: '/v1' } } },
];

function routeWith(provider: unknown): Draft {
  return {
    apiVersion: API,
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: 'team' },
    spec: {
      access: { from: 'Tenants', tenants: ['blue'] },
      modelNames: ['chat'],
      models: [
        {
          name: 'm',
          provider,
          auth: { type: 'None' },
          tls: { serverName: 'llm.example.com' },
          headers: [{ name: 'x-a', value: 'v' }],
          defaults: { user: 'u' },
        },
        { name: 'other', provider: { type: 'OpenAI' }, auth: { type: 'None' } },
      ],
      rules: [
        { name: 'default', matches: [{ tenant: 'blue', path: '/v1/chat/completions' }], targets: [{ model: 'm' }] },
        { name: 'rest', targets: [{ model: 'other' }] },
      ],
    },
  };
}

/** Paths of all texts in a value, as `withValue` takes them. */
function textPaths(value: unknown, path: string): readonly string[] {
  if (typeof value === 'string') return [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => textPaths(member, `${path}.${key}`));
}

/** What a pod says of the tables that these compile to; nothing where parse refuses one of them. */
function refusalsOf(...drafts: readonly unknown[]): readonly string[] {
  const parsed = [...drafts, ...SECRETS].map(parseObject);
  const objects = parsed.flatMap((found) => (found.ok ? [found.value] : []));
  if (objects.length < parsed.length) return [];
  const { tables, faults } = compile(snapshotOf(objects), { resolveService: 'Cluster', loopbackAllowed: false });
  expect(faults).toEqual([]);
  return [...tables.values()].flatMap((table) => {
    const decoded = decode(JSON.parse(encode(table)));
    return decoded.ok ? decoded.value.refused.map(({ reason }) => reason) : [decoded.error];
  });
}

describe('what pods are given', () => {
  // A refused entry keeps the gateway from being programmed: no tenant's text may bring that about.
  it.each(['a\nb', 'gpt-4o\n', '\u0001', '?', '#', '/', '..', ' ', 'é', '%', '-', '.'])(
    'is nothing that they refuse, with %j in any field',
    (odd) => {
      for (const provider of PROVIDERS) {
        const route = routeWith(provider);
        for (const path of textPaths(route['spec'], 'spec'))
          expect({ path, refused: refusalsOf(GATEWAY, withValue(route, path, odd)) }).toEqual({ path, refused: [] });
      }
      for (const path of textPaths(GATEWAY['spec'], 'spec'))
        expect({ path, refused: refusalsOf(withValue(GATEWAY, path, odd)) }).toEqual({ path, refused: [] });
    },
  );

  it('is the rest of a route, and its status names the field', () => {
    const route = withValue(routeWith(PROVIDERS[0]), 'spec.models.0.provider.openAI.model', 'gpt-4o\n');
    const objects = [GATEWAY, route, ...SECRETS].flatMap((draft) => {
      const parsed = parseObject(draft);
      return parsed.ok ? [parsed.value] : [];
    });
    const { tables, statuses } = compile(snapshotOf(objects), { resolveService: 'Cluster', loopbackAllowed: false });
    expect(tables.get('default/default')?.routes[0]?.targets.map(({ name }) => name)).toEqual(['other']);
    expect(statuses.get('LLMRoute/team/chat')?.unresolved[0]).toMatchObject({
      path: 'spec.models[0].provider.openAI.model',
      reason: 'InvalidSpec',
    });
  });
});
