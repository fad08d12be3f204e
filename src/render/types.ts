/** The contract of render: what it is handed, and what the operator does with what it gives. */
import type { Issue } from '../lib/issue.ts';

/** What the operator knows and an LLMGateway does not say. */
export interface RenderContext {
  /** The image that the operator runs, with its tag or digest; a fleet's `spec.version` replaces that. */
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** The operator's own version, e.g. `0.1.0`: a fleet may be one minor version away from it. */
  readonly version: string;
  /** The operator's stream as pods reach it, and what their tokens are made for. */
  readonly stream: { readonly url: string; readonly audience: string };
  /** The CA bundle, a ConfigMap in the gateway's namespace; to be there before the Deployment is applied. */
  readonly caBundle: { readonly configMap: string; readonly key: string };
  /** Which kinds of others the API server has now. */
  readonly crds: { readonly podMonitor: boolean; readonly scaledObject: boolean };
  /** Labels that the cluster's Prometheus selects PodMonitors by, e.g. `release: kube-prometheus-stack`. */
  readonly podMonitorLabels: Readonly<Record<string, string>>;
  /** Base URL of a Prometheus that scrapes the pods, which KEDA asks for their open streams. null: there is none. */
  readonly prometheusUrl: string | null;
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
 * drops it deletes it, which makes 5 pods into 1. A second field manager owns that one field: it applies it by force while the number
 * is fixed, and merely stops to apply while something else scales. The value stays, and the autoscaler's first write takes it over.
 */
export interface Replicas {
  /** A Deployment with `spec.replicas` alone, to be applied after `objects` with REPLICAS_MANAGER as field manager. */
  readonly object: KubeObject;
  /** Always; or Created: only by the reconcile that has created the Deployment, so that a scaled fleet does not begin with one pod. */
  readonly when: 'Always' | 'Created';
}

export interface RenderedGateway {
  /**
   * Paused (`spec.paused`) or Invalid (`issues` say why): nothing is to be applied or deleted; the fleet runs on as it is, and is
   * still given its tables. null: the fleet follows its spec.
   */
  readonly held: 'Paused' | 'Invalid' | null;
  /**
   * What this gateway may own and does not want now: to be deleted, before `objects` are applied, where it exists with this gateway
   * as its controller. (KEDA refuses a ScaledObject beside a HorizontalPodAutoscaler.) A kind that the API server lacks is not here.
   */
  readonly unwanted: readonly ObjectRef[];
  /** To be applied in this order, with FIELD_MANAGER and by force. */
  readonly objects: readonly KubeObject[];
  /** null where the fleet is held. */
  readonly replicas: Replicas | null;
  /** Of the LLMGateway's spec, or of what the cluster lacks for it; what can be rendered is rendered nevertheless unless held. */
  readonly issues: readonly Issue[];
}

export const FIELD_MANAGER = 'fairlead';
export const REPLICAS_MANAGER = 'fairlead-replicas';
