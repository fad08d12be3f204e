/** manifests/samples: read as strictly as a cluster reads them, compiled, and fully served. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { parseObject, type ApiObject } from '../../src/api/parse.ts';
import type { LLMRoute } from '../../src/api/v1alpha1/llmroute.ts';
import { parseYamlDocuments } from '../../src/api/yaml.ts';
import { compile } from '../../src/compile/compile.ts';
import { snapshotOf } from '../../src/compile/snapshot.ts';

const ROOT = join(import.meta.dirname, '../..');
const SAMPLES = join(ROOT, 'manifests/samples');
const FILES = readdirSync(SAMPLES).filter((file) => file.endsWith('.yaml'));
const QUOTA = 'llmquota.yaml';
const ROUTES = FILES.filter((file) => file !== QUOTA);
const GATEWAY = parsed({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'LLMGateway',
  metadata: { name: 'default', namespace: 'fairlead-system', annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
});
const OPTIONS = { resolveService: 'Cluster', loopbackAllowed: false } as const;

describe('manifests/samples', () => {
  it('are the five', () => {
    expect(FILES).toEqual(['azure-ptu-payg.yaml', 'content-filter.yaml', 'llmquota.yaml', 'llmroute.yaml', 'vllm-saas.yaml']);
  });

  it(`${QUOTA}: over every route of the chart's gateway`, () => {
    const objects = FILES.map((file) => read(readFileSync(join(SAMPLES, file), 'utf8'), file));
    const { tables, statuses } = compile(snapshotOf([GATEWAY, ...objects]), OPTIONS);
    const status = [...statuses.values()].find(({ kind }) => kind === 'LLMQuota');
    expect(status?.conditions.map(({ type, status: holds }) => [type, holds])).toEqual([
      ['Accepted', 'True'],
      ['ResolvedRefs', 'True'],
    ]);
    const [table] = tables.values();
    expect(table?.routes.map(({ limits }) => limits.filter(({ quota }) => quota === 'fairlead-system/fair-use').length)).toEqual(
      ROUTES.map(() => 3),
    );
  });

  it.each(ROUTES)('%s: in a cluster with the Secrets that its comments make, every model serves', (file) => {
    const text = readFileSync(join(SAMPLES, file), 'utf8');
    const route = read(text, file) as LLMRoute;
    const secrets = [...text.matchAll(/-n (\S+) create secret generic (\S+) --from-file=(\S+)=/g)].map(
      ([, namespace, name, key = '']) =>
        parsed({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: { [key]: 'sk-test' } }),
    );
    const { tables, statuses } = compile(snapshotOf([GATEWAY, route, ...secrets]), OPTIONS);
    const status = [...statuses.values()].find(({ kind }) => kind === 'LLMRoute');
    expect(status?.conditions.filter((condition) => condition.status !== 'True')).toEqual([]);
    expect({ warnings: status?.warnings, notServed: status?.notServed }).toEqual({ warnings: [], notServed: [] });
    const [table] = tables.values();
    expect(table?.routes.map(({ targets }) => targets.length)).toEqual([route.spec.models.length]);
  });

  it("has the README's route, with a Service for what is local on a laptop", () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const shown = /```yaml\n(apiVersion: [^]+?)```/.exec(readme)?.[1] ?? '';
    const local = 'baseURL: "http://127.0.0.1:11434/v1"';
    expect(shown).toContain(local);
    const sample = readFileSync(join(SAMPLES, 'llmroute.yaml'), 'utf8');
    expect(sample.slice(sample.indexOf('apiVersion:'))).toBe(shown.replace(local, 'serviceRef: {name: ollama, port: 11434}'));
  });
});

function read(text: string, file: string): ApiObject {
  const { documents, issues } = parseYamlDocuments(text, file);
  expect(issues).toEqual([]);
  expect(documents).toHaveLength(1);
  return parsed(documents[0]?.value);
}

function parsed(value: unknown): ApiObject {
  const result = parseObject(value);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
