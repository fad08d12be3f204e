/** An operator in this process, on a real API server, with exactly the rights that `manifests/base` gives it. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments, stringify } from 'yaml';

import { connectKube } from '../../../src/kube/api-client.ts';
import { loadKubeConfig } from '../../../src/kube/kubeconfig.ts';
import { systemTimers } from '../../../src/lib/timers.ts';
import { readConfig } from '../../../src/operator/config.ts';
import { Operator } from '../../../src/operator/operator.ts';
import { createLog, type Log } from '../../../src/telemetry/log.ts';
import { OperatorMetrics } from '../../../src/telemetry/operator-metrics.ts';
import type { ControlPlane } from '../../controlplane/control-plane.ts';
import { onCleanUp } from '../../features/support/clean-up.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
export const NAMESPACE = 'fairlead-system';

/** What the API server shows of an object's status, whatever its kind. */
export interface ShownStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
    readonly observedGeneration: number;
    readonly lastTransitionTime: string;
  }[];
}

/** The CRDs, the namespace, the operator's rights and an LLMGateway `default`; no operator and no pods. */
export async function install(
  plane: ControlPlane,
  gatewaySpec: Readonly<Record<string, unknown>> = { replicas: 1 },
): Promise<void> {
  await plane.kubectl(['apply', '--server-side', '-k', join(ROOT, 'crds')]);
  await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
  await plane.kubectl(['apply', '-f', join(ROOT, 'manifests/base/namespace.yaml')]);
  await plane.kubectl(['apply', '-f', '-'], withoutDeployment(readFileSync(join(ROOT, 'manifests/base/operator.yaml'), 'utf8')));
  await plane.kubectl(['apply', '-f', join(ROOT, 'manifests/base/rbac.yaml')]);
  const annotations = { 'fairlead.dev/is-default-gateway': 'true' };
  await apply(plane, { kind: 'LLMGateway', metadata: { name: 'default', namespace: NAMESPACE, annotations }, spec: gatewaySpec });
}

/** The operator runs here: a Deployment of it would only be in the way. */
function withoutDeployment(text: string): string {
  const documents = parseAllDocuments(text).map((document) => document.toJS() as { kind?: string } | null);
  return documents
    .filter((each) => each !== null && each.kind !== 'Deployment')
    .map((each) => `---\n${stringify(each)}`)
    .join('');
}

/** Objects of ours without the words that they all begin with. */
export async function apply(plane: ControlPlane, ...objects: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
  const whole = objects.map((object) => ({ apiVersion: 'fairlead.dev/v1alpha1', ...object }));
  await plane.kubectl(['apply', '--server-side', '-f', '-'], whole.map((object) => `---\n${stringify(object)}`).join(''));
}

export interface RunningOperator {
  readonly operator: Operator;
  readonly metrics: OperatorMetrics;
  readonly adminPort: number;
  /** Everything that was logged so far. */
  logged(): Promise<string>;
}

export interface OperatorSettings {
  readonly env?: Readonly<Record<string, string>>;
  readonly outageHeldForMs?: number;
}

/** Resolves when it has read everything; it ends with the test. The stream is on `https://localhost`, on the port that it was given. */
export async function startOperator(plane: ControlPlane, settings: OperatorSettings = {}): Promise<RunningOperator> {
  const token = (await plane.kubectl(['create', 'token', 'fairlead-operator', '-n', NAMESPACE])).trim();
  const kubeconfig = plane.kubeconfigFor(`operator-${randomBytes(3).toString('hex')}`, token);
  const config = readConfig({
    FAIRLEAD_NAMESPACE: NAMESPACE,
    FAIRLEAD_IMAGE: 'fairlead:test',
    FAIRLEAD_STREAM_URL: 'https://localhost:9443',
    FAIRLEAD_STREAM_PORT: '0',
    FAIRLEAD_ADMIN_PORT: '0',
    ...settings.env,
  });
  if (!config.ok) throw new Error(config.error);
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-operator-'));
  const file = join(folder, 'log');
  const log = logTo(file);
  const metrics = new OperatorMetrics(false);
  const client = connectKube(loadKubeConfig({ env: {}, clock: systemTimers, file: kubeconfig }), {
    timers: systemTimers,
    reporter: { controller: 'fairlead.dev/operator', instance: 'test' },
  });
  const operator = new Operator({
    config: config.value,
    client,
    timers: systemTimers,
    random: Math.random,
    log: log.logger,
    metrics,
    version: '0.1.0',
    identity: `test_${randomBytes(6).toString('hex')}`,
    lease: { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 300 },
    ...(settings.outageHeldForMs === undefined ? {} : { outageHeldForMs: settings.outageHeldForMs }),
  });
  onCleanUp(async () => {
    await operator.stop();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const { adminPort } = await operator.start();
  const logged = async (): Promise<string> => {
    await log.flush();
    return readFileSync(file, 'utf8');
  };
  await eventually(
    async () => ((await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200 ? true : null),
    async () => `the operator is not ready: ${await logged()}`,
  );
  return { operator, metrics, adminPort, logged };
}

function logTo(file: string): Log {
  const fd = openSync(file, 'a');
  return createLog({ level: 'debug', clock: systemTimers, fd, onDropped: () => {}, onError: () => {} });
}

/** Asks until there is an answer; says what it asked in vain shortly before the test's own time is over. */
export async function eventually<T>(
  ask: () => Promise<T | null> | T | null,
  why: () => Promise<string> | string = () => '',
): Promise<T> {
  const endMs = performance.now() + 100_000;
  for (;;) {
    const answer = await ask();
    if (answer !== null) return answer;
    if (performance.now() > endMs) throw new Error(await why());
    await sleep(25);
  }
}
