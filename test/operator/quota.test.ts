/** A quota through its life, on a real API server; and a cluster whose CRDs are of a release that did not have it. */
import { join } from 'node:path';

import { expect, it } from '@jest/globals';

import type { ControlPlane } from '../controlplane/control-plane.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { fairlead } from '../features/support/cli.ts';
import { apply, eventually, install, NAMESPACE, type ShownStatus, startOperator } from './support/operator.ts';
import { startPod, type TestPod } from './support/pod.ts';

const CRD = join(import.meta.dirname, '../../crds/fairlead.dev_llmquotas.yaml');

const route = (name: string, spec: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  kind: 'LLMRoute',
  metadata: { name, namespace: 'team-a' },
  spec: {
    modelNames: [name],
    models: [{ name: 'main', provider: { type: 'OpenAI' }, auth: { type: 'None' } }],
    rules: [{ name: 'default', targets: [{ model: 'main' }] }],
    ...spec,
  },
});

const quota = (
  namespace: string,
  name: string,
  limit: Readonly<Record<string, unknown>>,
  ...targetRefs: readonly unknown[]
): Readonly<Record<string, unknown>> => ({
  kind: 'LLMQuota',
  metadata: { name, namespace },
  spec: { targetRefs, limits: [{ name: 'all', unit: 'Requests', ...limit }] },
});
const GATEWAY = { kind: 'LLMGateway', name: 'default' };

interface Shown {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status?: ShownStatus;
}

async function show(plane: ControlPlane, namespace: string, name: string): Promise<Shown> {
  return JSON.parse(await plane.kubectl(['get', 'llmquota', name, '-n', namespace, '-o', 'json'])) as Shown;
}

/** The message of the condition, once it has that reason for the newest version of the object. */
function until(plane: ControlPlane, namespace: string, name: string, type: string, reason: string): Promise<string> {
  return eventually(
    async () => {
      const { metadata, status } = await show(plane, namespace, name);
      const found = status?.conditions.find((each) => each.type === type);
      const newest = found?.observedGeneration === metadata.generation && status?.observedGeneration === metadata.generation;
      return newest && found?.reason === reason ? found.message : null;
    },
    async () => JSON.stringify(await show(plane, namespace, name)),
  );
}

const limitsAt = (pod: TestPod): readonly string[] =>
  (pod.table()?.routes ?? []).flatMap(({ id, limits }) => limits.map(({ name, limit }) => `${id} ${name} ${limit}`));

describeWithControlPlane('a quota', (plane) => {
  it('is brought to every pod, says so, follows its edits and those of what it is over, and is gone when it is deleted', async () => {
    await install(plane());
    const running = await startOperator(plane());
    const pods = [await startPod(plane(), running, 'pod-1'), await startPod(plane(), running, 'pod-2')];
    const everywhere = (limits: readonly string[]): Promise<true> =>
      eventually(() => (pods.every((pod) => JSON.stringify(limitsAt(pod)) === JSON.stringify(limits)) ? true : null));
    await plane().kubectl(['create', 'namespace', 'team-a']);
    await apply(plane(), route('one'), route('two'), quota(NAMESPACE, 'fair', { limit: 5, window: '1m' }, GATEWAY));
    expect(await until(plane(), NAMESPACE, 'fair', 'Programmed', 'Programmed')).toBe('every ready gateway pod holds this');
    await everywhere(['one', 'two'].map((name) => `team-a/${name} ${NAMESPACE}/fair/all 5`));
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmroute', '--all', '-n', 'team-a', '--timeout=60s']);

    // Edits of routes that it is over write nothing to it.
    const before = (await show(plane(), NAMESPACE, 'fair')).metadata.resourceVersion;
    await apply(plane(), route('one', { access: { from: 'All' } }));
    await eventually(() => (pods.every((pod) => pod.table()?.routes[0]?.access.from === 'All') ? true : null));
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmroute/one', '-n', 'team-a', '--timeout=60s']);
    expect((await show(plane(), NAMESPACE, 'fair')).metadata.resourceVersion).toBe(before);

    await apply(
      plane(),
      quota(NAMESPACE, 'fair', { limit: 7, window: '1m' }, { kind: 'LLMRoute', name: 'two', namespace: 'team-a' }),
    );
    await until(plane(), NAMESPACE, 'fair', 'Programmed', 'Programmed');
    await everywhere([`team-a/two ${NAMESPACE}/fair/all 7`]);
    await eventually(async () => {
      const about = ['--field-selector=involvedObject.kind=LLMQuota', '-o', 'jsonpath={.items[*].message}'];
      const found = await plane().kubectl(['get', 'events', '-n', NAMESPACE, ...about]);
      return found.includes('every ready gateway pod holds this') ? true : null;
    });

    // What is not so is named, and everything else holds.
    const foreign = { kind: 'LLMRoute', name: 'one', namespace: 'team-a' };
    await plane().kubectl(['create', 'namespace', 'team-b']);
    await apply(
      plane(),
      quota('team-b', 'foreign', { limit: 1, window: '1m' }, foreign),
      quota('team-b', 'gateway', { limit: 1, window: '1m' }, { ...GATEWAY, namespace: NAMESPACE }),
      quota('team-b', 'gone', { limit: 1, window: '1m' }, { kind: 'LLMRoute', name: 'nowhere' }),
      quota(NAMESPACE, 'moon', { limit: 1, calendar: { period: 'Day', timeZone: 'Moon/Base' } }, GATEWAY),
    );
    expect(await until(plane(), 'team-b', 'foreign', 'ResolvedRefs', 'RefNotPermitted')).toContain('LLMRoute team-a/one');
    expect(await until(plane(), 'team-b', 'gateway', 'ResolvedRefs', 'RefNotPermitted')).toContain(
      `only quotas of namespace ${NAMESPACE} may limit LLMGateway ${NAMESPACE}/default`,
    );
    expect(await until(plane(), 'team-b', 'gone', 'ResolvedRefs', 'TargetNotFound')).toContain('LLMRoute team-b/nowhere');
    expect(await until(plane(), 'team-b', 'gone', 'Programmed', 'Pending')).toContain('it limits nothing');
    expect(await until(plane(), NAMESPACE, 'moon', 'Accepted', 'InvalidSpec')).toContain('spec.limits[0].calendar.timeZone');
    await everywhere([`team-a/two ${NAMESPACE}/fair/all 7`]);

    const cluster = ['--kubeconfig', plane().kubeconfig];
    const status = await fairlead(['status', ...cluster]);
    expect(status.out).toMatch(/LLMQuotas\n +NAMESPACE[^\n]*\n +fairlead-system +fair +True/);
    expect(status.out).toMatch(
      /team-b +gone[^\n]*\n +ResolvedRefs: TargetNotFound +spec\.targetRefs\[0\]: LLMRoute team-b\/nowhere/,
    );
    expect((await fairlead(['doctor', ...cluster])).out).toMatch(
      /problem +LLMQuotas: LLMQuota fairlead-system\/moon: Accepted is False, InvalidSpec/,
    );
    expect(await plane().kubectl(['get', 'llmq', 'gone', '-n', 'team-b', '-o', 'wide'])).toMatch(
      /^NAME +OVER +TARGET +LIMIT +PROGRAMMED +REASON +AGE\ngone +LLMRoute +nowhere +all +False +TargetNotFound/,
    );

    await plane().kubectl(['delete', 'llmquota', 'fair', '-n', NAMESPACE]);
    await everywhere([]);
  });
});

describeWithControlPlane('a cluster whose CRDs are of a release without quotas', (plane) => {
  it('is served, is told so by operator, doctor and status, and has quotas as soon as their CRD is there', async () => {
    await install(plane());
    await plane().kubectl(['delete', '-f', CRD, '--wait=true']);
    const running = await startOperator(plane());
    const pod = await startPod(plane(), running, 'pod-1');
    await plane().kubectl(['create', 'namespace', 'team-a']);
    await apply(plane(), route('one'));
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmroute/one', '-n', 'team-a', '--timeout=60s']);
    const older = await eventually(
      async () => /.*the installed CRDs are older than this operator.*/.exec(await running.logged())?.[0] ?? null,
      () => running.logged(),
    );
    expect(older).toContain('llmquotas.fairlead.dev');
    expect(await running.metrics.render()).toContain('fairlead_operator_crds_outdated 1');

    const cluster = ['--kubeconfig', plane().kubeconfig];
    const found = await fairlead(['doctor', ...cluster]);
    expect(found.out).toMatch(
      /warning +CRDs: CRD llmquotas\.fairlead\.dev is not installed: the installed CRDs are older than this build\n +kubectl apply/,
    );
    expect(found.out).toMatch(/ok +LLMRoutes: 1 served/);
    const status = await fairlead(['status', '-n', 'team-a', ...cluster]);
    expect([status.code, status.err]).toEqual([
      0,
      expect.stringMatching(/^LLMQuota is not known here: the installed CRDs are older than this build; kubectl apply/),
    ]);
    expect(status.out).toMatch(/team-a +one +True/);

    await plane().kubectl(['apply', '--server-side', '-f', CRD]);
    await plane().kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
    await apply(plane(), quota(NAMESPACE, 'fair', { limit: 5, window: '1m' }, GATEWAY));
    await until(plane(), NAMESPACE, 'fair', 'Programmed', 'Programmed');
    expect(limitsAt(pod)).toEqual([`team-a/one ${NAMESPACE}/fair/all 5`]);
  });
});
