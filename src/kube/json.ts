import { apiVersionOf, type KubeObject, type Resource } from './objects.ts';

/** As `isObject`, of what is ours to change. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The object as it came, where it is one: it has a name and a resourceVersion. `apiVersion` and `kind` are put in: in lists of the
 * API server's own kinds they are missing. Without `managedFields` where those are not wanted.
 */
export function readObject(raw: unknown, resource: Resource, withManagedFields: boolean): KubeObject | null {
  if (!isRecord(raw) || !isRecord(raw['metadata'])) return null;
  const metadata = raw['metadata'];
  if (typeof metadata['name'] !== 'string' || typeof metadata['resourceVersion'] !== 'string') return null;
  if (!withManagedFields) delete metadata['managedFields'];
  if (raw['apiVersion'] === undefined) raw['apiVersion'] = apiVersionOf(resource);
  if (raw['kind'] === undefined) raw['kind'] = resource.kind;
  return raw as unknown as KubeObject;
}
