import { expect, it } from '@jest/globals';

import { parseObject } from '../api/parse.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { KubeClient } from '../kube/client.ts';
import { keyOf, type KubeObject, type ObjectRef, type Resource } from '../kube/objects.ts';
import type { KubeFailureKind } from '../kube/outcome.ts';
import { ManualTimers } from '../lib/timers.ts';
import { createLog } from '../telemetry/log.ts';
import { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { RenderLoop } from './render-loop.ts';
import type { Rendered } from './status/gateway-status.ts';

const NAMESPACE = 'fairlead-system';

function gateway(): LLMGateway {
  const parsed = parseObject({
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace: NAMESPACE, uid: 'u' },
    spec: { replicas: 3 },
  });
  if (!parsed.ok || parsed.value.kind !== 'LLMGateway') throw new Error('it is valid');
  return parsed.value;
}

function failed(kind: KubeFailureKind) {
  return { ok: false, error: { kind, message: kind } };
}

interface Cluster {
  readonly foreign?: KubeObject;
  /** What becomes of lists of kinds that others install. */
  readonly others?: KubeFailureKind;
  /** What an apply fails of now; null: it succeeds. */
  refuses?: KubeFailureKind | null;
}

/** A loop that leads, with one gateway, on an API server that has nothing; `applied`: what it was given. */
function leading(cluster: Cluster) {
  const { foreign, others = 'absent' } = cluster;
  const applied: string[] = [];
  const client = {
    list: async () => failed(others),
    listAll: async ({ group }: Resource) =>
      group === 'keda.sh' || group === 'monitoring.coreos.com'
        ? failed(others)
        : { ok: true, value: { items: [], resourceVersion: '1', continue: null } },
    get: async ({ kind }: Resource, ref: ObjectRef) =>
      foreign !== undefined && kind === foreign.kind && ref.name === foreign.metadata.name
        ? { ok: true, value: foreign }
        : failed('not_found'),
    apply: async ({ kind }: Resource, object: KubeObject) => {
      if (cluster.refuses != null) return failed(cluster.refuses);
      applied.push(`${kind} ${keyOf(object.metadata)}`);
      return { ok: true, value: { ...object, metadata: { ...object.metadata, uid: kind, resourceVersion: '2' } } };
    },
  } as unknown as KubeClient;
  const timers = new ManualTimers();
  const told: (readonly string[] | null)[] = [];
  const loop = new RenderLoop({
    client,
    leader: client,
    timers,
    random: () => 0,
    log: createLog({ level: 'silent', clock: timers, fd: 2, onDropped: () => {}, onError: () => {} }).logger,
    metrics: new OperatorMetrics(false),
    gateway,
    context: () => ({
      image: 'fairlead:1',
      imagePullPolicy: 'IfNotPresent',
      version: '0.1.0',
      stream: { url: 'https://localhost', audience: 'a' },
      caBundle: { configMap: 'ca', key: 'ca.crt' },
      podMonitorLabels: {},
      prometheusUrl: null,
    }),
    canStart: () => true,
    onRendered: (_, rendered: Rendered | null) => told.push(rendered?.failures ?? null),
  });
  loop.lead([`${NAMESPACE}/default`]);
  return { timers, loop, told, applied };
}

it('leaves the number of pods of a Deployment alone that somebody else made', async () => {
  const foreign: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'default-gateway', namespace: NAMESPACE, uid: 'theirs', resourceVersion: '1' },
    spec: { replicas: 7 },
  };
  const { timers, loop, told, applied } = leading({ foreign });
  await timers.run(1);
  await loop.stop();
  expect(told[0]?.join()).toContain('Deployment fairlead-system/default-gateway exists and was not made by fairlead');
  expect(applied).toContain('Service fairlead-system/default');
  expect(applied).not.toContain('Deployment fairlead-system/default-gateway');
});

it('does without the kinds of others that it has no right to', async () => {
  const { timers, loop, told } = leading({ others: 'forbidden' });
  await timers.run(1);
  await loop.stop();
  expect(told).toEqual([[]]);
});

it('tells of what the API server could not do for a moment only once it has lasted', async () => {
  const cluster: Cluster = { refuses: 'throttled' };
  const { timers, loop, told } = leading(cluster);
  await timers.run(1_000);
  expect(told).toEqual([]);
  cluster.refuses = null;
  await timers.run(10_000);
  expect(told).toEqual([[]]);
  cluster.refuses = 'unavailable';
  loop.touch(`${NAMESPACE}/default`);
  await timers.run(30_000);
  await loop.stop();
  expect(told.length).toBeGreaterThan(1);
  expect(told.slice(1).every((failures) => failures?.includes('unavailable'))).toBe(true);
});

it('counts how long something fails anew when it leads again', async () => {
  const cluster: Cluster = { refuses: 'throttled' };
  const { timers, loop, told } = leading(cluster);
  await timers.run(1_000);
  loop.resign();
  await timers.run(600_000);
  loop.lead([`${NAMESPACE}/default`]);
  await timers.run(1_000);
  expect(told).toEqual([]);
  await timers.run(30_000);
  await loop.stop();
  expect(told.length).toBeGreaterThan(0);
});
