import { expect, it } from '@jest/globals';

import { describeWithControlPlane } from '../controlplane/describe.ts';
import { apply, eventually, install, startOperator } from './support/operator.ts';
import { startPod } from './support/pod.ts';

const ROUTE = {
  kind: 'LLMRoute',
  metadata: { name: 'chat', namespace: 'team-a' },
  spec: {
    modelNames: ['chat'],
    models: [
      {
        name: 'main',
        provider: { type: 'OpenAI', openAI: { model: 'gpt-4o' } },
        auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: 'openai' } } },
      },
      { name: 'open', provider: { type: 'OpenAI' }, auth: { type: 'None' } },
    ],
    rules: [{ name: 'default', targets: [{ model: 'main' }, { model: 'open', priority: 1 }] }],
  },
};
const SECRET = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'openai', namespace: 'team-a' },
  stringData: { 'api-key': 'sk-test-0000' },
};

describeWithControlPlane('the operator', (plane) => {
  it('brings an applied route to every pod and says so', async () => {
    await install(plane());
    const running = await startOperator(plane());
    const pods = [await startPod(plane(), running, 'pod-1'), await startPod(plane(), running, 'pod-2')];
    await plane().kubectl(['create', 'namespace', 'team-a']);
    await apply(plane(), SECRET, ROUTE);
    await plane().kubectl(['wait', '--for=condition=Programmed', 'llmroute/chat', '-n', 'team-a', '--timeout=30s']);
    for (const pod of pods) expect(pod.table()?.routes.map(({ id }) => id)).toEqual(['team-a/chat']);
    expect(JSON.parse(await plane().kubectl(['get', 'llmroute', 'chat', '-n', 'team-a', '-o', 'json']))).toMatchObject({
      status: {
        endpoint: 'http://default.fairlead-system.svc:8080/v1',
        models: { total: 2, healthy: 2 },
        conditions: [
          { type: 'Accepted', status: 'True' },
          { type: 'ResolvedRefs', status: 'True' },
          { type: 'Programmed', status: 'True' },
          { type: 'Ready', status: 'True', reason: 'Ready' },
        ],
      },
    });
    await eventually(
      async () => ((await plane().kubectl(['get', 'events', '-n', 'team-a'])).includes('Programmed') ? true : null),
      () => running.logged(),
    );
  });
});
