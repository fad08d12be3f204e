/** The CRDs before the judge: real API servers of the oldest Kubernetes that we support and of the newest. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from '@jest/globals';

import { KINDS } from '../../src/api/crd.ts';
import { parseObject } from '../../src/api/parse.ts';
import { parseYamlDocuments } from '../../src/api/yaml.ts';
import type { KubernetesRelease } from '../controlplane/control-plane.ts';
import { installCrds, REFERENCE_GRANTS } from '../controlplane/crds.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { fixtures, yamlFixtures } from './fixtures.ts';
import { LARGEST_BYTES, largestBackend, largestGateway, largestQuota, largestRoute } from './largest.ts';
import { collection, differences, opinions } from './verdict.ts';

const CRD_BYTES = 150_000;
/** The largest object is at least so large; of kinds that a user can fill up, as large as may be. */
const LARGEST_AT_LEAST: Readonly<Record<string, number>> = { LLMGateway: 700_000, LLMQuota: 7_000 };
const RELEASES: readonly KubernetesRelease[] = ['oldest', 'newest'];

interface Manifest {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly labels?: unknown; readonly annotations?: unknown };
  readonly spec?: unknown;
  readonly data?: unknown;
  readonly stringData?: unknown;
}

/** Without what kubectl adds. */
function readOnly({ kind, metadata, spec, data, stringData }: Manifest): Manifest {
  const { name, labels, annotations } = metadata ?? {};
  return JSON.parse(JSON.stringify({ kind, metadata: { name, labels, annotations }, spec, data, stringData })) as Manifest;
}

interface OpenApi {
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** Fields below a schema that `kubectl explain` has nothing to say about. */
function undescribed(schema: unknown, path: string): string[] {
  const {
    properties = {},
    items,
    additionalProperties,
  } = schema as {
    readonly properties?: Readonly<Record<string, { readonly description?: string }>>;
    readonly items?: unknown;
    readonly additionalProperties?: unknown;
  };
  return [
    ...Object.entries(properties).flatMap(([name, property]) => [
      ...((property.description ?? '').length > 10 ? [] : [`${path}.${name}`]),
      ...undescribed(property, `${path}.${name}`),
    ]),
    ...[items, additionalProperties].flatMap((inner) => (typeof inner === 'object' ? undescribed(inner, `${path}[]`) : [])),
  ];
}

for (const release of RELEASES) {
  // Objects of namespaces that nobody made are judged like any other.
  const apiServerFlags = ['--disable-admission-plugins=NamespaceLifecycle,ServiceAccount'];
  describeWithControlPlane(
    `the CRDs on an API server of the ${release} Kubernetes`,
    (plane) => {
      it('are taken as they are written, and are small', async () => {
        for (const { plural } of KINDS) {
          const file = join(import.meta.dirname, '..', '..', 'crds', `fairlead.dev_${plural}.yaml`);
          expect(readFileSync(file).length).toBeLessThan(CRD_BYTES);
          await plane().kubectl(['apply', '--server-side', '-f', file]);
        }
        await installCrds(plane(), [REFERENCE_GRANTS]);
        const refused = 'jsonpath={.items[*].status.conditions[?(@.status=="False")]}';
        expect(await plane().kubectl(['get', 'crd', '-o', refused])).toBe('');
      });

      it('say and refuse what our parser says and refuses, in the same words, and give the same defaults', async () => {
        const found: string[] = [];
        let judged = 0;
        for (const { name, object } of fixtures()) {
          const both = await opinions(plane(), object);
          if (both === undefined) continue;
          judged++;
          const ours = String(object['apiVersion']).startsWith('fairlead.dev/');
          // Of a Secret or a ReferenceGrant only yes and no are compared: its words and its defaults are its owner's.
          const differ = ours ? differences(both) : both.server.accepted === both.ours.ok ? [] : [JSON.stringify(both)];
          found.push(...differ.map((difference) => `${name}: ${difference}`));
        }
        expect(found).toEqual([]);
        expect(judged).toBeGreaterThan(400);
      });

      it('leave no field without a word of explanation', async () => {
        const { text } = await plane().request('GET', '/openapi/v3/apis/fairlead.dev/v1alpha1');
        const { schemas } = (JSON.parse(text) as OpenApi).components;
        for (const { kind } of KINDS) {
          const schema = schemas[`dev.fairlead.v1alpha1.${kind}`];
          expect(undescribed(schema, kind).filter((path) => !path.startsWith(`${kind}.metadata.`))).toEqual([]);
        }
        expect(await plane().kubectl(['explain', 'llmroute.spec.rules.failover'])).toContain('maxAttempts');
      });

      it.each([largestRoute(), largestGateway(), largestBackend(), largestQuota()])(
        'take the largest object: %#',
        async (object) => {
          const size = JSON.stringify(object).length;
          expect(size).toBeGreaterThanOrEqual(LARGEST_AT_LEAST[String(object['kind'])] ?? LARGEST_BYTES);
          expect(size).toBeLessThanOrEqual(LARGEST_BYTES);
          expect(parseObject(object)).toMatchObject({ ok: true });
          const { name } = object['metadata'] as { readonly name: string };
          const path = `${collection(object) ?? ''}/${name}?fieldManager=somebody&fieldValidation=Strict&force=true`;
          for (const label of ['first', 'second']) {
            const labelled = { ...object, metadata: { ...(object['metadata'] as object), labels: { label } } };
            const { status, text } = await plane().request('PATCH', path, labelled, {
              'content-type': 'application/apply-patch+yaml',
            });
            expect(status < 300 ? '' : text.slice(0, 2_000)).toBe('');
          }
        },
      );
    },
    { release, controllers: false, apiServerFlags },
  );
}

describeWithControlPlane(
  'kubectl',
  (plane) => {
    it('reads YAML as we do', async () => {
      await installCrds(plane(), [REFERENCE_GRANTS]);
      const texts = yamlFixtures().filter(({ text }) => {
        const documents = parseYamlDocuments(text, '').documents.map(({ value }) => value as Manifest);
        return (
          documents.length > 0 && documents.every((document) => collection(document) !== undefined && document.metadata?.name)
        );
      });
      expect(texts.length).toBeGreaterThan(50);
      const joined = texts.map(({ text }) => text).join('\n---\n');
      const argv = ['create', '--dry-run=client', '--validate=false', '-o', 'jsonpath={@}{"\\n"}', '-f', '-'];
      const lines = (await plane().kubectl(argv, joined)).trim().split('\n');
      const theirs = lines.map((line) => readOnly(JSON.parse(line) as Manifest));
      expect(theirs).toEqual(parseYamlDocuments(joined, '').documents.map(({ value }) => readOnly(value as Manifest)));
    });
  },
  { controllers: false },
);
