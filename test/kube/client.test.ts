import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { KubeClient } from '../../src/kube/client.ts';
import { SetApplier } from '../../src/kube/set-applier.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { describeOnEveryRelease } from '../controlplane/describe.ts';
import { BUDGETS, clientFor, CONFIG_MAPS, configMap, DEPLOYMENTS, SCALED_OBJECTS, valueOf } from './support.ts';

const APPLY = { fieldManager: 'test', force: true };

function deployment(name: string, labels: Record<string, string>, image = 'a:1'): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'default', name, labels },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'gateway', image, resources: { requests: { cpu: '1000m' } } }] },
      },
    },
  };
}

function budget(name: string, labels: Record<string, string>): KubeObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { namespace: 'default', name, labels },
    spec: { maxUnavailable: 1, selector: { matchLabels: { app: name } } },
  };
}

describeOnEveryRelease('the client on a real API server', (plane) => {
  let client: KubeClient;
  beforeAll(() => {
    client = clientFor(plane().kubeconfig);
  });
  afterAll(() => client.close());

  test('says what failed by kind, and names the object', async () => {
    const missing = await client.get(CONFIG_MAPS, { namespace: 'default', name: 'nope' });
    const absent = await client.list(SCALED_OBJECTS, {});
    valueOf(await client.create(CONFIG_MAPS, configMap('twice', {})));
    const twice = await client.create(CONFIG_MAPS, configMap('twice', {}));
    const invalid = await client.apply(CONFIG_MAPS, { ...configMap('bad', {}), data: { 'a b': '1' } }, APPLY);
    const typed = await client.apply(DEPLOYMENTS, { ...deployment('bad', {}), spec: { replicas: 'many' } }, APPLY);
    expect([missing, absent, twice, invalid, typed].map((result) => (result.ok ? 'ok' : result.error.kind))).toEqual([
      'not_found',
      'absent',
      'already_exists',
      'invalid',
      'invalid',
    ]);
    expect(missing.ok ? '' : missing.error.message).toContain('configmaps "nope" not found');
    expect(invalid.ok ? [] : invalid.error.causes?.map(({ field }) => field)).toEqual(['data[a b]']);
    expect((await client.delete(CONFIG_MAPS, { namespace: 'default', name: 'nope' })).ok).toBe(true);
  });

  test('writes only what is still as it was read: status, replace, apply, delete', async () => {
    const first = valueOf(await client.apply(DEPLOYMENTS, deployment('bound', {}), APPLY));
    const version = first.metadata.resourceVersion ?? '';
    const ref = { namespace: 'default', name: 'bound' };
    valueOf(await client.patchStatus(DEPLOYMENTS, ref, version, { replicas: 1, observedGeneration: 1 }));
    const stale = [
      await client.patchStatus(DEPLOYMENTS, ref, version, { replicas: 2 }),
      await client.replace(DEPLOYMENTS, first),
      await client.apply(
        DEPLOYMENTS,
        { ...deployment('bound', {}, 'a:2'), metadata: { ...ref, resourceVersion: version } },
        APPLY,
      ),
      await client.delete(DEPLOYMENTS, ref, { resourceVersion: version }),
      await client.delete(DEPLOYMENTS, ref, { uid: '00000000-0000-0000-0000-000000000000' }),
    ];
    expect(stale.map((result) => (result.ok ? 'ok' : result.error.kind))).toEqual(Array<string>(5).fill('conflict'));
    const now = valueOf(await client.get(DEPLOYMENTS, ref));
    expect(now['status']).toMatchObject({ replicas: 1 });
    expect(now['spec']).toEqual(first['spec']);
    valueOf(await client.patchStatus(DEPLOYMENTS, ref, now.metadata.resourceVersion ?? '', { replicas: null }));
    expect(valueOf(await client.get(DEPLOYMENTS, ref))['status']).not.toHaveProperty('replicas');
  });

  test('reads a list page by page, as of one moment', async () => {
    for (let i = 0; i < 7; i++)
      valueOf(
        await client.apply(
          CONFIG_MAPS,
          { ...configMap(`p${i}`, {}), metadata: { namespace: 'default', name: `p${i}`, labels: { page: 'y' } } },
          APPLY,
        ),
      );
    const page = valueOf(await client.list(CONFIG_MAPS, { labelSelector: 'page=y', limit: 3 }));
    valueOf(await client.delete(CONFIG_MAPS, { namespace: 'default', name: 'p6' }));
    const rest = valueOf(await client.list(CONFIG_MAPS, { labelSelector: 'page=y', limit: 9, continue: page.continue ?? '' }));
    expect([...page.items, ...rest.items].map(({ metadata }) => metadata.name)).toEqual([
      'p0',
      'p1',
      'p2',
      'p3',
      'p4',
      'p5',
      'p6',
    ]);
    expect([rest.resourceVersion, rest.continue]).toEqual([page.resourceVersion, null]);
    const all = valueOf(await client.listAll(CONFIG_MAPS, { labelSelector: 'page=y', limit: 2 }));
    expect(all.items).toHaveLength(6);
    expect(all.items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
    expect(all.items[0]?.metadata).not.toHaveProperty('managedFields');
  });

  test('reads the metadata of a list alone', async () => {
    const labels = { alone: 'y' };
    const made = { ...configMap('alone', { a: '1' }), metadata: { namespace: 'default', name: 'alone', labels } };
    valueOf(await client.apply(CONFIG_MAPS, made, APPLY));
    const { items } = valueOf(await client.list(CONFIG_MAPS, { labelSelector: 'alone=y', metadataOnly: true }));
    expect(items).toMatchObject([{ kind: 'PartialObjectMetadata', metadata: { name: 'alone', labels } }]);
    expect(items[0]).not.toHaveProperty('data');
  });

  test('a guard that says no keeps every write from leaving, and lets reads pass', async () => {
    let allowed = true;
    const guarded = client.guardedBy(() => allowed);
    const ref = { namespace: 'default', name: 'guarded' };
    const made = valueOf(await guarded.apply(CONFIG_MAPS, configMap('guarded', { a: '1' }), APPLY));
    allowed = false;
    const refused = [
      await guarded.apply(CONFIG_MAPS, configMap('guarded', { a: '2' }), APPLY),
      await guarded.replace(CONFIG_MAPS, made),
      await guarded.create(CONFIG_MAPS, configMap('other', {})),
      await guarded.delete(CONFIG_MAPS, ref),
      await guarded.patchStatus(DEPLOYMENTS, ref, '1', {}),
      await guarded.createEvent({ regarding: made, type: 'Normal', reason: 'No', action: 'No', note: 'no' }),
    ];
    expect(refused.map((result) => (result.ok ? 'ok' : result.error.kind))).toEqual(Array<string>(6).fill('guarded'));
    expect(valueOf(await guarded.get(CONFIG_MAPS, ref)).metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });

  test('a token is somebody for its own audience only', async () => {
    await plane().kubectl(['create', 'serviceaccount', 'pod']);
    const token = (await plane().kubectl(['create', 'token', 'pod', '--audience=ours'])).trim();
    expect(valueOf(await client.reviewToken(token, 'ours'))).toMatchObject({
      username: 'system:serviceaccount:default:pod',
      audiences: ['ours'],
    });
    expect(valueOf(await client.reviewToken(token, 'theirs'))).toBeNull();
    expect(valueOf(await client.reviewToken('nonsense', 'ours'))).toBeNull();
  });

  test('an event is seen with its object, its note cut to what the server takes', async () => {
    const regarding = valueOf(await client.apply(CONFIG_MAPS, configMap('told', {}), APPLY));
    valueOf(
      await client.createEvent({ regarding, type: 'Warning', reason: 'Refused', action: 'Compile', note: 'ü'.repeat(2000) }),
    );
    const seen = JSON.parse(
      await plane().kubectl(['get', 'events', '-o', 'json', '--field-selector', 'involvedObject.name=told']),
    ) as {
      items: { message: string; reason: string; type: string }[];
    };
    expect(seen.items).toMatchObject([{ type: 'Warning', reason: 'Refused', message: 'ü'.repeat(512) }]);
  });

  test('a credential that the server no longer takes is read again, and the call made again', async () => {
    const file = join(plane().folder, 'rotating.token');
    writeFileSync(file, 'outdated');
    const kubeconfig = join(plane().folder, 'rotating.kubeconfig');
    const config = JSON.parse(readFileSync(plane().kubeconfig, 'utf8')) as { users: { user: Record<string, string> }[] };
    for (const entry of config.users) entry.user = { tokenFile: 'rotating.token' };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const rotating = clientFor(kubeconfig);
    const before = await rotating.list(CONFIG_MAPS, { limit: 1 });
    expect(before.ok ? 'ok' : before.error.kind).toBe('unauthorized');
    // What was read a moment ago is kept for a minute, unless it is refused.
    writeFileSync(file, plane().token);
    valueOf(await rotating.create(CONFIG_MAPS, configMap('rotated', {})));
    rotating.close();
  });
});

describeOnEveryRelease('a set of objects on a real API server', (plane) => {
  const labels = { 'fairlead.dev/gateway': 'web' };
  const set = (desired: readonly KubeObject[], ownerUid?: string) => ({
    namespace: 'default',
    labels,
    kinds: [DEPLOYMENTS, BUDGETS, SCALED_OBJECTS],
    desired,
    ...(ownerUid === undefined ? {} : { ownerUid }),
  });
  const versions = async (client: KubeClient): Promise<(string | undefined)[]> => [
    valueOf(await client.get(DEPLOYMENTS, { namespace: 'default', name: 'web' })).metadata.resourceVersion,
    valueOf(await client.get(BUDGETS, { namespace: 'default', name: 'web' })).metadata.resourceVersion,
  ];

  test('is applied, then left alone; a stranger’s edits stay and ours come back; what is switched off goes', async () => {
    const client = clientFor(plane().kubeconfig);
    const applier = new SetApplier(client, { fieldManager: 'fairlead' });
    const desired = [deployment('web', labels), budget('web', labels)];
    expect(await applier.apply(set(desired))).toEqual({
      applied: ['Deployment default/web', 'PodDisruptionBudget default/web'],
      unchanged: [],
      pruned: [],
      failures: [],
    });
    // The controllers' first words.
    await plane().kubectl(['wait', '--for=jsonpath={.status.observedGeneration}=1', 'deployment/web', 'pdb/web']);
    const before = await versions(client);
    const both = ['Deployment default/web', 'PodDisruptionBudget default/web'];
    expect(await applier.apply(set(desired))).toMatchObject({ applied: [], unchanged: both });
    // One that has just started knows nothing, and changes nothing either.
    expect(await new SetApplier(client, { fieldManager: 'fairlead' }).apply(set(desired))).toMatchObject({
      applied: [],
      unchanged: both,
    });
    expect(await versions(client)).toEqual(before);

    await plane().kubectl(['annotate', 'deployment', 'web', 'team=ours']);
    await plane().kubectl([
      'patch',
      'deployment',
      'web',
      '--patch',
      '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"s:1"}]}}}}',
    ]);
    expect(await applier.apply(set(desired))).toMatchObject({ applied: [], unchanged: both });
    await plane().kubectl(['set', 'image', 'deployment/web', 'gateway=other:1']);
    expect(await applier.apply(set(desired))).toMatchObject({ applied: ['Deployment default/web'] });
    const live = valueOf(await client.get(DEPLOYMENTS, { namespace: 'default', name: 'web' }));
    expect(live.metadata.annotations).toMatchObject({ team: 'ours' });
    const { containers } = (live as unknown as { spec: { template: { spec: { containers: unknown[] } } } }).spec.template.spec;
    expect(containers).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'gateway', image: 'a:1' }),
        expect.objectContaining({ name: 'side' }),
      ]),
    );

    expect(await applier.apply(set([deployment('web', labels)]))).toMatchObject({
      pruned: ['PodDisruptionBudget default/web'],
      failures: [],
    });
    expect(applier.remembered).toBe(1);
    applier.forget({ namespace: 'elsewhere', labels: set([]).labels });
    expect(applier.remembered).toBe(1);
    applier.forget(set([]));
    expect(applier.remembered).toBe(0);
    client.close();
  });

  test('never touches what is not its own', async () => {
    const client = clientFor(plane().kubeconfig);
    const applier = new SetApplier(client, { fieldManager: 'fairlead' });
    await plane().kubectl(['create', 'deployment', 'theirs', '--image=t:1', '--replicas=0']);
    // Labelled like ours, but owned by nobody we know.
    valueOf(await client.apply(BUDGETS, budget('lookalike', labels), { fieldManager: 'somebody', force: true }));
    const outcome = await applier.apply(set([deployment('theirs', labels)], '11111111-1111-1111-1111-111111111111'));
    expect(outcome).toMatchObject({
      applied: [],
      pruned: [],
      failures: [{ object: 'Deployment default/theirs', failure: { kind: 'already_exists' } }],
    });
    expect((await client.get(BUDGETS, { namespace: 'default', name: 'lookalike' })).ok).toBe(true);
    client.close();
  });

  test('a kind that is not installed is no failure, unless it is wanted', async () => {
    const client = clientFor(plane().kubeconfig);
    const scaled: KubeObject = {
      apiVersion: 'keda.sh/v1alpha1',
      kind: 'ScaledObject',
      metadata: { namespace: 'default', name: 's', labels },
    };
    const outcome = await new SetApplier(client, { fieldManager: 'fairlead' }).apply({
      ...set([scaled]),
      labels: { other: 'set' },
    });
    expect(outcome.failures).toMatchObject([{ object: 'ScaledObject default/s', failure: { kind: 'absent' } }]);
    client.close();
  });
});
