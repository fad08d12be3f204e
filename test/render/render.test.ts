/** What render gives, as a real API server takes it: strictly, under restricted Pod Security, by two field managers, without ever differing. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from '@jest/globals';

import { renderGateway } from '../../src/render/render.ts';
import { parseCase } from '../../src/render/testdata/case.ts';
import { FIELD_MANAGER, REPLICAS_MANAGER, type KubeObject, type RenderedGateway } from '../../src/render/types.ts';
import type { ControlPlane } from '../controlplane/control-plane.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';

const TESTDATA = join(import.meta.dirname, '../../src/render/testdata');
const NAMES = readdirSync(TESTDATA)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => file.slice(0, -'.in.yaml'.length));
/** Their CRDs are others'. */
const FOREIGN = /^(monitoring\.coreos\.com|keda\.sh)\//;

// The owners are not there, nor is their kind: so long as it is not, the garbage collector waits.
describeWithControlPlane('rendered objects on an API server', (plane) => {
  beforeAll(async () => {
    for (const name of ['fairlead-system', 'edge', 'replicas', 'edits']) {
      await plane().kubectl(['create', 'namespace', name]);
      await plane().kubectl(['label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted']);
      await plane().kubectl(['wait', '-n', name, '--for=create', 'serviceaccount/default', '--timeout=60s']);
    }
  });

  it.each(NAMES)('%s: what is applied is what is read back, and applying it again writes nothing', async (name) => {
    const { gateway, context } = parseCase(name, readFileSync(join(TESTDATA, `${name}.in.yaml`), 'utf8'));
    const objects = renderGateway(gateway, context).objects.filter(({ apiVersion }) => !FOREIGN.test(apiVersion));
    if (objects.length === 0) return;
    await apply(plane(), objects);
    const first = await read(plane(), objects);
    for (const [index, object] of objects.entries()) expect(first[index]).toMatchObject(object);
    await apply(plane(), objects);
    expect((await read(plane(), objects)).map(versionOf)).toEqual(first.map(versionOf));
    // It would scale the next case's Deployment, which has the same name.
    const scaled = objects.filter(({ kind }) => kind === 'HorizontalPodAutoscaler');
    for (const { metadata } of scaled) await plane().kubectl(['-n', metadata.namespace, 'delete', 'hpa', metadata.name]);
  });

  it.each(['minimal', 'all-settings'])('%s: its pod is one that restricted Pod Security takes', async (name) => {
    const { gateway, context } = parseCase(name, readFileSync(join(TESTDATA, `${name}.in.yaml`), 'utf8'));
    const deployment = renderGateway(gateway, context).objects.find(({ kind }) => kind === 'Deployment');
    if (deployment === undefined) throw new Error('no Deployment');
    const { template } = deployment['spec'] as { readonly template: { readonly spec: Readonly<Record<string, unknown>> } };
    const { spec } = template;
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod', namespace: gateway.metadata.namespace } };
    await plane().kubectl(DRY_RUN, JSON.stringify({ ...pod, spec }));
    await expect(plane().kubectl(DRY_RUN, JSON.stringify({ ...pod, spec: { ...spec, hostPID: true } }))).rejects.toThrow(
      /violates PodSecurity/,
    );
  });

  describe('the number of pods', () => {
    it('is the same before and after autoscaling is turned on, whoever asks', async () => {
      const api = plane();
      await reconcile(api, rendered('replicas', { replicas: 5 }));
      expect(await replicasOf(api)).toBe(5);

      const scaled = rendered('replicas', { autoscaling: { minReplicas: 2, maxReplicas: 9 } });
      for (let round = 0; round < 2; round += 1) await reconcile(api, scaled);
      expect(await replicasOf(api)).toBe(5);

      // As an autoscaler does it, by the subresource; its word stands from here on.
      await api.kubectl(['-n', 'replicas', 'scale', 'deployment/default-gateway', '--replicas=7']);
      await reconcile(api, scaled);
      expect(await replicasOf(api)).toBe(7);

      await reconcile(api, rendered('replicas', { replicas: 3 }));
      expect(await replicasOf(api)).toBe(3);
      await api.kubectl(['-n', 'replicas', 'scale', 'deployment/default-gateway', '--replicas=8']);
      await reconcile(api, rendered('replicas', { replicas: 3 }));
      expect(await replicasOf(api)).toBe(3);
    });

    it("is the autoscaler's once it has spoken: a real one, which wants no metrics to raise a fleet to its least", async () => {
      const api = plane();
      await reconcile(api, rendered('replicas', { replicas: 3 }));
      const scaled = rendered('replicas', { autoscaling: { minReplicas: 6, maxReplicas: 9 } });
      await reconcile(api, scaled);
      await api.kubectl([
        '-n',
        'replicas',
        'wait',
        '--for=jsonpath={.spec.replicas}=6',
        'deployment/default-gateway',
        '--timeout=100s',
      ]);
      await reconcile(api, scaled);
      expect(await replicasOf(api)).toBe(6);
      await api.kubectl(['-n', 'replicas', 'delete', 'hpa', 'default-gateway']);
      await reconcile(api, rendered('replicas', { replicas: 2 }));
      expect(await replicasOf(api)).toBe(2);
    });

    it('begins with the least that the autoscaler may choose', async () => {
      const api = plane();
      await api.kubectl(['-n', 'replicas', 'delete', 'deployment', '--all', '--wait=false', '--cascade=background']);
      await api.kubectl(['-n', 'replicas', 'wait', '--for=delete', 'deployment/default-gateway', '--timeout=60s']);
      await reconcile(api, rendered('replicas', { autoscaling: { minReplicas: 4, maxReplicas: 9 } }));
      expect(await replicasOf(api)).toBe(4);
    });

    it('would be reset were it applied beside the rest and then left out', async () => {
      const api = plane();
      const [object] = rendered('replicas', { replicas: 5 }).objects.filter(({ kind }) => kind === 'Deployment');
      if (object === undefined) throw new Error('no Deployment');
      const renamed: KubeObject = { ...object, metadata: { ...object.metadata, name: 'naive' } };
      await apply(api, [{ ...renamed, spec: { ...(renamed['spec'] as object), replicas: 5 } }]);
      await apply(api, [renamed]);
      expect(await replicasOf(api, 'naive')).toBe(1);
    });
  });

  it('leaves what others add, takes away what it no longer says, and moves a port', async () => {
    const api = plane();
    await reconcile(api, rendered('edits', { podTemplate: { annotations: { 'example.com/ours': 'x' } } }));
    await api.kubectl(['-n', 'edits', 'annotate', 'deployment/default-gateway', 'example.com/theirs=kept']);
    await api.kubectl(['-n', 'edits', 'set', 'env', 'deployment/default-gateway', 'THEIRS=kept']);
    await api.kubectl(['-n', 'edits', 'set', 'image', 'deployment/default-gateway', 'gateway=example.com/mistaken:1']);

    const after = rendered('edits', { listener: { port: 443 } });
    await reconcile(api, after);
    const [deployment, service = { spec: undefined }] = await read(
      api,
      after.objects.filter(({ kind }) => ['Deployment', 'Service'].includes(kind)).reverse(),
    );
    expect(deployment).toMatchObject({ metadata: { annotations: { 'example.com/theirs': 'kept' } } });
    const text = JSON.stringify(deployment?.['spec']);
    expect(text).toContain('"THEIRS"');
    expect(text).not.toContain('example.com/ours');
    expect(text).not.toContain('example.com/mistaken');
    expect((service['spec'] as { readonly ports: readonly { readonly port: number }[] }).ports.map(({ port }) => port)).toEqual([
      443,
    ]);
  });
});

const DRY_RUN = ['apply', '--server-side', '--validate=strict', '--dry-run=server', '-f', '-'] as const;

type Live = Readonly<Record<string, unknown>> & { readonly metadata: { readonly resourceVersion: string } };

function rendered(namespace: string, spec: unknown): RenderedGateway {
  const gateway = { apiVersion: 'fairlead.dev/v1alpha1', kind: 'LLMGateway', metadata: { name: 'default', namespace }, spec };
  const { gateway: parsed, context } = parseCase('spec', JSON.stringify(gateway));
  return renderGateway(parsed, context);
}

/** As the operator does it. */
async function reconcile(api: ControlPlane, { objects, replicas }: RenderedGateway): Promise<void> {
  const namespace = objects[0]?.metadata.namespace ?? '';
  const before = await api.kubectl(['-n', namespace, 'get', 'deployment', '-o', 'name']);
  await apply(api, objects);
  if (replicas === null) return;
  if (replicas.when === 'Always' || !before.includes(replicas.object.metadata.name))
    await apply(api, [replicas.object], REPLICAS_MANAGER);
}

async function apply(api: ControlPlane, objects: readonly KubeObject[], manager = FIELD_MANAGER): Promise<void> {
  const flags = ['apply', '--server-side', '--force-conflicts', '--validate=strict', `--field-manager=${manager}`, '-f', '-'];
  await api.kubectl(flags, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
}

async function read(api: ControlPlane, objects: readonly KubeObject[]): Promise<readonly Live[]> {
  const live: Live[] = [];
  for (const { kind, metadata } of objects) {
    live.push(JSON.parse(await api.kubectl(['-n', metadata.namespace, 'get', kind, metadata.name, '-o', 'json'])) as Live);
  }
  return live;
}

/** Controllers write status; a generation counts what was wanted. */
function versionOf({ metadata }: Live): unknown {
  const { generation, resourceVersion } = metadata as Live['metadata'] & { readonly generation?: number };
  return generation ?? resourceVersion;
}

async function replicasOf(api: ControlPlane, name = 'default-gateway'): Promise<number> {
  return Number(await api.kubectl(['-n', 'replicas', 'get', 'deployment', name, '-o', 'jsonpath={.spec.replicas}']));
}
