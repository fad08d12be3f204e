/** manifests/base is what the chart renders by default. `UPDATE_GOLDEN=1` writes it anew. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import { parseAllDocuments, stringify } from 'yaml';

import { KINDS } from '../../src/api/crd.ts';
import { OPERATOR_ENV } from '../../src/lib/pod.ts';
import { renderChart, ROOT, type Manifest } from '../chart/helm.ts';
import { binary, whyNoBinary } from '../controlplane/binaries.ts';

const BASE = join(ROOT, 'manifests/base');
/** Which file has which objects of the chart; the hook of `helm test` is Helm's own. */
const FILES: Readonly<Record<string, (manifest: Manifest) => boolean>> = {
  'gateway.yaml': ({ kind }) => kind === 'LLMGateway',
  'rbac.yaml': ({ apiVersion }) => apiVersion.startsWith('rbac.authorization.k8s.io/'),
  'operator.yaml': ({ kind, apiVersion }) =>
    kind !== 'LLMGateway' && kind !== 'Pod' && !apiVersion.startsWith('rbac.authorization.k8s.io/'),
};
const HEAD = '# As the chart renders it by default: a test holds the two together.\n';

describe('manifests/base', () => {
  const why = whyNoBinary('helm') ?? whyNoBinary('api');
  if (why !== undefined) {
    it(`absent: helm and kubectl: ${why}`, () => undefined);
    return;
  }

  it('is the chart with its default values', async () => {
    const chart = (await renderChart({})).map(withoutHelm).map(withItsOwnImage);
    if (process.env['UPDATE_GOLDEN'] === '1') {
      for (const [file, belongs] of Object.entries(FILES)) {
        const documents = chart.filter(belongs).map((manifest) => stringify(manifest, { lineWidth: 0, version: '1.1' }));
        writeFileSync(join(BASE, file), HEAD + documents.join('---\n'));
      }
    }
    const built = await kustomize(BASE);
    expect(byName(built.filter(({ kind }) => kind !== 'Namespace'))).toEqual(
      byName(chart.filter((manifest) => Object.values(FILES).some((belongs) => belongs(manifest)))),
    );
  });

  it('leaves the CRDs to a folder of their own', async () => {
    const built = await kustomize(join(ROOT, 'crds'));
    expect(built.map(({ kind }) => kind)).toEqual(KINDS.map(() => 'CustomResourceDefinition'));
  });
});

async function kustomize(folder: string): Promise<readonly Manifest[]> {
  const run = spawnSync(await binary('api'), ['kubectl', 'kustomize', folder], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return parseAllDocuments(run.stdout).map((document) => document.toJS() as Manifest);
}

function withoutHelm(manifest: Manifest): Manifest {
  const { 'helm.sh/chart': _, 'app.kubernetes.io/managed-by': __, ...labels } = manifest.metadata.labels ?? {};
  return { ...manifest, metadata: { ...manifest.metadata, labels } };
}

/** The operator then runs gateways of the image that it has itself: whoever sets `images:` in an overlay sets one. */
function withItsOwnImage(manifest: Manifest): Manifest {
  const json = JSON.stringify(manifest, (_, value: unknown) =>
    Array.isArray(value)
      ? value.filter((item) => (item as { readonly name?: unknown } | null)?.name !== OPERATOR_ENV.image)
      : value,
  );
  return JSON.parse(json) as Manifest;
}

function byName(manifests: readonly Manifest[]): Readonly<Record<string, Manifest>> {
  return Object.fromEntries(
    manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.namespace ?? ''}/${manifest.metadata.name}`, manifest]),
  );
}
