/** The contract of render: what it is handed, and what the operator does with what it gives. */
import type { Issue } from '../lib/issue.ts';

/** What the operator knows and an LLMGateway does not say. */
export interface RenderContext {
  /** The image that the operator runs, with its tag or digest; a fleet's `spec.version` replaces that. */
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** The operator's own version, e.g. `0.1.0`: a fleet may be one minor version away from it. */
  readonly version: string;
  /** The operator's stream as pods reach it. */
  readonly stream: { readonly url: string; readonly audience: string };
  /** The CA bundle, a ConfigMap in the gateway's namespace; to be there before the Deployment is applied. */
  readonly caBundle: { readonly configMap: string; readonly key: string };
  /** Names of the snapshot's Secrets in the gateway's namespace, in the order of the shards, and the key that holds a shard. */
  readonly snapshot: { readonly secrets: readonly string[]; readonly key: string };
  /** Which kinds of others the API server has now. */
  readonly crds: { readonly podMonitor: boolean; readonly scaledObject: boolean };
  /** Labels that the cluster's Prometheus selects PodMonitors by, e.g. `release: kube-prometheus-stack`. */
  readonly podMonitorLabels: Readonly<Record<string, string>>;
}

export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: true;
}

/** An object as it is applied: what is not in it is not ours. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly [field: string]: unknown;
}

/**
 * How the number of pods is set without ever resetting it. `objects` never say `spec.replicas`: whoever applied a field and then
 * drops it deletes it, which makes 5 pods into 1. A second field manager owns that one field, applies it by force while the number
 * is fixed, and just stops to apply while something else scales: the value stays, and the autoscaler's first write takes it over.
 */
export interface Replicas {
  /** A Deployment with `spec.replicas` alone, to be applied after `objects` with REPLICAS_MANAGER as field manager. */
  readonly object: KubeObject;
  /** Always; or Created: only when this very reconcile has created the Deployment, which then does not begin with one pod. */
  readonly when: 'Always' | 'Created';
}

export interface RenderedGateway {
  /**
   * Paused (by `spec.paused`) or Invalid (`issues` say why): nothing is to be applied or deleted, the fleet runs on as it is, with
   * new tables. null: it follows its spec.
   */
  readonly held: 'Paused' | 'Invalid' | null;
  /** To be applied in this order with FIELD_MANAGER. */
  readonly objects: readonly KubeObject[];
  readonly replicas: Replicas | null;
  /** What this gateway may own and does not want now: to be deleted where it exists with this gateway as its controller. */
  readonly unwanted: readonly ObjectRef[];
  /** Of the LLMGateway's spec, or of what the cluster lacks for it. */
  readonly issues: readonly Issue[];
}

export const FIELD_MANAGER = 'fairlead';
export const REPLICAS_MANAGER = 'fairlead-replicas';
