/** The status that stands on the API server, read without trust: another version of the operator, or a person, may have written it. */
import type { Condition } from '../../compile/status.ts';
import type { DesiredStatus } from './route-status.ts';

export interface ObservedCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | null;
  readonly lastTransitionTime: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

export function observedConditions(status: unknown): readonly ObservedCondition[] {
  const list = isFields(status) ? status['conditions'] : undefined;
  if (!Array.isArray(list)) return [];
  return (list as readonly unknown[]).flatMap((entry) => {
    if (!isFields(entry) || typeof entry['type'] !== 'string') return [];
    return {
      type: entry['type'],
      status: text(entry['status']),
      reason: text(entry['reason']),
      message: text(entry['message']),
      observedGeneration: typeof entry['observedGeneration'] === 'number' ? entry['observedGeneration'] : null,
      lastTransitionTime: typeof entry['lastTransitionTime'] === 'string' ? entry['lastTransitionTime'] : null,
    };
  });
}

export function observedCondition(status: unknown, type: string): ObservedCondition | undefined {
  return observedConditions(status).find((found) => found.type === type);
}

/** The `since` of a backend, by name, where it is still in the same state for the same reason. */
export function observedBackends(status: unknown): ReadonlyMap<string, { readonly reason: string; readonly since: string }> {
  const found = new Map<string, { readonly reason: string; readonly since: string }>();
  const list = isFields(status) ? status['backends'] : undefined;
  if (!Array.isArray(list)) return found;
  for (const entry of list as readonly unknown[]) {
    if (isFields(entry) && typeof entry['name'] === 'string')
      found.set(entry['name'], { reason: text(entry['reason']), since: text(entry['since']) });
  }
  return found;
}

/**
 * What to write, as the API has it: `lastTransitionTime` moves only where `status` flips. null: it stands there already.
 * Members that `desired` does not have are removed, those of others (what a newer operator wrote) stay.
 */
export function statusToWrite(
  desired: DesiredStatus & Fields,
  observed: unknown,
  now: string,
  own: readonly string[],
): Fields | null {
  const before = isFields(observed) ? observed : {};
  const made: Record<string, unknown> = {};
  for (const key of own) {
    const value = key === 'conditions' ? timed(desired.conditions, before[key], now) : desired[key];
    if (key === 'parents' && desired.parents !== undefined) {
      const parentsBefore = Array.isArray(before[key]) ? (before[key] as readonly unknown[]) : [];
      made[key] = desired.parents.map((parent) => {
        const { name, namespace } = parent.parentRef;
        const known = parentsBefore.find((entry) => {
          const ref = isFields(entry) ? entry['parentRef'] : undefined;
          return isFields(ref) && ref['name'] === name && ref['namespace'] === namespace;
        });
        return { ...parent, conditions: timed(parent.conditions, isFields(known) ? known['conditions'] : undefined, now) };
      });
    } else if (key === 'backends' && desired.backends !== undefined && desired.backends.length > 0) {
      const known = observedBackends(observed);
      made[key] = desired.backends.map((backend) => {
        const last = known.get(backend.name);
        return last?.reason === backend.reason && last.since !== '' ? { ...backend, since: last.since } : backend;
      });
    } else if (Array.isArray(value) && value.length === 0) {
      if (before[key] !== undefined) made[key] = null;
    } else if (value !== undefined) made[key] = value;
    else if (before[key] !== undefined) made[key] = null;
  }
  const same = Object.entries(made).every(([key, value]) => value !== null && sameJson(value, before[key]));
  return same ? null : made;
}

function timed(conditions: readonly Condition[], before: unknown, now: string): readonly Fields[] {
  const known = observedConditions({ conditions: before });
  return conditions.map(({ type, status, reason, message, observedGeneration }) => {
    const last = known.find((found) => found.type === type);
    return {
      type,
      status,
      reason,
      message,
      ...(observedGeneration === undefined ? {} : { observedGeneration }),
      lastTransitionTime: last?.status === status ? (last.lastTransitionTime ?? now) : now,
    };
  });
}

/** Equal as JSON, whatever the order of members. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return (a as readonly unknown[]).every((item, index) => sameJson(item, (b as readonly unknown[])[index]));
  }
  if (!isFields(a) || !isFields(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => sameJson(a[key], b[key]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
