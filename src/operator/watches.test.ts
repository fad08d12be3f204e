import { expect, it } from '@jest/globals';

import type { KubeClient } from '../kube/client.ts';
import type { Resource } from '../kube/objects.ts';
import { ManualTimers } from '../lib/timers.ts';
import { LLM_ROUTES, PODS, REFERENCE_GRANTS } from './resources.ts';
import { Watches } from './watches.ts';

it('says once, and by name, what may not be read', async () => {
  const timers = new ManualTimers();
  const list = async ({ plural }: Resource) => {
    if (plural === 'llmroutes') return { ok: false, error: { kind: 'unavailable', status: 503, message: 'it starts' } };
    if (plural === 'referencegrants') return { ok: false, error: { kind: 'absent', status: 404, message: 'no such kind' } };
    return { ok: false, error: { kind: 'forbidden', status: 403, message: `GET /api/v1/namespaces/edge/pods: 403 ${plural}` } };
  };
  const warned: unknown[] = [];
  const watches = new Watches(
    { client: { list } as unknown as KubeClient, timers, random: () => 0 },
    { warn: (fields: unknown) => void warned.push(fields) },
  );
  const parse = (): string => '';
  const views = [
    watches.start({ resource: PODS, namespace: 'edge', parse }),
    watches.start({ resource: LLM_ROUTES, parse }),
    ...REFERENCE_GRANTS.map((resource) => watches.start({ resource, parse })),
  ];
  await timers.run(60_000);
  expect(warned).toEqual([{ watch: 'pods of edge', failure: 'GET /api/v1/namespaces/edge/pods: 403 pods' }]);
  expect(watches.unread()).toEqual(['pods of edge (GET /api/v1/namespaces/edge/pods: 403 pods)', 'llmroutes (it starts)']);
  for (const view of views) view.stop();
  expect(watches.unread()).toEqual([]);
});
