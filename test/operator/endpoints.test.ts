/** The addresses behind Services, on a real API server: what reaches a pod's table when they come and go, and what is written for it. */
import { expect, it } from '@jest/globals';
import { stringify } from 'yaml';

import type { Endpoints } from '../../src/routetable/types.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { apply, eventually, install, startOperator } from './support/operator.ts';
import { startPod } from './support/pod.ts';

const TEAM = 'team-a';
const CHAT = `${TEAM}/vllm:80`;

const route = (name: string, service: string): Readonly<Record<string, unknown>> => ({
  kind: 'LLMRoute',
  metadata: { name, namespace: TEAM },
  spec: {
    modelNames: [name],
    models: [
      {
        name: 'llama',
        provider: { type: 'OpenAICompatible', openAICompatible: { model: 'llama', serviceRef: { name: service, port: 80 } } },
        auth: { type: 'None' },
      },
    ],
    rules: [{ name: 'default', targets: [{ model: 'llama' }] }],
  },
});

const service = (name: string, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: TEAM },
  spec: { ports: [{ name: 'http', port: 80, targetPort: 8000 }], ...spec },
});

const slice = (name: string, of: string, pods: readonly string[], ready = true): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: TEAM, labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8000 }],
  endpoints: pods.map((address) => ({ addresses: [address], conditions: { ready } })),
});

interface Shown {
  readonly metadata: { readonly resourceVersion: string };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly reason: string; readonly message: string }[];
    readonly backends?: readonly { readonly name: string; readonly reason: string }[];
  };
}

describeWithControlPlane('the addresses behind a Service', (plane) => {
  it('reach every pod as one small change, and write no status; a Service without any is named in it', async () => {
    await install(plane());
    await plane().kubectl(['create', 'namespace', TEAM]);
    const put = (...objects: readonly object[]): Promise<string> =>
      plane().kubectl(['apply', '--server-side', '-f', '-'], objects.map((object) => `---\n${stringify(object)}`).join(''));
    await put(service('vllm'), slice('one', 'vllm', ['10.1.0.1']));
    const running = await startOperator(plane(), { outageHeldForMs: 200 });
    const pod = await startPod(plane(), running, 'pod-1');
    const show = async (kind: string, namespace: string, name: string): Promise<Shown> =>
      JSON.parse(await plane().kubectl(['get', kind, name, '-n', namespace, '-o', 'json'])) as Shown;
    const until = (type: string, reason: string): Promise<Shown> =>
      eventually(
        async () => {
          const shown = await show('llmroute', TEAM, 'chat');
          return shown.status?.conditions?.find((each) => each.type === type)?.reason === reason ? shown : null;
        },
        async () => `${JSON.stringify(await show('llmroute', TEAM, 'chat'))}\n${await running.logged()}`,
      );
    const endpoints = (): Endpoints | undefined => pod.table()?.endpoints.find(({ id }) => id === CHAT);
    const addresses = (wanted: readonly string[]): Promise<true> =>
      eventually(
        () => (JSON.stringify(endpoints()?.addresses) === JSON.stringify(wanted) ? true : null),
        async () => `${JSON.stringify(pod.table()?.endpoints)}\n${await running.logged()}`,
      );
    await apply(plane(), route('chat', 'vllm'), route('second', 'vllm'));
    await until('Programmed', 'Programmed');
    await addresses(['10.1.0.1:8000']);
    const clusterIP = await plane().kubectl(['get', 'service', 'vllm', '-n', TEAM, '-o', 'jsonpath={.spec.clusterIP}']);
    expect(endpoints()?.fallback).toBe(`${clusterIP}:80`);
    expect(pod.table()?.routes.map(({ targets }) => targets[0]?.endpoints)).toEqual([CHAT, CHAT]);
    expect(pod.table()?.endpoints).toHaveLength(1);

    // Twenty times up and down: the routes' entries stay the very same, and nothing of ours is written.
    const before = {
      routes: pod.table()?.routes,
      chat: (await show('llmroute', TEAM, 'chat')).metadata.resourceVersion,
      gateway: (await show('llmgateway', 'fairlead-system', 'default')).metadata.resourceVersion,
    };
    const all = ['10.1.0.1', '10.1.0.2', '10.1.0.3'];
    for (let round = 0; round < 10; round++) {
      await put(slice('one', 'vllm', all));
      await addresses(all.map((address) => `${address}:8000`));
      await put(slice('one', 'vllm', all.slice(round % 3, (round % 3) + 1)));
      await addresses(all.slice(round % 3, (round % 3) + 1).map((address) => `${address}:8000`));
    }
    expect(pod.table()?.routes).toBe(before.routes);
    expect((await show('llmroute', TEAM, 'chat')).metadata.resourceVersion).toBe(before.chat);
    expect((await show('llmgateway', 'fairlead-system', 'default')).metadata.resourceVersion).toBe(before.gateway);

    // Nobody is ready: what the pods say of it is in the status, by the model's name.
    await put(slice('one', 'vllm', all, false));
    await addresses([]);
    const target = pod.table()?.routes[0]?.targets[0];
    pod.upstreams = [
      {
        upstreamId: target?.upstreamId ?? '',
        credentialId: null,
        state: 'Ejected',
        reason: 'NoEndpoints',
        sinceMs: Date.now(),
      },
    ];
    const empty = await until('Ready', 'NoHealthyBackend');
    expect(empty.status?.backends).toMatchObject([{ name: 'llama', reason: 'NoEndpoints' }]);
    expect(empty.status?.conditions?.find(({ type }) => type === 'Ready')?.message).toContain('llama (NoEndpoints)');
    pod.upstreams = [];
    await put(slice('one', 'vllm', all));
    await until('Ready', 'Ready');

    // It becomes an ExternalName: at no moment does anything lead where that says.
    await plane().kubectl([
      ...['patch', 'service', 'vllm', '-n', TEAM, '--type=merge', '-p'],
      '{"spec":{"type":"ExternalName","externalName":"metadata.evil.example","clusterIP":null,"clusterIPs":null}}',
    ]);
    const refused = await until('ResolvedRefs', 'RefNotPermitted');
    expect(JSON.stringify(refused.status)).toContain('ExternalName');
    expect(pod.table()?.endpoints).toEqual([]);

    // A namespace in which no Service is named any more is not followed.
    await plane().kubectl(['delete', 'llmroute', '--all', '-n', TEAM]);
    await eventually(() => (pod.table()?.routes.length === 0 ? true : null));
    await put(slice('one', 'vllm', ['10.1.0.9']));
    await put(service('other'), slice('two', 'other', ['10.1.0.7']));
    await apply(plane(), route('chat', 'other'));
    await eventually(() => (pod.table()?.endpoints.some(({ addresses: [first] }) => first === '10.1.0.7:8000') ? true : null));
    expect(pod.table()?.endpoints.map(({ id }) => id)).toEqual([`${TEAM}/other:80`]);
  });
});
