import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { formatIssue } from '../lib/issue.ts';
import { KINDS, objectSchema } from './crd.ts';
import { fullBackend, fullGateway, fullRoute, withValue, type Draft } from './fixtures.ts';
import { parseObject } from './parse.ts';
import type { StructuralSchema } from './structural.ts';
import { parseYamlDocuments } from './yaml.ts';

const route = fullRoute();
const gateway = fullGateway();
const backend = fullBackend();

function issuesOf(value: unknown): string[] {
  const parsed = parseObject(value);
  return parsed.ok ? [] : parsed.error.map(formatIssue);
}

/** Base, path, value there, the issue that must be among those reported. */
type Violation = readonly [Draft, string, unknown, string];

const LEARNED = 'spec.rules.1.selection.learned';
const LIMITS = 'spec.rateLimits';

/** At least one for every CEL rule of the CRDs; a test below holds that. */
const VIOLATIONS: readonly Violation[] = [
  [route, 'spec.modelNames.0', 'a*b', 'spec.modelNames[0]: a model name is exact or ends in one *'],
  [route, 'spec.access.from', 'All', 'spec.access: tenants must be set exactly when from is Tenants'],
  [route, 'spec.access.tenants', undefined, 'spec.access: tenants must be set exactly when from is Tenants'],
  [route, 'spec.models.0.backendRef', { name: 'x' }, 'spec.models[0]: exactly one of backendRef and provider must be set'],
  [route, 'spec.models.1.backendRef', undefined, 'spec.models[1]: exactly one of backendRef and provider must be set'],
  [route, 'spec.models.0.auth', undefined, 'spec.models[0]: auth must be set with provider; write {type: None} where no credential is sent'],
  ...[{ auth: { type: 'None' } }, { defaults: {} }, { unsupported: 'Drop' }].map(
    (more): Violation => [
      route,
      'spec.models.1',
      { name: 'shared', backendRef: { name: 'x' }, ...more },
      "spec.models[1]: with backendRef only name may be set: auth, capacity, pricing, capabilities, tls, headers, defaults, override and unsupported are the LLMBackend's",
    ],
  ),
  [route, 'spec.models.0.provider', { type: 'AzureOpenAI' }, 'spec.models[0].provider: azureOpenAI must be set exactly when type is AzureOpenAI'],
  [route, 'spec.models.0.provider.type', 'VertexAI', 'spec.models[0].provider: vertexAI must be set exactly when type is VertexAI'],
  [route, 'spec.models.0.provider.type', 'Bedrock', 'spec.models[0].provider: bedrock must be set exactly when type is Bedrock'],
  [route, 'spec.models.3.provider.type', 'OpenAI', 'spec.models[3].provider: openAICompatible must be set exactly when type is OpenAICompatible'],
  ...[['openAI', 'OpenAI'], ['anthropic', 'Anthropic'], ['gemini', 'Gemini'], ['mistral', 'Mistral'], ['cohere', 'Cohere']].map(
    ([member = '', type = '']): Violation => [backend, `spec.provider.${member}`, {}, `spec.provider: ${member} may be set only when type is ${type}`],
  ),
  [route, 'spec.models.3.provider.openAICompatible.baseURL', 'http://a', 'spec.models[3].provider.openAICompatible: exactly one of baseURL and serviceRef must be set'],
  [backend, 'spec.auth', { type: 'APIKey' }, 'spec.auth: apiKey must be set exactly when type is APIKey'],
  ...[['aws', 'AWS'], ['gcp', 'GCP']].map(([member = '', type = '']): Violation => [backend, `spec.auth.${member}`, {}, `spec.auth: ${member} may be set only when type is ${type}`]),
  [backend, 'spec.auth', { type: 'None', entra: {} }, 'spec.auth: entra may be set only when type is Entra'],
  [route, 'spec.models.0.tls', {}, 'spec.models[0].tls: at least one of caRef and serverName must be set'],

  [route, 'spec.rules.0.matches', undefined, 'spec.rules: the last rule, and only the last, must have no matches'],
  [route, 'spec.rules.0.matches', [], 'spec.rules: the last rule, and only the last, must have no matches'],
  [route, 'spec.rules.1.matches', [{ tools: true }], 'spec.rules: the last rule, and only the last, must have no matches'],
  [route, 'spec.rules.0.matches', [{}], 'spec.rules[0].matches[0]: a match must have at least one condition; a rule without matches takes every request'],
  [route, 'spec.rules.0.targets.1.model', 'share', 'spec.rules[0].targets[1].model: rules.targets.model must name an entry of spec.models ("share"; did you mean shared?)'],
  [route, 'spec.rules.0.failover.contentFilter.targets', ['x'], 'spec.rules[0].failover.contentFilter.targets[0]: rules.failover.contentFilter.targets must name an entry of spec.models ("x")'],
  [route, 'spec.rules.0.failover.contentFilter.targets', undefined, 'spec.rules[0].failover.contentFilter.targets: targets must be set when mode is Failover'],
  [route, 'spec.rules.0.failover.contextOverflow.targets', ['x'], 'spec.rules[0].failover.contextOverflow.targets[0]: rules.failover.contextOverflow.targets must name an entry of spec.models ("x")'],
  [route, 'spec.rules.0.failover.contextOverflow.targets', undefined, 'spec.rules[0].failover.contextOverflow.targets: targets must be set when mode is Failover'],
  [route, 'spec.rules.0.failover.timeouts.idle', '0s', 'spec.rules[0].failover.timeouts.idle: a duration must be longer than zero'],
  [route, 'spec.rules.0.mirror.model', 'x', 'spec.rules[0].mirror.model: rules.mirror.model must name an entry of spec.models ("x")'],
  [route, 'spec.rules.0.sessionAffinity.ttl', '10ms', 'spec.rules[0].sessionAffinity.ttl: must be at least 1s'],
  [route, 'spec.rules.1.selection.strategy', undefined, 'spec.rules[1].selection: learned must be set exactly when strategy is Learned'],
  [route, 'spec.rules.0.selection', { strategy: 'Learned' }, 'spec.rules[0].selection: learned must be set exactly when strategy is Learned'],
  [route, `${LEARNED}.onError.use`, 'x', 'spec.rules[1].selection.learned.onError.use: rules.selection.learned.onError.use must name an entry of spec.models ("x")'],
  [route, `${LEARNED}.scorer.type`, 'ONNX', 'spec.rules[1].selection.learned.scorer: lexical must be set exactly when type is Lexical'],
  [route, `${LEARNED}.scorer.type`, 'ONNX', 'spec.rules[1].selection.learned.scorer: onnx must be set exactly when type is ONNX'],
  [route, `${LEARNED}.scorer.type`, 'Embedding', 'spec.rules[1].selection.learned.scorer: embedding must be set exactly when type is Embedding'],
  [route, `${LEARNED}.scorer.type`, 'External', 'spec.rules[1].selection.learned.scorer: external must be set exactly when type is External'],
  [route, `${LEARNED}.scorer`, { type: 'External', external: {} }, 'spec.rules[1].selection.learned.scorer.external: exactly one of url and serviceRef must be set'],
  [
    route,
    `${LEARNED}.scorer`,
    { type: 'Embedding', embedding: { model: 'x', artifactRef: { name: 'a' } } },
    'spec.rules[1].selection.learned.scorer.embedding.model: rules.selection.learned.scorer.embedding.model must name an entry of spec.models ("x")',
  ],
  [route, `${LEARNED}.objective.qualityFloor`, undefined, 'spec.rules[1].selection.learned.objective: qualityFloor, of must be set exactly when type is QualityFloor'],
  [route, `${LEARNED}.objective.type`, 'CostTarget', 'spec.rules[1].selection.learned.objective: costShare must be set exactly when type is CostTarget'],
  [route, `${LEARNED}.objective.weak`, 'llama', 'spec.rules[1].selection.learned.objective: threshold, weak, strong must be set exactly when type is Threshold'],
  [route, `${LEARNED}.objective.type`, 'Bands', 'spec.rules[1].selection.learned.objective: bands must be set exactly when type is Bands'],
  [route, `${LEARNED}.objective.of`, 'x', 'spec.rules[1].selection.learned.objective.of: rules.selection.learned.objective.of must name an entry of spec.models ("x")'],
  ...['weak', 'strong'].map(
    (field): Violation => [
      route,
      `${LEARNED}.objective`,
      { type: 'Threshold', threshold: '0.3', weak: 'llama', strong: 'azure', [field]: 'x' },
      `spec.rules[1].selection.learned.objective.${field}: rules.selection.learned.objective.${field} must name an entry of spec.models ("x")`,
    ],
  ),
  [
    route,
    `${LEARNED}.objective`,
    { type: 'Bands', bands: [{ upTo: '0.3', model: 'llama' }, { upTo: '1', model: 'x' }] },
    'spec.rules[1].selection.learned.objective.bands[1].model: rules.selection.learned.objective.bands.model must name an entry of spec.models ("x")',
  ],

  [route, `${LIMITS}.0.calendar`, { period: 'Day' }, 'spec.rateLimits[0]: exactly one of window and calendar must be set; for Concurrency neither'],
  [route, `${LIMITS}.0.window`, undefined, 'spec.rateLimits[0]: exactly one of window and calendar must be set; for Concurrency neither'],
  [route, `${LIMITS}.1.window`, '1m', 'spec.rateLimits[1]: exactly one of window and calendar must be set; for Concurrency neither'],
  [route, `${LIMITS}.0.window`, '999ms', 'spec.rateLimits[0].window: must be at least 1s'],
  [route, `${LIMITS}.0.limit`, '600', 'spec.rateLimits[0].limit: limit must be an integer for Requests, Tokens and Concurrency, and a decimal string like "500" for USD'],
  [route, `${LIMITS}.3.limit`, 500, 'spec.rateLimits[3].limit: limit must be an integer for Requests, Tokens and Concurrency, and a decimal string like "500" for USD'],
  [route, `${LIMITS}.2.header`, undefined, 'spec.rateLimits[2]: header must be set exactly when per has Header'],
  [route, `${LIMITS}.2.per`, undefined, 'spec.rateLimits[2]: header must be set exactly when per has Header'],
  [route, `${LIMITS}.3.onExceeded.to`, undefined, 'spec.rateLimits[3].onExceeded: to must be set exactly when action is Downgrade'],
  [route, `${LIMITS}.3.onExceeded.action`, undefined, 'spec.rateLimits[3].onExceeded: to must be set exactly when action is Downgrade'],
  [route, `${LIMITS}.3.onExceeded.to`, 'lama', 'spec.rateLimits[3].onExceeded.to: rateLimits.onExceeded.to must name an entry of spec.models ("lama"; did you mean llama?)'],

  [gateway, 'spec.replicas', 3, 'spec: replicas and autoscaling exclude each other'],
  [gateway, 'spec.autoscaling.maxReplicas', 2, 'spec.autoscaling: minReplicas must not be above maxReplicas'],
  [gateway, 'spec.redis.mode', undefined, 'spec.redis: sentinel must be set exactly when mode is Sentinel'],
  [gateway, 'spec.clientAuth.type', undefined, 'spec.clientAuth: jwt must be set exactly when type is JWT'],
  [gateway, 'spec.allowedRoutes.namespaces.from', undefined, 'spec.allowedRoutes.namespaces: selector must be set exactly when from is Selector'],
  [
    gateway,
    'spec.allowedRoutes.namespaces.selector.matchExpressions.0.operator',
    'Exists',
    'spec.allowedRoutes.namespaces.selector.matchExpressions[0]: values must be set exactly when operator is In or NotIn',
  ],
];

/** What the schema itself says, not a rule. */
const MALFORMED: readonly Violation[] = [
  [route, 'spec.modelName', ['x'], 'spec.modelName: unknown field "modelName"; did you mean modelNames?'],
  [route, 'spec.rules.0.targets.0.weigth', 1, 'spec.rules[0].targets[0].weigth: unknown field "weigth"; did you mean weight?'],
  [route, 'metadata.foo', 1, 'metadata.foo: unknown field "foo"'],
  [route, 'sepc', {}, 'sepc: unknown field "sepc"; did you mean spec?'],
  [route, 'spec.modelNames', undefined, 'spec.modelNames: is required; it must be a list'],
  [route, 'spec', null, 'spec: is required; it must be an object'],
  [route, 'spec.models', [], 'spec.models: has 0 entries; it must have at least 1'],
  [route, 'spec.rules.0.targets.0.weight', '80', 'spec.rules[0].targets[0].weight: "80" is a string; it must be a number'],
  [route, 'spec.rules.0.matches.0.headers.0.value', true, 'spec.rules[0].matches[0].headers[0].value: true is a boolean; it must be a string; put it in quotes'],
  [route, 'spec.rules.0.selection.strategy', 'leastbusy', 'spec.rules[0].selection.strategy: "leastbusy" is not supported; it must be one of Weighted, RoundRobin, LeastBusy, LowestLatency, LeastCost, Utility or Learned; did you mean LeastBusy?'],
  [route, 'spec.rateLimits.0.window', '1d', 'spec.rateLimits[0].window: "1d" is not a duration like 500ms, 30s, 10m or 24h (there is no unit for days)'],
  [route, 'spec.models.0.pricing.input', '1e-6', 'spec.models[0].pricing.input: "1e-6" is not a decimal string like "0.15" or "500"'],
  [route, 'spec.models.3.name', 'claude', 'spec.models[3].name: Duplicate value: "claude"; each name of this list may occur once'],
  [route, 'spec.modelNames.1', 'chat', 'spec.modelNames[1]: Duplicate value: "chat"; each may occur once'],
  [route, 'spec.rules.0.targets.1.model', 'azure', 'spec.rules[0].targets[1].model: Duplicate value: "azure"; each model of this list may occur once'],
  [route, 'metadata.name', 'Chat', 'metadata.name: "Chat" is not a name of lower-case letters, digits, - and ., beginning and ending with a letter or digit'],
  [route, 'metadata.labels', { 'a b': 'c' }, 'metadata.labels[a b]: the key "a b" is not a label key: write [prefix/]name, the name at most 63 characters of A-Z, a-z, 0-9, -, _ and .'],
  [route, 'kind', 'LLMRout', 'kind: "LLMRout" is not a kind that Fairlead reads (LLMRoute, LLMGateway, LLMBackend, Secret, ConfigMap, Namespace, ReferenceGrant); did you mean LLMRoute?'],
  [route, 'apiVersion', 'fairlead.dev/v1', 'apiVersion: "fairlead.dev/v1" has no kind LLMRoute that Fairlead reads; it must be fairlead.dev/v1alpha1'],
];

describe('parseObject', () => {
  it.each([
    ['LLMRoute', route],
    ['LLMGateway', gateway],
    ['LLMBackend', backend],
  ])('takes an %s that uses every part', (_, draft) => {
    expect(issuesOf(draft)).toEqual([]);
  });

  it.each(VIOLATIONS)('rule: %#', (draft, path, value, expected) => {
    expect(issuesOf(withValue(draft, path, value))).toContain(expected);
  });

  it.each(MALFORMED)('schema: %#', (draft, path, value, expected) => {
    expect(issuesOf(withValue(draft, path, value))).toContain(expected);
  });

  it('has a case above for every rule of the CRDs, with the same message', () => {
    const declared = KINDS.flatMap((definition) => messages(objectSchema(definition)));
    const seen = VIOLATIONS.map(([, , , expected]) => expected);
    expect(declared.length).toBeGreaterThan(40);
    expect([...new Set(declared)].filter((message) => !seen.some((text) => text.includes(`: ${message}`)))).toEqual([]);
  });

  it('changes nothing in what it is given, and shares nothing with it that a later change could reach', () => {
    const given = fullRoute();
    const frozen = deepFreeze(structuredClone(given));
    expect(parseObject(frozen).ok).toBe(true);
    expect(frozen).toEqual(given);
  });

  it('applies defaults at every depth, and treats a null as not given', () => {
    const minimal = {
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: 'a' },
      spec: {
        modelNames: ['a'],
        models: [{ name: 'm', provider: { type: 'OpenAI', openAI: null }, auth: { type: 'None' }, defaults: { stop: null } }],
        rules: [{ name: 'default', targets: [{ model: 'm', weight: null }], failover: null }],
      },
    };
    const parsed = parseObject(minimal);
    expect(parsed).toMatchObject({ ok: true });
    expect(parsed.ok && parsed.value).toEqual({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: 'a', namespace: 'default', labels: {}, annotations: {} },
      spec: {
        modelNames: ['a'],
        models: [{ name: 'm', provider: { type: 'OpenAI' }, auth: { type: 'None' }, defaults: { stop: null }, unsupported: 'Reject' }],
        rules: [
          {
            name: 'default',
            targets: [{ model: 'm', priority: 0, weight: 1 }],
            selection: { strategy: 'Weighted' },
            failover: {
              maxAttempts: 3,
              timeouts: { connect: '2s', firstToken: '60s', idle: '120s', total: '600s' },
              reasons: ['ConnectFailure', 'Timeout', 'RateLimited', 'QuotaExhausted', 'Overloaded', 'ServerError', 'StreamBroken', 'Auth', 'NotFound'],
              contentFilter: { mode: 'Return', stages: ['Prompt', 'Completion'] },
              contextOverflow: { mode: 'Return' },
              afterOutput: 'Error',
            },
          },
        ],
      },
    });
  });

  it('reads back what the API server gives out', () => {
    const stored = withValue(route, 'metadata', {
      name: 'chat',
      namespace: 'team-a',
      uid: 'u',
      generation: 7,
      resourceVersion: '12',
      creationTimestamp: '2026-11-23T17:00:00Z',
      managedFields: [{ manager: 'kubectl' }],
      ownerReferences: [],
    });
    const parsed = parseObject(stored);
    expect(parsed.ok && parsed.value.metadata).toEqual({ name: 'chat', namespace: 'team-a', uid: 'u', generation: 7, creationTimestamp: '2026-11-23T17:00:00Z', labels: {}, annotations: {} });
  });

  it('merges stringData over data, and quotes no value of a Secret', () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data: { a: 'YQ==', b: 'Yg==' }, stringData: { b: 'two' } };
    const parsed = parseObject(secret);
    if (!parsed.ok || parsed.value.kind !== 'Secret') throw new Error('not a Secret');
    expect(Object.entries(parsed.value.data).map(([key, value]) => [key, value.reveal()])).toEqual([
      ['a', 'a'],
      ['b', 'two'],
    ]);
    const wrong = issuesOf({ ...secret, data: { a: 'sk-not-base64' }, stringData: { b: 4_711_471 }, type: false });
    expect(wrong).toHaveLength(3);
    expect(wrong.join('\n')).not.toMatch(/sk-not|4711471/);
  });

  it('reads ConfigMap, Namespace and ReferenceGrant', () => {
    const kinds = [
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: '1' } },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n', labels: { team: 'a' } }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } },
      {
        apiVersion: 'gateway.networking.k8s.io/v1beta1',
        kind: 'ReferenceGrant',
        metadata: { name: 'g', namespace: 'platform' },
        spec: { from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: 'team-a' }], to: [{ group: 'fairlead.dev', kind: 'LLMBackend' }] },
      },
    ];
    expect(kinds.flatMap(issuesOf)).toEqual([]);
  });

  it('never throws', () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true });
    fc.assert(
      fc.property(anything, fc.constantFrom('', 'spec', 'metadata', 'spec.models.0', 'spec.rules.0', 'spec.rules.0.targets', 'spec.rateLimits.0', `${LEARNED}.objective`, 'spec.models.0.provider'), (value, path) => {
        const parsed = parseObject(path === '' ? value : withValue(route, path, value));
        if (!parsed.ok) for (const found of parsed.error) expect(found.message).not.toBe('');
      }),
      { numRuns: 500 },
    );
  });
});

const design = join(import.meta.dirname, '..', '..', '..', 'shared', 'design', 'api.md');

describe("the design's own examples", () => {
  if (!existsSync(design)) {
    it('are not read here: ../shared/design is absent', () => {
      expect(existsSync(design)).toBe(false);
    });
    return;
  }
  it('parse', () => {
    const blocks = [...readFileSync(design, 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => yaml);
    const { documents, issues } = parseYamlDocuments(blocks.join('\n---\n'), 'api.md');
    expect(issues).toEqual([]);
    expect(documents.length).toBeGreaterThanOrEqual(2);
    expect(documents.flatMap(({ value }) => issuesOf(value))).toEqual([]);
  });
});

function messages(schema: StructuralSchema): string[] {
  return [
    ...(schema['x-kubernetes-validations'] ?? []).map(({ message }) => message),
    ...Object.values(schema.properties ?? {}).flatMap(messages),
    ...(schema.items === undefined ? [] : messages(schema.items)),
    ...(schema.additionalProperties === undefined ? [] : messages(schema.additionalProperties)),
  ];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze);
  return value;
}
