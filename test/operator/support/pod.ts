/** A gateway pod as far as the operator sees one: an object that Kubernetes calls ready, and the real client of the stream. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Delivery } from '../../../src/gateway/delivery/delivery.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import type { ExhaustedBudget, UpstreamReport } from '../../../src/routetable/stream-messages.ts';
import type { RouteTable } from '../../../src/routetable/types.ts';
import type { ControlPlane } from '../../controlplane/control-plane.ts';
import { onCleanUp } from '../../features/support/clean-up.ts';
import { eventually, NAMESPACE, type RunningOperator } from './operator.ts';

export interface TestPod {
  readonly name: string;
  /** What it serves; null: nothing yet. */
  table(): RouteTable | null;
  /** What it says of its upstreams from now on. */
  upstreams: readonly UpstreamReport[];
  /** And of the Redis that its limits are shared over; null: it answers. */
  limitsProblem: string | null;
  /** The same of its budgets. */
  exhausted: readonly ExhaustedBudget[];
  /** Before its test ends, where it does at the latest. */
  stop(): Promise<void>;
}

export async function startPod(
  plane: ControlPlane,
  running: RunningOperator,
  name: string,
  gateway = 'default',
): Promise<TestPod> {
  await createGatewayPod(plane, name, () => running.logged(), gateway);
  const { token, ca } = await podIdentity(plane, name, () => running.logged(), gateway);
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-pod-'));
  writeFileSync(join(folder, 'token'), token);
  writeFileSync(join(folder, 'ca.crt'), ca);
  const port = await running.operator.streamPort();
  let table: RouteTable | null = null;
  let stopping: Promise<void> | null = null;
  const pod: TestPod = {
    name,
    table: () => table,
    upstreams: [],
    limitsProblem: null,
    exhausted: [],
    stop: () => (stopping ??= delivery.close()),
  };
  const delivery = new Delivery({
    url: new URL(`https://localhost:${port}`),
    caFile: join(folder, 'ca.crt'),
    tokenFile: join(folder, 'token'),
    snapshotDir: null,
    version: '0.1.0',
    clock: systemClock,
    random: Math.random,
    target: {
      apply: (applied) => {
        table = applied;
        return [];
      },
      get serving() {
        return table !== null;
      },
      countPods() {},
      upstreams: () => pod.upstreams,
      limitsProblem: () => pod.limitsProblem,
      load: () => ({ inFlightRequests: 0, inFlightStreams: 0, requestsTotal: 0 }),
      exhaustedBudgets: () => pod.exhausted,
    },
    onEvent: () => {},
  });
  onCleanUp(async () => {
    await pod.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  delivery.start();
  await eventually(
    () => (table === null ? null : true),
    async () => `the pod has no table: ${await running.logged()}`,
  );
  await markReady(plane, name, true);
  return pod;
}

/** The object alone, once its ServiceAccount was rendered. */
export async function createGatewayPod(
  plane: ControlPlane,
  name: string,
  why: () => Promise<string> | string,
  gateway = 'default',
): Promise<void> {
  const account = `${gateway}-gateway`;
  await eventually(
    async () => ((await plane.kubectl(['get', 'sa', account, '-n', NAMESPACE, '--ignore-not-found'])) === '' ? null : true),
    why,
  );
  await plane.kubectl(['apply', '-f', '-'], JSON.stringify(podObject(name, gateway)));
}

/** What the kubelet would mount into it. */
export async function podIdentity(
  plane: ControlPlane,
  name: string,
  why: () => Promise<string> | string,
  gateway = 'default',
): Promise<{ readonly token: string; readonly ca: string }> {
  const bound = ['--audience', 'fairlead-operator', '--bound-object-kind', 'Pod', '--bound-object-name', name];
  const token = await plane.kubectl(['create', 'token', `${gateway}-gateway`, '-n', NAMESPACE, ...bound]);
  const bundle = ['get', 'configmap', 'fairlead-ca', '-n', NAMESPACE, '--ignore-not-found', '-o', 'jsonpath={.data.ca\\.crt}'];
  const ca = await eventually(async () => (await plane.kubectl(bundle)) || null, why);
  return { token: token.trim(), ca };
}

export async function markReady(plane: ControlPlane, name: string, ready: boolean): Promise<void> {
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  await plane.kubectl([
    'patch',
    'pod',
    name,
    '-n',
    NAMESPACE,
    '--subresource=status',
    '--type=merge',
    '-p',
    JSON.stringify({ status: { conditions } }),
  ]);
}

export function podObject(name: string, gateway: string): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { 'fairlead.dev/gateway': gateway } },
    spec: {
      serviceAccountName: `${gateway}-gateway`,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'gateway',
          image: 'fairlead:test',
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}
