/** Everything of a snapshot but its routes and quotas, by name: what routes refer to. */
import type { ConfigMap, Namespace, ReferenceGrant, Secret } from '../api/core.ts';
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { digestOf } from '../routetable/digest.ts';
import { byAge, objectId, type CompileOptions, type ServiceEndpoints, type ServiceFacts, type Snapshot } from './snapshot.ts';

export const DEFAULT_GATEWAY_ANNOTATION = 'fairlead.dev/is-default-gateway';

/** Maps are keyed by `namespace/name`. A map is the same object as in the world before when nothing in it has changed. */
export interface World {
  readonly options: CompileOptions;
  readonly gateways: ReadonlyMap<string, LLMGateway>;
  readonly backends: ReadonlyMap<string, LLMBackend>;
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly configMaps: ReadonlyMap<string, ConfigMap>;
  /** By name. */
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly referenceGrants: ReadonlyMap<string, ReferenceGrant>;
  readonly forbiddenSecrets: ReadonlySet<string>;
  /** null: not asked. */
  readonly services: ReadonlyMap<string, ServiceFacts> | null;
  /** Behind those. null: not asked. */
  readonly endpoints: ReadonlyMap<string, ServiceEndpoints> | null;
  /** The one that routes without parentRefs belong to. */
  readonly defaultGateway: LLMGateway | null;
  /** The gateway that stands in for every other, where the snapshot has none. */
  readonly standIn: LLMGateway | null;
}

/** What a world was made of, to see what has changed since. */
export interface Sources {
  readonly snapshot: Snapshot;
  readonly world: World;
}

const LISTS = ['gateways', 'backends', 'secrets', 'configMaps', 'namespaces', 'referenceGrants'] as const;

/** The world of this snapshot; the one before, the same object, when nothing but routes and quotas has changed. */
export function worldOf(snapshot: Snapshot, options: CompileOptions, before: Sources | null): World {
  const same = (list: (typeof LISTS)[number]): boolean => before !== null && sameItems(snapshot[list], before.snapshot[list]);
  const forbidden = snapshot.forbiddenSecrets ?? [];
  const sameForbidden = before !== null && sameItems(forbidden, before.snapshot.forbiddenSecrets ?? []);
  const services = snapshot.services ?? null;
  const servicesBefore = before?.snapshot.services ?? null;
  const sameServices = before !== null && sameAsked(services, servicesBefore);
  const endpoints = snapshot.endpoints ?? null;
  const sameEndpoints = before !== null && sameAsked(endpoints, before.snapshot.endpoints ?? null);
  const sameOptions =
    before !== null &&
    before.world.options.resolveService === options.resolveService &&
    before.world.options.loopbackAllowed === options.loopbackAllowed &&
    before.world.options.standInGateway === options.standInGateway;
  if (before !== null && sameOptions && sameForbidden && sameServices && sameEndpoints && LISTS.every(same)) return before.world;

  const standIn = snapshot.gateways.length === 0 ? (options.standInGateway ?? null) : null;
  const old = before?.snapshot;
  const known = before?.world;
  const keepGateways = same('gateways') && known?.standIn === standIn;
  const gateways =
    keepGateways && known !== undefined ? known.gateways : index(standIn === null ? snapshot.gateways : [standIn], objectId);
  return {
    options,
    gateways,
    backends: index(snapshot.backends, objectId, old?.backends, known?.backends),
    secrets: index(snapshot.secrets, objectId, old?.secrets, known?.secrets),
    configMaps: index(snapshot.configMaps, objectId, old?.configMaps, known?.configMaps),
    namespaces: index(snapshot.namespaces, ({ metadata }) => metadata.name, old?.namespaces, known?.namespaces),
    referenceGrants: index(snapshot.referenceGrants, objectId, old?.referenceGrants, known?.referenceGrants),
    forbiddenSecrets: known !== undefined && sameForbidden ? known.forbiddenSecrets : new Set(forbidden),
    services: known !== undefined && sameServices ? known.services : services === null ? null : index(services, objectId),
    endpoints: known !== undefined && sameEndpoints ? known.endpoints : endpoints === null ? null : index(endpoints, objectId),
    defaultGateway: standIn ?? defaultOf(gateways),
    standIn,
  };
}

/** Two lists of the very same objects in the same order. */
export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]));
}

function sameAsked(a: readonly unknown[] | null, b: readonly unknown[] | null): boolean {
  return a === b || (a !== null && b !== null && sameItems(a, b));
}

function defaultOf(gateways: ReadonlyMap<string, LLMGateway>): LLMGateway | null {
  const annotated = [...gateways.values()].filter(({ metadata }) => metadata.annotations[DEFAULT_GATEWAY_ANNOTATION] === 'true');
  return annotated.sort(byAge)[0] ?? null;
}

/** By key; the map that was made of the list before, where it still holds, or a copy of it with what was replaced. */
export function index<T>(
  items: readonly T[],
  key: (item: T) => string,
  oldItems?: readonly T[],
  oldMap?: ReadonlyMap<string, T>,
): ReadonlyMap<string, T> {
  if (oldItems !== undefined && oldMap !== undefined) {
    if (sameItems(items, oldItems)) return oldMap;
    const replaced = items.filter((item, at) => item !== oldItems[at]);
    const inPlace =
      items.length === oldItems.length &&
      items.every((item, at) => item === oldItems[at] || key(item) === key(oldItems[at] ?? item));
    // With as many entries as items there are no two of one key, so a replacement has no rival.
    if (inPlace && oldMap.size === items.length) {
      const map = new Map(oldMap);
      for (const item of replaced) map.set(key(item), item);
      return map;
    }
  }
  const map = new Map<string, T>();
  for (const item of items) {
    const id = key(item);
    const other = map.get(id);
    if (other === undefined || (other !== item && digestOf(item) < digestOf(other))) map.set(id, item);
  }
  return map;
}
