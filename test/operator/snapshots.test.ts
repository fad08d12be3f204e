/** The Secrets that a snapshot lies in, on a real API server: what is there is told without reading what is in it. */
import { expect, it } from '@jest/globals';

import { connectKube } from '../../src/kube/api-client.ts';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import { systemTimers } from '../../src/lib/timers.ts';
import { snapshotStore } from '../../src/operator/snapshot-store.ts';
import { snapshotSecretName } from '../../src/routetable/snapshot-pack.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { onCleanUp } from '../features/support/clean-up.ts';

describeWithControlPlane("a snapshot's Secrets", (plane) => {
  it('are known by their digests, and those that somebody deleted are missed', async () => {
    const client = connectKube(loadKubeConfig({ env: {}, clock: systemTimers, file: plane().kubeconfig }), {
      timers: systemTimers,
    });
    onCleanUp(() => client.close());
    const gateway = { namespace: 'default', name: 'default' };
    const store = snapshotStore(client, client, () => '4f6d0c8e-0000-4000-8000-000000000001');
    for (const part of [0, 7]) {
      const order = { epoch: 1, sequence: 1 };
      await store.write({ gateway, part, order, digest: `digest-${part}`, bytes: Buffer.from('secret') });
    }
    expect([...(await store.stored(gateway))]).toEqual([
      [0, 'digest-0'],
      [7, 'digest-7'],
    ]);
    await plane().kubectl(['delete', 'secret', snapshotSecretName(gateway.name, 7), '-n', gateway.namespace]);
    expect([...(await store.stored(gateway))]).toEqual([[0, 'digest-0']]);
  });
});
