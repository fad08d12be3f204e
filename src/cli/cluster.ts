/** The cluster that kubectl would talk to, as the commands of a person read it. */
import { connectKube } from '../kube/api-client.ts';
import type { KubeClient } from '../kube/client.ts';
import { loadKubeConfig } from '../kube/kubeconfig.ts';
import { keyOf, type KubeObject, type Resource } from '../kube/objects.ts';
import type { KubeFailure, KubeResult } from '../kube/outcome.ts';
import { member } from '../lib/json.ts';
import { ok } from '../lib/result.ts';
import { systemTimers } from '../lib/timers.ts';
import { CommandFailed, type Io, messageOf } from './io.ts';

export interface ClusterFlags {
  /** null: the kubeconfig's current one. */
  readonly context: string | null;
  readonly kubeconfig: string | null;
}

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): Resource {
  return { group, version, plural, kind, namespaced };
}

export const ROUTES = resource('fairlead.dev', 'v1alpha1', 'llmroutes', 'LLMRoute');
export const GATEWAYS = resource('fairlead.dev', 'v1alpha1', 'llmgateways', 'LLMGateway');
export const BACKENDS = resource('fairlead.dev', 'v1alpha1', 'llmbackends', 'LLMBackend');
export const QUOTAS = resource('fairlead.dev', 'v1alpha1', 'llmquotas', 'LLMQuota');
export const CRDS = resource('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', false);
export const LEASES = resource('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const DEPLOYMENTS = resource('apps', 'v1', 'deployments', 'Deployment');
export const PODS = resource('', 'v1', 'pods', 'Pod');
export const SECRETS = resource('', 'v1', 'secrets', 'Secret');

/** What to do where the installed CRDs are older than this build. */
export const UPGRADE_CRDS = 'kubectl apply --server-side -k crds/ (Helm never upgrades CRDs)';

/** The client is closed when `use` is done. Throws CommandFailed where there is no cluster to talk to. */
export async function withCluster<T>(io: Io, flags: ClusterFlags, use: (client: KubeClient) => Promise<T>): Promise<T> {
  let client: KubeClient;
  try {
    const access = loadKubeConfig({
      env: io.env,
      clock: io.clock,
      ...(flags.context === null ? {} : { context: flags.context }),
      ...(flags.kubeconfig === null ? {} : { file: flags.kubeconfig }),
    });
    client = connectKube(access, { timers: systemTimers });
  } catch (error) {
    throw new CommandFailed(messageOf(error));
  }
  try {
    return await use(client);
  } finally {
    client.close();
  }
}

/** What the cluster answered, or what is wrong in words for a person. */
export function must<T>(result: KubeResult<T>): T {
  if (result.ok) return result.value;
  throw new CommandFailed(explainFailure(result.error));
}

export function explainFailure({ kind, message }: KubeFailure): string {
  switch (kind) {
    case 'absent':
      return `${message}: Fairlead's CRDs are not installed here (kubectl apply --server-side -k crds/, or the Helm chart)`;
    case 'forbidden':
      return `${message}: you may not read this in this cluster`;
    case 'unauthorized':
      return `${message}: the cluster does not know you; log in again`;
    default:
      return message;
  }
}

/** Sorted by namespace and name. `namespace` null: of all namespaces. */
export async function listKind(
  client: KubeClient,
  of: Resource,
  namespace: string | null,
  labelSelector?: string,
): Promise<KubeResult<readonly KubeObject[]>> {
  const query = { ...(namespace === null ? {} : { namespace }), ...(labelSelector === undefined ? {} : { labelSelector }) };
  const listed = await client.listAll(of, query);
  return listed.ok ? ok([...listed.value.items].sort((a, b) => (keyOf(a.metadata) < keyOf(b.metadata) ? -1 : 1))) : listed;
}

/** The same; throws CommandFailed where it cannot be had. */
export async function listObjects(...asked: Parameters<typeof listKind>): Promise<readonly KubeObject[]> {
  return must(await listKind(...asked));
}

export interface ShownCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** It was decided on an older version of the object. */
  readonly stale: boolean;
}

export function conditionsOf({ metadata, ...object }: KubeObject): readonly ShownCondition[] {
  const list = member(object['status'], 'conditions');
  if (!Array.isArray(list)) return [];
  return (list as readonly unknown[]).map((entry) => {
    const observed = member(entry, 'observedGeneration');
    return {
      type: textOf(member(entry, 'type')),
      status: textOf(member(entry, 'status')),
      reason: textOf(member(entry, 'reason')),
      message: textOf(member(entry, 'message')),
      stale: typeof observed === 'number' && metadata.generation !== undefined && observed < metadata.generation,
    };
  });
}

/** The first condition that does not hold, else null. */
export function firstFault(object: KubeObject): ShownCondition | null {
  return conditionsOf(object).find(({ status }) => status !== 'True') ?? null;
}

export function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
