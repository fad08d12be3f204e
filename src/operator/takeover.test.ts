/** What a new leader writes before and after it has heard the pods of the one before it. */
import { describe, expect, it } from '@jest/globals';

import type { KubeClient, KubeEvent } from '../kube/client.ts';
import type { KubeObject, ObjectRef, Resource } from '../kube/objects.ts';
import { createLog } from '../telemetry/log.ts';
import { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { ControlLoop } from './control.ts';
import type { PodState, ProgressChange, SnapshotKeeper, TableServer } from './delivery/delivery.ts';
import { World } from './testdata/world.ts';

const NAMESPACE = 'fairlead-system';
const GATEWAY = `${NAMESPACE}/default`;
const SINCE = '1970-01-01T00:00:00Z';

function gateway(generation = 1): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: {
      name: 'default',
      namespace: NAMESPACE,
      uid: 'g',
      generation,
      resourceVersion: String(generation),
      annotations: { 'fairlead.dev/is-default-gateway': 'true' },
    },
    spec: { listener: { maxConnectionAge: `${generation}m` } },
    status: {
      conditions: [
        {
          type: 'Rendered',
          status: 'True',
          reason: 'Rendered',
          message: '',
          observedGeneration: 1,
          lastTransitionTime: SINCE,
        },
      ],
    },
  };
}

function route(status: Readonly<Record<string, unknown>>): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: NAMESPACE, uid: 'r', generation: 1, resourceVersion: '1' },
    spec: {
      modelNames: ['chat'],
      models: [
        {
          name: 'main',
          provider: { type: 'OpenAI' },
          auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: 'openai' } } },
        },
      ],
      rules: [{ name: 'default', targets: [{ model: 'main' }] }],
    },
    status,
  };
}

function kubePod(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, resourceVersion: '1', labels: { 'fairlead.dev/gateway': 'default' } },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** As it is when its stream has opened, before its first report. */
function silent(name: string): PodState {
  return {
    namespace: NAMESPACE,
    name,
    uid: name,
    gateway: GATEWAY,
    ready: false,
    connected: true,
    ackedSequence: 0,
    digest: '',
    nacks: [],
    version: '',
    lastSeenMs: 0,
    upstreams: [],
    limitsProblem: null,
    load: { inFlightRequests: 0, inFlightStreams: 0, requestsTotal: 0 },
    exhausted: [],
  };
}

/** A replica that stands by, warm, beside pods that serve the route; `status`: what the leader before it wrote of that. */
async function standingBy(status: Readonly<Record<string, unknown>>, pods: readonly string[]) {
  const world = new World();
  const heard = new Map<string, PodState>();
  let told: (pod: PodState) => void = () => {};
  let progressed: (change: ProgressChange) => void = () => {};
  const server = {
    publish: () => {},
    sequence: () => 1,
    configSequence: () => 1,
    pods: () => [...heard.values()],
    progress: () => {
      const readyPods = [...heard.values()].filter(({ ready }) => ready).length;
      return { readyPods, programmedPods: readyPods, rejected: [] };
    },
    onProgress: (listener: (change: ProgressChange) => void) => {
      progressed = listener;
      return () => {};
    },
    onPod: (listener: (pod: PodState) => void) => {
      told = listener;
      return () => {};
    },
  } as unknown as TableServer;
  const written: Readonly<Record<string, unknown>>[] = [];
  const writtenOfGateway: Readonly<Record<string, unknown>>[] = [];
  const events: string[] = [];
  let version = 1;
  const client = {
    ...world.client,
    patchStatus: async ({ kind }: Resource, ref: ObjectRef, _: string, patch: Readonly<Record<string, unknown>>) => {
      const before = kind === 'LLMRoute' ? route(status) : gateway();
      (kind === 'LLMRoute' ? written : writtenOfGateway).push(patch);
      const after = { ...(before['status'] as object | undefined), ...patch };
      return { ok: true, value: { ...before, metadata: { ...ref, resourceVersion: String(++version) }, status: after } };
    },
    createEvent: async ({ reason }: KubeEvent) => {
      events.push(reason);
      return { ok: true, value: undefined };
    },
  } as unknown as KubeClient;
  const control = new ControlLoop({
    watch: world.watch,
    client,
    leader: client,
    timers: world.timers,
    server,
    snapshots: { publish: () => {}, leftOut: () => [], onLeftOut: () => () => {} } as unknown as SnapshotKeeper,
    metrics: new OperatorMetrics(false),
    log: createLog({ level: 'silent', clock: world.timers, fd: 2, onDropped: () => {}, onError: () => {} }).logger,
    gatewayNamespaces: [NAMESPACE],
    secretNamespaces: [],
    keyNamespaces: [],
    onGateway: () => {},
  });
  world.hold({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'openai', namespace: NAMESPACE, resourceVersion: '1' },
    data: { 'api-key': Buffer.from('sk-1').toString('base64') },
  });
  world.tell({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, resourceVersion: '1' } });
  world.tell(gateway());
  world.tell(route(status));
  for (const name of pods) world.tell(kubePod(name));
  await world.timers.run(60_000);
  const target = control.compiled?.tables.get(GATEWAY)?.routes[0]?.targets[0];
  if (target === undefined) throw new Error('the route is served');
  const out = { upstreamId: target.upstreamId, credentialId: null, state: 'Ejected', reason: 'RateLimited', sinceMs: 0 } as const;
  const hear = (pod: PodState): void => {
    const ready = heard.get(pod.name)?.ready ?? false;
    heard.set(pod.name, pod);
    if (pod.ready !== ready) progressed({ gateway: pod.gateway, routes: null });
    told(pod);
  };
  return { world, control, written, writtenOfGateway, events, hear, out };
}

const EJECTED = {
  observedGeneration: 1,
  conditions: [{ type: 'Programmed', status: 'True', reason: 'Programmed', message: '', lastTransitionTime: SINCE }],
  backends: [{ name: 'main', state: 'Ejected', reason: 'RateLimited', since: SINCE }],
};

describe('a leader that takes over', () => {
  it('does not tell of a recovery while it has not heard every pod, nor of an outage anew that goes on', async () => {
    const { world, control, written, events, hear, out } = await standingBy(EJECTED, ['a', 'b']);
    control.lead();
    await world.timers.run(500);
    hear({ ...silent('a'), ready: true, digest: 'd', ackedSequence: 1 });
    await world.timers.run(500);
    hear({ ...silent('b'), ready: true, digest: 'd', ackedSequence: 1, upstreams: [out] });
    await world.timers.run(60_000);
    control.stop();
    expect(events.filter((reason) => reason.startsWith('Backend'))).toEqual([]);
    expect(written.length).toBeGreaterThan(0);
    expect(written.filter(({ backends }) => JSON.stringify(backends) !== JSON.stringify(EJECTED.backends))).toEqual([]);
  });

  it('does not call a pod unready that has connected and not spoken yet', async () => {
    const { world, control, written, writtenOfGateway, hear } = await standingBy({}, ['a']);
    control.lead();
    hear(silent('a'));
    await world.timers.run(5_000);
    hear({ ...silent('a'), ready: true, digest: 'd', ackedSequence: 1 });
    await world.timers.run(20_000);
    control.stop();
    expect(JSON.stringify(written)).toContain('every ready gateway pod serves this');
    expect(JSON.stringify([written, writtenOfGateway])).not.toContain('NoGatewayPods');
  });

  it('leaves it standing that a gateway is rendered, as of the generation that was, until it has rendered another', async () => {
    const { world, control, writtenOfGateway, hear } = await standingBy({}, ['a']);
    control.lead();
    hear({ ...silent('a'), ready: true, digest: 'd', ackedSequence: 1 });
    await world.timers.run(1_000);
    world.tell(gateway(2));
    await world.timers.run(1_000);
    control.rendered(GATEWAY, { held: null, issues: [], failures: [], generation: 2 });
    await world.timers.run(1_000);
    world.tell(gateway(3));
    await world.timers.run(1_000);
    control.stop();
    const rendered = writtenOfGateway.map(({ observedGeneration, conditions }) => [
      observedGeneration,
      (conditions as readonly Record<string, unknown>[]).find(({ type }) => type === 'Rendered'),
    ]);
    expect(rendered.map(([observed, found]) => [observed, found])).toEqual(
      [
        [1, 1],
        [2, 1],
        [2, 2],
        [3, 2],
      ].map(([observed, observedGeneration]) => [
        observed,
        expect.objectContaining({ status: 'True', observedGeneration, lastTransitionTime: SINCE }),
      ]),
    );
  });

  it('goes on telling of everything else where the status of one object cannot be told', async () => {
    const { world, control, written, writtenOfGateway, hear, out } = await standingBy({}, ['a']);
    control.lead();
    const sinceMs = Number.MAX_SAFE_INTEGER;
    hear({ ...silent('a'), ready: true, digest: 'd', ackedSequence: 1, upstreams: [{ ...out, sinceMs }] });
    await world.timers.run(20_000);
    const before = writtenOfGateway.length;
    world.tell(gateway(2));
    await world.timers.run(1_000);
    control.stop();
    expect(written.filter(({ backends }) => backends != null)).toEqual([]);
    expect(writtenOfGateway.length).toBeGreaterThan(before);
  });
});
