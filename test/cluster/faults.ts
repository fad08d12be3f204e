/** What breaks on a cluster, done from outside of it: containers' processes, the leader's Lease, the datastore put back to a backup. */
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { readSnapshot } from '../../src/gateway/delivery/snapshot-files.ts';
import { GATEWAY_PATHS } from '../../src/lib/pod.ts';
import type { Cluster } from './cluster.ts';
import { NAMESPACE } from './release.ts';
import { LEADER, OPERATORS, readyPods, type Pod } from './traffic.ts';

/** Looks again until `look` gives something; how long that took. */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => Promise<T | undefined>,
): Promise<{ value: T; tookMs: number }> {
  const startedMs = performance.now();
  for (;;) {
    const value = await look();
    const tookMs = performance.now() - startedMs;
    if (value !== undefined) return { value, tookMs };
    if (tookMs > limitMs) throw new Error(`not so after ${limitMs} ms: ${what}`);
    await sleep(50);
  }
}

/** Process of the program in a pod's container, on this machine. */
export async function processOf(cluster: Cluster, pod: Pod): Promise<number> {
  const uid = await cluster.kubectl(['-n', NAMESPACE, 'get', 'pod', pod.name, '-o', 'jsonpath={.metadata.uid}']);
  const pids = readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(uid) &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node')
        );
      } catch {
        // It ended while it was looked at.
        return false;
      }
    });
  const [pid] = pids;
  if (pid === undefined) throw new Error(`no process of ${pod.name} on this machine`);
  return pid;
}

/** What of a pod's table a container that starts anew would find without an operator: `kind key` of each entry. */
export async function inSnapshotOf(pid: number): Promise<readonly string[]> {
  const { parts } = await readSnapshot(join('/proc', String(pid), 'root', GATEWAY_PATHS.snapshot));
  return parts.flatMap(({ entries }) => entries.map(({ kind, key }) => `${kind} ${key}`));
}

export interface Leadership {
  /** Pod that the Lease names. */
  readonly holder: string;
  readonly transitions: number;
}

export async function leadership(cluster: Cluster): Promise<Leadership> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/fairlead`;
  const { text } = await cluster.plane.request('GET', path);
  const { spec } = JSON.parse(text) as {
    readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
  };
  return { holder: (spec?.holderIdentity ?? '').split('_')[0] ?? '', transitions: spec?.leaseTransitions ?? 0 };
}

/** Pods that bear the leader's label. */
export function leaders(cluster: Cluster): Promise<Pod[]> {
  return readyPods(cluster, `${OPERATORS},${LEADER}`);
}

/** The pod that leads; waits until there is one, and the stream's Service leads to it. */
export async function leader(cluster: Cluster): Promise<Pod> {
  const { value } = await until('one operator leads', 240_000, async () => {
    const [pod, ...others] = await leaders(cluster);
    const { holder } = await leadership(cluster);
    return pod !== undefined && others.length === 0 && holder === pod.name ? pod : undefined;
  });
  return value;
}

/** Another one than `before` leads: for how long there was none. */
export async function takeover(cluster: Cluster, before: Leadership, limitMs: number): Promise<number> {
  const { tookMs } = await until('another operator holds the Lease', limitMs, async () => {
    const now = await leadership(cluster);
    return now.transitions > before.transitions && now.holder !== '' && now.holder !== before.holder ? now : undefined;
  });
  return tookMs;
}

/** What everything that users and the operator wrote was at: unchanged where nobody writes. */
export async function versions(cluster: Cluster): Promise<string> {
  const kinds = 'llmroutes,llmgateways,deployments,services,secrets,configmaps,horizontalpodautoscalers,poddisruptionbudgets';
  return cluster.kubectl([
    ...['get', kinds, '-A', '-o'],
    'jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}',
  ]);
}

/**
 * Stops API server and datastore, lets `change` work on the data's folder, and starts them again; and Kubernetes' own components, as
 * its documentation asks for after a restore: they would wait for versions that the datastore has forgotten. Ours are left alone.
 */
export async function withDatastoreDown(cluster: Cluster, change: (data: string) => void): Promise<void> {
  const { plane, node } = cluster;
  const components = [node.programs.kubelet, node.programs.proxy, node.programs.dns, node.scheduler];
  for (const component of components) await component.stop();
  await plane.controllers.stop();
  await plane.apiServer.stop();
  await plane.etcd.stop();
  change(join(plane.folder, 'etcd'));
  plane.etcd.start();
  plane.apiServer.start();
  await plane.ready();
  plane.controllers.start();
  for (const component of components) component.start();
}

export function copyOver(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}

/** The node has told the API server of itself since now. */
export async function nodeSeen(cluster: Cluster, limitMs: number): Promise<void> {
  const sinceMs = Date.now();
  await until('every node renews its Lease', limitMs, async () => {
    const { text } = await cluster.plane.request('GET', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases');
    const { items = [] } = JSON.parse(text) as { readonly items?: readonly { readonly spec: { readonly renewTime: string } }[] };
    return items.length > 0 && items.every(({ spec }) => Date.parse(spec.renewTime) > sinceMs) ? true : undefined;
  });
}
