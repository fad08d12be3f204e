/** The quotas of a snapshot, by what they are of. Apart from the world, so that an edit of one has nothing of a route compiled anew. */
import type { LLMQuota } from '../api/v1alpha1/llmquota.ts';
import { byAge, objectId } from './snapshot.ts';
import { index, sameItems, type World } from './world.ts';

export interface Quotas {
  /** By `namespace/name`. */
  readonly byId: ReadonlyMap<string, LLMQuota>;
  /** Those that name it, by `Kind/namespace/name`, the oldest first; a list is the same object as before where it is equal. */
  readonly byTarget: ReadonlyMap<string, readonly LLMQuota[]>;
  /** As the world has it. */
  readonly standIn: World['standIn'];
  /** What this was made of. */
  readonly list: readonly LLMQuota[];
}

/**
 * So many of each namespace may name one route or gateway, the oldest: a request waits for each of its limits to be looked at, and so do
 * those of others on the same pod.
 */
export const MAX_QUOTAS_A_TARGET = 16;

/** Those before, the same object, when nothing of it has changed. */
export function quotasOf(list: readonly LLMQuota[], standIn: World['standIn'], before: Quotas | null): Quotas {
  if (before !== null && before.standIn === standIn && sameItems(list, before.list)) return before;
  const byId = index(list, objectId, before?.list, before?.byId);
  return { byId, byTarget: byTarget(byId, before?.byTarget ?? new Map<string, readonly LLMQuota[]>()), standIn, list };
}

/** `LLMGateway/namespace/name`. */
export function targetKey({ metadata }: LLMQuota, { kind, name, namespace }: LLMQuota['spec']['targetRefs'][number]): string {
  return `${kind}/${namespace ?? metadata.namespace}/${name}`;
}

function byTarget(quotas: Quotas['byId'], before: Quotas['byTarget']): Quotas['byTarget'] {
  const made = new Map<string, LLMQuota[]>();
  for (const quota of [...quotas.values()].sort(byAge)) {
    const targets = quota.spec.targetRefs.map((ref) => targetKey(quota, ref));
    for (const key of new Set(targets)) {
      const list = made.get(key) ?? [];
      made.set(key, list);
      const { namespace } = quota.metadata;
      if (list.filter(({ metadata }) => metadata.namespace === namespace).length < MAX_QUOTAS_A_TARGET) list.push(quota);
    }
  }
  return new Map(
    [...made].map(([key, list]): readonly [string, readonly LLMQuota[]] => {
      const old = before.get(key);
      return [key, old !== undefined && sameItems(list, old) ? old : list];
    }),
  );
}
