import { isRecord } from './json.ts';

/**
 * What `live` holds at the places that `desired` names. Two projections of one desired object are equal exactly when nothing it
 * speaks of has changed. Elements of a list are found by their `name` where all have one, as server-side apply merges those, and by their place
 * otherwise; a list without names counts with its length.
 */
export function project(desired: unknown, live: unknown): unknown {
  if (Array.isArray(desired)) {
    if (!Array.isArray(live)) return live ?? null;
    const named = desired.length > 0 && desired.every(hasName) && live.every(hasName);
    if (!named) return [live.length, ...desired.map((element, index) => project(element, live[index]))];
    return desired.map((element: { name: string }) =>
      project(
        element,
        live.find(({ name }) => name === element.name),
      ),
    );
  }
  if (isRecord(desired)) {
    if (!isRecord(live)) return live ?? null;
    return Object.entries(desired).map(([field, value]) => [field, project(value, live[field])]);
  }
  return live ?? null;
}

function hasName(value: unknown): value is { name: string } {
  return isRecord(value) && typeof value['name'] === 'string';
}
