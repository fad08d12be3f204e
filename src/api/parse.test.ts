import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import { formatIssue } from '../lib/issue.ts';
import { KINDS, objectSchema } from './crd.ts';
import { fullBackend, fullGateway, fullQuota, fullRoute, withValue } from './testdata/fixtures.ts';
import { LEARNED, MALFORMED, VIOLATIONS } from './testdata/violations.ts';
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

describe('parseObject', () => {
  it.each([
    ['LLMRoute', route],
    ['LLMGateway', gateway],
    ['LLMBackend', backend],
    ['LLMQuota', fullQuota()],
  ])('takes an %s that uses every part', (_, draft) => {
    expect(issuesOf(draft)).toEqual([]);
  });

  it('says of a value of the wrong type that, and no more', () => {
    expect(issuesOf(withValue(route, 'spec.rateLimits.0.per', 'APIKey'))).toEqual([
      'spec.rateLimits[0].per: "APIKey" is a string; it must be a list',
    ]);
    expect(issuesOf(withValue(route, 'spec.models', ''))).toEqual(['spec.models: "" is a string; it must be a list']);
  });

  it('does not repeat a password that stands in a URL', () => {
    const baseURL = `https://user:${'hunter2'.repeat(20)}@models.example/v1`;
    const issues = issuesOf(
      withValue(route, 'spec.models.0.provider', { type: 'OpenAICompatible', openAICompatible: { baseURL } }),
    );
    expect(issues.join()).toContain('https://[redacted]@models.example/v1');
    expect(issues.join()).not.toContain('hunter2');
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
        models: [
          { name: 'm', provider: { type: 'OpenAI' }, auth: { type: 'None' }, defaults: { stop: null }, unsupported: 'Reject' },
        ],
        rules: [
          {
            name: 'default',
            targets: [{ model: 'm', priority: 0, weight: 1 }],
            selection: { strategy: 'Weighted' },
            failover: {
              maxAttempts: 3,
              timeouts: { connect: '2s', firstToken: '60s', idle: '120s', total: '600s' },
              reasons: [
                'ConnectFailure',
                'Timeout',
                'RateLimited',
                'QuotaExhausted',
                'Overloaded',
                'ServerError',
                'StreamBroken',
                'Auth',
                'NotFound',
              ],
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
    expect(parsed.ok && parsed.value.metadata).toEqual({
      name: 'chat',
      namespace: 'team-a',
      uid: 'u',
      generation: 7,
      creationTimestamp: '2026-11-23T17:00:00Z',
      labels: {},
      annotations: {},
    });
  });

  it('merges stringData over data, and quotes no value of a Secret', () => {
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's' },
      data: { a: 'Y\nQ==\n', b: 'Yg==' },
      stringData: { b: 'two' },
    };
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
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'n', labels: { team: 'a' } },
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      },
      {
        apiVersion: 'gateway.networking.k8s.io/v1beta1',
        kind: 'ReferenceGrant',
        metadata: { name: 'g', namespace: 'platform' },
        spec: {
          from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: 'team-a' }],
          to: [{ group: 'fairlead.dev', kind: 'LLMBackend' }],
        },
      },
    ];
    expect(kinds.flatMap(issuesOf)).toEqual([]);
  });

  it('never throws', () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true });
    fc.assert(
      fc.property(
        anything,
        fc.constantFrom(
          '',
          'spec',
          'metadata',
          'spec.models.0',
          'spec.rules.0',
          'spec.rules.0.targets',
          'spec.rateLimits.0',
          `${LEARNED}.objective`,
          'spec.models.0.provider',
        ),
        (value, path) => {
          const parsed = parseObject(path === '' ? value : withValue(route, path, value));
          if (!parsed.ok) for (const found of parsed.error) expect(found.message).not.toBe('');
        },
      ),
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
