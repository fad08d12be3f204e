import { expect, it } from '@jest/globals';

import { parseObject } from '../api/parse.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { KubeClient } from '../kube/client.ts';
import { keyOf, type KubeObject, type ObjectRef, type Resource } from '../kube/objects.ts';
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

it('leaves the number of pods of a Deployment alone that somebody else made', async () => {
  const foreign: KubeObject = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'default-gateway', namespace: NAMESPACE, uid: 'theirs', resourceVersion: '1' },
    spec: { replicas: 7 },
  };
  const applied: string[] = [];
  const client = {
    list: async () => ({ ok: false, error: { kind: 'absent', message: 'none' } }),
    listAll: async () => ({ ok: true, value: { items: [], resourceVersion: '1', continue: null } }),
    get: async ({ kind }: Resource, ref: ObjectRef) =>
      kind === 'Deployment' && ref.name === foreign.metadata.name
        ? { ok: true, value: foreign }
        : { ok: false, error: { kind: 'not_found', message: 'none' } },
    apply: async ({ kind }: Resource, object: KubeObject) => {
      applied.push(`${kind} ${keyOf(object.metadata)}`);
      return { ok: true, value: { ...object, metadata: { ...object.metadata, uid: kind, resourceVersion: '2' } } };
    },
  } as unknown as KubeClient;
  const timers = new ManualTimers();
  const told: (Rendered | null)[] = [];
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
    onRendered: (_, rendered) => told.push(rendered),
  });
  loop.lead([`${NAMESPACE}/default`]);
  await timers.run(1);
  await loop.stop();
  expect(told[0]?.failures.join()).toContain('Deployment fairlead-system/default-gateway exists and was not made by fairlead');
  expect(applied).toContain('Service fairlead-system/default');
  expect(applied).not.toContain('Deployment fairlead-system/default-gateway');
});
