/** What compile reads: all objects of one moment. */
import type { ConfigMap, Namespace, ReferenceGrant, Secret } from '../api/core.ts';
import type { ApiObject } from '../api/parse.ts';
import type { LLMBackend } from '../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { byText } from '../routetable/order.ts';
import { parseTimestampMs } from './timestamp.ts';

/**
 * Parsed objects, lists in any order. An object is replaced when it changes, never changed in place: what is remembered of an
 * earlier compile is found by the object's identity. Of two objects of one kind, namespace and name one is taken, the same
 * whatever the order; whoever reads files refuses such a pair before it gets here.
 */
export interface Snapshot {
  readonly routes: readonly LLMRoute[];
  readonly gateways: readonly LLMGateway[];
  readonly backends: readonly LLMBackend[];
  /** Left out: there are none. */
  readonly quotas?: readonly LLMQuota[];
  readonly secrets: readonly Secret[];
  readonly configMaps: readonly ConfigMap[];
  readonly namespaces: readonly Namespace[];
  readonly referenceGrants: readonly ReferenceGrant[];
  /** `namespace/name` of Secrets that may not be read (403), so that they are not taken for missing. */
  readonly forbiddenSecrets?: readonly string[];
  /** The Services that serviceRefs name, as far as they are there; left out: not asked, each is taken for good. */
  readonly services?: readonly ServiceFacts[];
  /** The addresses behind those Services; left out: not asked, and a Service is called by its DNS name. */
  readonly endpoints?: readonly ServiceEndpoints[];
}

/** What matters of a Service to whoever calls it. */
export interface ServiceFacts {
  readonly metadata: { readonly namespace: string; readonly name: string };
  /** `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`. */
  readonly type: string;
  readonly ports: readonly number[];
}

/** Replaced when anything in it changes, and so is each port. */
export interface ServiceEndpoints {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly ports: readonly ServicePort[];
}

export interface ServicePort {
  /** As a serviceRef names it. */
  readonly port: number;
  /** Of the pods that are ready, in any order, with the port there: `10.0.0.7:8000`, `[fd00::7]:8000`. */
  readonly addresses: readonly string[];
  /** The Service's own address with `port`; null: it is headless. */
  readonly fallback: string | null;
}

export interface CompileOptions {
  /** Cluster: a serviceRef is the Service's DNS name. Laptop: there is no Service, and the status says so. */
  readonly resolveService: 'Cluster' | 'Laptop';
  /** A laptop may call its own ports. */
  readonly loopbackAllowed: boolean;
  /**
   * Serves where the snapshot has no LLMGateway at all, in place of whatever gateway a route names: on a laptop one file with a
   * route is enough. Ignored as soon as there is an LLMGateway.
   */
  readonly standInGateway?: LLMGateway;
}

interface Named {
  readonly metadata: { readonly namespace: string; readonly name: string };
}

/** `namespace/name`. */
export function objectId(object: Named): string {
  return `${object.metadata.namespace}/${object.metadata.name}`;
}

/** The oldest first, by `creationTimestamp` (objects without one come last), then by `namespace/name`: who wins a conflict. */
export function byAge(a: AgedObject, b: AgedObject): number {
  const ageA = createdMs(a);
  const ageB = createdMs(b);
  return ageA === ageB ? byText(objectId(a), objectId(b)) : ageA < ageB ? -1 : 1;
}

interface AgedObject extends Named {
  readonly metadata: Named['metadata'] & { readonly creationTimestamp?: string };
}

function createdMs({ metadata: { creationTimestamp } }: AgedObject): number {
  return (creationTimestamp === undefined ? null : parseTimestampMs(creationTimestamp)) ?? Infinity;
}

/** Sorts parsed objects of any kinds into a snapshot. */
export function snapshotOf(objects: Iterable<ApiObject>): Snapshot {
  const snapshot = {
    routes: [] as LLMRoute[],
    gateways: [] as LLMGateway[],
    backends: [] as LLMBackend[],
    quotas: [] as LLMQuota[],
    secrets: [] as Secret[],
    configMaps: [] as ConfigMap[],
    namespaces: [] as Namespace[],
    referenceGrants: [] as ReferenceGrant[],
  };
  for (const object of objects) {
    switch (object.kind) {
      case 'LLMRoute':
        snapshot.routes.push(object);
        break;
      case 'LLMGateway':
        snapshot.gateways.push(object);
        break;
      case 'LLMBackend':
        snapshot.backends.push(object);
        break;
      case 'LLMQuota':
        snapshot.quotas.push(object);
        break;
      case 'Secret':
        snapshot.secrets.push(object);
        break;
      case 'ConfigMap':
        snapshot.configMaps.push(object);
        break;
      case 'Namespace':
        snapshot.namespaces.push(object);
        break;
      case 'ReferenceGrant':
        snapshot.referenceGrants.push(object);
        break;
    }
  }
  return snapshot;
}
