/** What runs the pods and lets them reach and be reached: Deployment, ServiceAccount, Service, NetworkPolicy, PodDisruptionBudget, PodMonitor. */
import { POD_PORTS } from '../lib/pod.ts';
import { objectLabels, selectorLabels, serviceName, sorted, workloadName } from './names.ts';
import { podTemplate, portName, type PodInput } from './pod.ts';
import type { KubeObject, OwnerReference, RenderContext } from './types.ts';

export interface ObjectInput extends PodInput {
  readonly owner: OwnerReference | null;
}

/** An object of the gateway, with everything but its own fields. */
export function owned(
  { gateway, owner }: ObjectInput,
  type: { readonly apiVersion: string; readonly kind: string; readonly name: string },
  fields: Readonly<Record<string, unknown>>,
  more: { readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> } = {},
): KubeObject {
  const annotations = sorted(more.annotations ?? {});
  return {
    apiVersion: type.apiVersion,
    kind: type.kind,
    metadata: {
      name: type.name,
      namespace: gateway.namespace,
      labels: sorted({ ...more.labels, ...objectLabels(gateway.name) }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      ...(owner === null ? {} : { ownerReferences: [owner] }),
    },
    ...fields,
  };
}

export function serviceAccount(input: ObjectInput): KubeObject {
  return owned(
    input,
    { apiVersion: 'v1', kind: 'ServiceAccount', name: workloadName(input.gateway.name) },
    { automountServiceAccountToken: false },
    { annotations: input.spec.podTemplate.serviceAccountAnnotations },
  );
}

/** Without `spec.replicas`: see `Replicas`. */
export function deployment(input: ObjectInput): KubeObject {
  return owned(
    input,
    { apiVersion: 'apps/v1', kind: 'Deployment', name: workloadName(input.gateway.name) },
    {
      spec: {
        selector: { matchLabels: selectorLabels(input.gateway.name) },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '25%' } },
        revisionHistoryLimit: 3,
        template: podTemplate(input),
      },
    },
  );
}

/** The listener's port is the Service's alone, so that it may be 443, and changing it restarts no pod. */
export function service(input: ObjectInput): KubeObject {
  const { gateway, spec } = input;
  return owned(
    input,
    { apiVersion: 'v1', kind: 'Service', name: serviceName(gateway.name) },
    {
      spec: {
        type: spec.service.type,
        selector: selectorLabels(gateway.name),
        ports: [
          {
            name: portName(spec),
            port: spec.listener.port,
            targetPort: POD_PORTS.client,
            protocol: 'TCP',
            appProtocol: portName(spec),
          },
        ],
      },
    },
    { annotations: spec.service.annotations },
  );
}

/** Clients from anywhere; the admin port from the cluster's pods only. What goes out is bounded by the gateway's own address policy. */
export function networkPolicy(input: ObjectInput): KubeObject {
  return owned(
    input,
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', name: workloadName(input.gateway.name) },
    {
      spec: {
        podSelector: { matchLabels: selectorLabels(input.gateway.name) },
        policyTypes: ['Ingress'],
        ingress: [
          { ports: [{ port: POD_PORTS.client, protocol: 'TCP' }] },
          { from: [{ namespaceSelector: {} }], ports: [{ port: POD_PORTS.admin, protocol: 'TCP' }] },
        ],
      },
    },
  );
}

/** A node can always be emptied, one pod at a time; a pod that is not ready anyway is no reason to wait. */
export function disruptionBudget(input: ObjectInput): KubeObject {
  return owned(
    input,
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', name: workloadName(input.gateway.name) },
    {
      spec: {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: selectorLabels(input.gateway.name) },
      },
    },
  );
}

export const POD_MONITOR = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PodMonitor' } as const;

export function podMonitor(input: ObjectInput, { podMonitorLabels }: RenderContext): KubeObject {
  return owned(
    input,
    { ...POD_MONITOR, name: workloadName(input.gateway.name) },
    {
      spec: {
        selector: { matchLabels: selectorLabels(input.gateway.name) },
        podMetricsEndpoints: [{ port: 'admin', path: '/metrics' }],
      },
    },
    { labels: podMonitorLabels },
  );
}
