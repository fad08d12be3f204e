import { expect, it } from '@jest/globals';

import { describeWithControlPlane } from '../controlplane/describe.ts';
import { SNAPSHOT_PARTS } from '../../src/routetable/snapshot-pack.ts';
import { apply, eventually, install, NAMESPACE, startOperator } from './support/operator.ts';
import { startPod } from './support/pod.ts';

interface Listed {
  readonly items: readonly { readonly metadata: { readonly ownerReferences?: readonly { readonly uid: string }[] } }[];
}

describeWithControlPlane('an LLMGateway that is deleted and made again', (plane) => {
  const gateway = { kind: 'LLMGateway', metadata: { name: 'default', namespace: NAMESPACE }, spec: { replicas: 1 } };
  const route = (model: string): Record<string, unknown> => ({
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: NAMESPACE },
    spec: {
      modelNames: ['chat'],
      models: [{ name: 'main', provider: { type: 'OpenAI', openAI: { model } }, auth: { type: 'None' } }],
      rules: [{ name: 'default', targets: [{ model: 'main' }] }],
      parentRefs: [{ name: 'default' }],
    },
  });
  /** How many parts of the snapshot belong to each LLMGateway, by its uid. */
  const owners = async (): Promise<Readonly<Record<string, number>>> => {
    const text = await plane().kubectl([
      'get',
      'secret',
      '-n',
      NAMESPACE,
      '-l',
      'fairlead.dev/snapshot-of=default',
      '-o',
      'json',
    ]);
    const count: Record<string, number> = {};
    for (const { metadata } of (JSON.parse(text) as Listed).items) {
      const uid = metadata.ownerReferences?.map((owner) => owner.uid).join() ?? 'nobody';
      count[uid] = (count[uid] ?? 0) + 1;
    }
    return count;
  };
  const uid = async (): Promise<string> =>
    plane().kubectl(['get', 'llmgateway', 'default', '-n', NAMESPACE, '-o', 'jsonpath={.metadata.uid}']);
  const allBelongTo = async (owner: string): Promise<void> => {
    await eventually(
      async () => ((await owners())[owner] === SNAPSHOT_PARTS ? true : null),
      async () => JSON.stringify([owner, await owners()]),
    );
  };

  it('is served by the pods that live on, and has a snapshot of its own', async () => {
    await install(plane());
    const running = await startOperator(plane());
    const pod = await startPod(plane(), running, 'pod-1');
    for (const model of ['one', 'two', 'three']) {
      await apply(plane(), route(model));
      await eventually(() => (pod.table()?.routes[0]?.targets[0]?.model === model ? true : null));
    }
    const before = await uid();
    await allBelongTo(before);
    await plane().kubectl(['delete', 'llmgateway', 'default', '-n', NAMESPACE, '--cascade=orphan']);
    await apply(plane(), gateway, route('four'));
    await eventually(
      () => (pod.table()?.routes[0]?.targets[0]?.model === 'four' ? true : null),
      () => running.logged(),
    );
    const after = await uid();
    expect(after).not.toBe(before);
    await allBelongTo(after);
  });
});
