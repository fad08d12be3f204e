import type { ObjectRef, Resource } from './objects.ts';

/** `query`: what is undefined is left out. */
export function collectionPath(
  resource: Resource,
  namespace: string | undefined,
  query: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.plural}${queryString(query)}`;
}

export function objectPath(
  resource: Resource,
  ref: ObjectRef,
  subresource = '',
  query: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  if (resource.namespaced && ref.namespace === undefined) {
    throw new Error(`${resource.kind} ${ref.name}: a namespace must be given: the kind lives in namespaces`);
  }
  const below = subresource === '' ? '' : `/${subresource}`;
  return `${collectionPath(resource, ref.namespace)}/${encodeURIComponent(ref.name)}${below}${queryString(query)}`;
}

function queryString(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  if (set.length === 0) return '';
  return `?${set.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}
