/**
 * The label by which the stream's Service finds the leader: a new leader sets it on its own pod and takes it from every other. It
 * is the only field that its manager owns, so that nothing else of a pod is touched.
 */
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { KubeFailure } from '../kube/outcome.ts';
import { LEADER_LABEL } from '../lib/pod.ts';
import { PODS } from './resources.ts';

const MANAGER = 'fairlead-leader';

/** What could not be done; null: all is as it should be. The caller tries again. */
export async function takeLeaderLabel(
  client: Pick<KubeClient, 'get' | 'list' | 'apply'>,
  own: { readonly namespace: string; readonly pod: string },
): Promise<KubeFailure | null> {
  const { namespace, pod } = own;
  const mine = await client.get(PODS, { namespace, name: pod });
  if (!mine.ok) return mine.error;
  const labelled = await client.list(PODS, { namespace, labelSelector: `${LEADER_LABEL.key}=${LEADER_LABEL.value}` });
  if (!labelled.ok) return labelled.error;
  // Its own first: between the two there are two, one of which answers 503, rather than none.
  const wanted = [
    ...(mine.value.metadata.labels?.[LEADER_LABEL.key] === LEADER_LABEL.value ? [] : [{ of: mine.value, leader: true }]),
    ...labelled.value.items.filter(({ metadata }) => metadata.name !== pod).map((of) => ({ of, leader: false })),
  ];
  for (const { of, leader } of wanted) {
    const applied = await client.apply(PODS, labelOf(of, leader), { fieldManager: MANAGER, force: true });
    // A pod that was deleted meanwhile has no label.
    if (!applied.ok && applied.error.kind !== 'not_found' && applied.error.kind !== 'conflict') return applied.error;
    if (!applied.ok && leader) return applied.error;
  }
  return null;
}

/** Bound to the very pod: an apply to one that is gone must not make another. */
function labelOf({ metadata: { namespace = '', name, uid = '' } }: KubeObject, leader: boolean): KubeObject {
  const labels = leader ? { [LEADER_LABEL.key]: LEADER_LABEL.value } : {};
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, uid, labels } };
}
