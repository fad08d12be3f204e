/** One operator and some gateways as processes of their own, as their pods would run them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { GATEWAY_ENV, OPERATOR_ENV } from '../../../src/lib/pod.ts';
import type { ControlPlane } from '../../controlplane/control-plane.ts';
import { install, NAMESPACE } from '../../operator/support/operator.ts';
import { markReady, podObject } from '../../operator/support/pod.ts';
import { freePort } from '../processes.ts';

const START_MS = 120_000;
const POLL_MS = 100;
const ROOT = join(import.meta.dirname, '..', '..', '..');

export interface Fleet {
  /** Of the gateways, for clients. */
  readonly ports: readonly number[];
  operatorRssMiB(): number;
  /** The most that it has been since it started. */
  operatorPeakMiB(): number;
  /** Of each gateway now. */
  gatewaysRssMiB(): readonly number[];
  /** The last lines of each process's log. */
  words(): string;
  stop(): Promise<void>;
}

/** `prepare`: makes what shall be there when the operator starts. */
export async function startFleet(
  plane: ControlPlane,
  spec: Readonly<Record<string, unknown>>,
  pods: number,
  prepare: () => Promise<void>,
): Promise<Fleet> {
  await install(plane, spec);
  await prepare();
  const children: { readonly child: ChildProcess; readonly log: string }[] = [];
  const run = (name: string, program: string, env: Readonly<Record<string, string>>): ChildProcess => {
    const log = join(plane.folder, `${name}.log`);
    const fd = openSync(log, 'w');
    // As the image runs them.
    const argv = ['--max-semi-space-size=8', join(ROOT, 'dist/cmd', program, 'main.js')];
    const own = { PATH: process.env['PATH'], MALLOC_ARENA_MAX: '1', ...env };
    const child = spawn(process.execPath, argv, { stdio: ['ignore', fd, fd], env: own });
    closeSync(fd);
    children.push({ child, log });
    return child;
  };
  const words = (): string =>
    children.map(({ log }) => readFileSync(log, 'utf8').trimEnd().split('\n').slice(-3).join('\n')).join('\n');
  const stop = async (): Promise<void> => {
    for (const { child } of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  };
  try {
    const streamPort = await freePort();
    const account = (await plane.kubectl(['create', 'token', 'fairlead-operator', '-n', NAMESPACE, '--duration', '8h'])).trim();
    const operator = run('operator', 'operator', {
      KUBECONFIG: plane.kubeconfigFor('bench-operator', account),
      [OPERATOR_ENV.namespace]: NAMESPACE,
      [OPERATOR_ENV.image]: 'fairlead:bench',
      [OPERATOR_ENV.streamUrl]: `https://localhost:${streamPort}`,
      [OPERATOR_ENV.streamPort]: String(streamPort),
      [OPERATOR_ENV.adminPort]: '0',
    });
    const ports: number[] = [];
    const gateways: ChildProcess[] = [];
    for (let index = 0; index < pods; index++) {
      const name = `bench-${index}`;
      const identity = await identityOf(plane, name, words);
      const port = await freePort();
      const adminPort = await freePort();
      const gateway = run(name, 'gateway', {
        [GATEWAY_ENV.operatorUrl]: `https://localhost:${streamPort}`,
        [GATEWAY_ENV.caFile]: join(identity, 'ca.crt'),
        [GATEWAY_ENV.tokenFile]: join(identity, 'token'),
        [GATEWAY_ENV.snapshotDir]: join(identity, 'snapshot'),
        [GATEWAY_ENV.port]: String(port),
        [GATEWAY_ENV.adminPort]: String(adminPort),
      });
      await eventually(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status === 200, words);
      await markReady(plane, name, true);
      ports.push(port);
      gateways.push(gateway);
    }
    const gatewaysRssMiB = (): readonly number[] => gateways.map(rssMiB);
    const operatorPeakMiB = (): number => statusMiB(operator, 'VmHWM');
    return { ports, operatorRssMiB: () => rssMiB(operator), operatorPeakMiB, gatewaysRssMiB, words, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the kubelet would mount: a token that is bound to the pod, and the operator's authority. */
async function identityOf(plane: ControlPlane, name: string, words: () => string): Promise<string> {
  const get = async (...argv: readonly string[]): Promise<string> =>
    plane.kubectl(['get', ...argv, '-n', NAMESPACE, '--ignore-not-found']);
  await eventually(async () => (await get('serviceaccount', 'default-gateway')) !== '', words);
  await plane.kubectl(['apply', '-f', '-'], JSON.stringify(podObject(name, 'default')));
  const bound = [
    '--audience',
    'fairlead-operator',
    '--bound-object-kind',
    'Pod',
    '--bound-object-name',
    name,
    '--duration',
    '8h',
  ];
  const token = await plane.kubectl(['create', 'token', 'default-gateway', '-n', NAMESPACE, ...bound]);
  let ca = '';
  await eventually(async () => {
    ca = await get('configmap', 'fairlead-ca', '-o', 'jsonpath={.data.ca\\.crt}');
    return ca !== '';
  }, words);
  const folder = join(plane.folder, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'token'), token.trim());
  writeFileSync(join(folder, 'ca.crt'), ca);
  return folder;
}

async function eventually(holds: () => Promise<boolean>, words: () => string): Promise<void> {
  const endMs = performance.now() + START_MS;
  for (;;) {
    const found = await holds().catch(() => false);
    if (found) return;
    if (performance.now() > endMs) throw new Error(`in vain; the processes said:\n${words()}`);
    await sleep(POLL_MS);
  }
}

const rssMiB = (child: ChildProcess): number => statusMiB(child, 'VmRSS');

function statusMiB({ pid }: ChildProcess, field: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1_024);
}
