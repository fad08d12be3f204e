import { expect, it } from '@jest/globals';

import type { KubeClient } from '../kube/client.ts';
import { keyOf, type KubeObject, type ObjectRef, type Resource } from '../kube/objects.ts';
import { ManualTimers } from '../lib/timers.ts';
import { createLog } from '../telemetry/log.ts';
import { AuthorityKeeper } from './authority-keeper.ts';

const NAMESPACE = 'fairlead-system';

it('does without a gateway namespace that was deleted, and serves it once it is there again', async () => {
  const namespaces = new Set([NAMESPACE]);
  const stored = new Map<string, KubeObject>();
  const missing = (message: string) => ({ ok: false, error: { kind: 'not_found', message } });
  const store = async ({ kind }: Resource, object: KubeObject) => {
    const { namespace = '' } = object.metadata;
    if (!namespaces.has(namespace)) return missing(`namespaces "${namespace}" not found`);
    const given = (object['stringData'] ?? {}) as Readonly<Record<string, string>>;
    const data = Object.fromEntries(Object.entries(given).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
    stored.set(`${kind} ${keyOf(object.metadata)}`, { data, ...object });
    return { ok: true, value: object };
  };
  const client = {
    get: async ({ kind }: Resource, ref: ObjectRef) => {
      if (kind === 'Namespace') return namespaces.has(ref.name) ? { ok: true, value: { metadata: ref } } : missing(ref.name);
      const value = stored.get(`${kind} ${keyOf(ref)}`);
      return value === undefined ? missing(ref.name) : { ok: true, value };
    },
    create: store,
    apply: store,
  } as unknown as KubeClient;
  const timers = new ManualTimers();
  const keeper = new AuthorityKeeper({
    client,
    leader: client,
    timers,
    log: createLog({ level: 'silent', clock: timers, fd: 2, onDropped: () => {}, onError: () => {} }).logger,
    namespace: NAMESPACE,
    gatewayNamespaces: [NAMESPACE, 'team-gone'],
    name: 'fairlead-ca',
    dnsNames: ['localhost'],
    onCertificate: () => undefined,
  });
  keeper.lead();
  await timers.run(10_000);
  expect(keeper.hasCertificate).toBe(true);
  namespaces.add('team-gone');
  await timers.run(60_000);
  expect([...stored.keys()].sort()).toEqual([
    `ConfigMap ${NAMESPACE}/fairlead-ca`,
    'ConfigMap team-gone/fairlead-ca',
    `Secret ${NAMESPACE}/fairlead-ca`,
  ]);
  keeper.stop();
});
