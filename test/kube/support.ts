/** For tests against a real API server: a client of ours for it, and the kinds that they use. */
import { connectKube } from '../../src/kube/api-client.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import type { KubeObject, Resource } from '../../src/kube/objects.ts';
import type { KubeResult } from '../../src/kube/outcome.ts';
import { systemTimers } from '../../src/lib/timers.ts';

export const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true };
export const DEPLOYMENTS: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};
export const BUDGETS: Resource = {
  group: 'policy',
  version: 'v1',
  plural: 'poddisruptionbudgets',
  kind: 'PodDisruptionBudget',
  namespaced: true,
};
export const SCALED_OBJECTS: Resource = {
  group: 'keda.sh',
  version: 'v1alpha1',
  plural: 'scaledobjects',
  kind: 'ScaledObject',
  namespaced: true,
};

export function clientFor(kubeconfig: string, server?: string): KubeClient {
  const access = loadKubeConfig({ env: {}, clock: systemTimers, file: kubeconfig });
  return connectKube(server === undefined ? access : { ...access, server }, { timers: systemTimers });
}

export function configMap(name: string, data: Readonly<Record<string, string>>, namespace = 'default'): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
}

export function valueOf<T>(result: KubeResult<T>): T {
  if (!result.ok) throw new Error(`${result.error.kind}: ${result.error.message}`);
  return result.value;
}

/** Looks again and again until it holds; the test's own limit ends what never does. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}
