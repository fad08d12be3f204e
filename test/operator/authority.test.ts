/** A standby and the leader's authority: its Secret and its bundle are written one after the other, and a standby may look in between. */
import { afterEach, expect, it } from '@jest/globals';

import { connectKube } from '../../src/kube/api-client.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import { systemTimers, type Timers } from '../../src/lib/timers.ts';
import { AuthorityKeeper } from '../../src/operator/authority-keeper.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { eventually } from './support/operator.ts';

const NAMESPACE = 'default';

describeWithControlPlane("a standby's certificate", (plane) => {
  const keepers: AuthorityKeeper[] = [];
  const clients: KubeClient[] = [];
  const keeper = (...made: Parameters<typeof keeperOf>): AuthorityKeeper => {
    const each = keeperOf(...made);
    keepers.push(each);
    return each;
  };
  afterEach(() => {
    for (const each of keepers.splice(0)) each.stop();
    for (const client of clients.splice(0)) client.close();
  });

  it('is made soon after the bundle is published, though its Secret was seen before', async () => {
    const client = connectKube(loadKubeConfig({ env: {}, clock: systemTimers, file: plane().kubeconfig }), {
      timers: systemTimers,
      reporter: { controller: 'fairlead.dev/operator', instance: 'test' },
    });
    clients.push(client);
    const wakings: { readonly ms: number; readonly wake: () => void }[] = [];
    const timers: Timers = {
      ...systemTimers,
      after: (ms, wake) => {
        wakings.push({ ms, wake });
        return () => undefined;
      },
    };
    // Without a gateway namespace there is no bundle to write: the Secret alone, as in the moment between the two.
    const first = keeper(client, systemTimers, []);
    first.lead();
    await eventually(() => (first.hasCertificate ? true : null));
    const standby = keeper(client, timers, [NAMESPACE]);
    standby.start();
    const waiting = await eventually(() => wakings[0] ?? null);
    expect(standby.hasCertificate).toBe(false);
    expect(waiting.ms).toBeLessThanOrEqual(2_000);

    const leader = keeper(client, systemTimers, [NAMESPACE]);
    leader.lead();
    await eventually(() => (leader.hasCertificate ? true : null));
    waiting.wake();
    await eventually(() => (standby.hasCertificate ? true : null));
  });
});

function keeperOf(client: KubeClient, timers: Timers, gatewayNamespaces: readonly string[]): AuthorityKeeper {
  return new AuthorityKeeper({
    client,
    leader: client,
    timers,
    log: createLog({ level: 'silent', clock: systemTimers, fd: 2, onDropped: () => {}, onError: () => {} }).logger,
    namespace: NAMESPACE,
    gatewayNamespaces,
    name: 'fairlead-ca',
    dnsNames: ['localhost'],
    onCertificate: () => undefined,
  });
}
