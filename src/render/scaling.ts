/** How many pods: a fixed number, a HorizontalPodAutoscaler or KEDA's ScaledObject. */
import type { LLMGatewaySpec } from '../api/v1alpha1/llmgateway.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { workloadName } from './names.ts';
import type { KubeObject, Replicas } from './types.ts';
import { owned, type ObjectInput } from './workload.ts';

const HPA = { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' } as const;
const SCALED_OBJECT = { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject' } as const;
export const SCALERS = { hpa: HPA, scaledObject: SCALED_OBJECT } as const;

const DEFAULT_REPLICAS = 2;
const MAX_LABEL_CHARS = 63;

/** The one scaler that the spec asks for; null: a fixed number, or a scaler that this cluster has not got. */
export function scaler(input: ObjectInput): { readonly object: KubeObject | null; readonly issues: readonly Issue[] } {
  const { autoscaling } = input.spec;
  if (autoscaling === undefined) return { object: null, issues: [] };
  if (autoscaling.keda === undefined) return { object: horizontal(input, autoscaling), issues: [] };
  const { crds, prometheusUrl } = input.context;
  const path = 'spec.autoscaling.keda';
  const stays = 'the number of pods stays as it is';
  if (!crds.scaledObject) {
    return {
      object: null,
      issues: [issue(path, 'ScalerUnavailable', `this cluster has no ScaledObject: install KEDA; until then ${stays}`)],
    };
  }
  if (prometheusUrl === null) {
    return {
      object: null,
      issues: [
        issue(
          path,
          'ScalerUnavailable',
          `the operator knows no Prometheus that has the open streams: set its URL (chart value \`prometheus.url\`); until then ${stays}`,
        ),
      ],
    };
  }
  // Longer, KEDA takes the ScaledObject and makes nothing of it, which only its own log says.
  const longest = MAX_LABEL_CHARS - workloadName('').length;
  const { name } = input.gateway;
  if (name.length > longest) {
    return {
      object: null,
      issues: [
        issue(
          'metadata.name',
          'ScalerUnavailable',
          `${JSON.stringify(name)} is too long for KEDA, which puts the name of the ScaledObject into a label: at most ${longest} characters with spec.autoscaling.keda; ${stays}`,
        ),
      ],
    };
  }
  return { object: scaledObject(input, autoscaling, autoscaling.keda.inFlightStreams, prometheusUrl), issues: [] };
}

type Autoscaling = NonNullable<LLMGatewaySpec['autoscaling']>;

function horizontal(input: ObjectInput, { minReplicas, maxReplicas, targetCPUPercent }: Autoscaling): KubeObject {
  return owned(
    input,
    { ...HPA, name: workloadName(input.gateway.name) },
    {
      spec: {
        scaleTargetRef: target(input),
        minReplicas,
        maxReplicas,
        metrics: [
          { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: targetCPUPercent } } },
        ],
      },
    },
  );
}

/** Through Prometheus, which sees each pod: the Service in front of them would answer with one pod's number. */
function scaledObject(
  input: ObjectInput,
  { minReplicas, maxReplicas }: Autoscaling,
  streams: number,
  serverAddress: string,
): KubeObject {
  const { namespace, name } = input.gateway;
  return owned(
    input,
    { ...SCALED_OBJECT, name: workloadName(name) },
    {
      spec: {
        scaleTargetRef: target(input),
        minReplicaCount: minReplicas,
        maxReplicaCount: maxReplicas,
        triggers: [
          {
            type: 'prometheus',
            metricType: 'AverageValue',
            metadata: {
              serverAddress,
              query: `sum(fairlead_in_flight_streams{namespace="${namespace}", pod=~"${workloadName(name)}-.+"})`,
              threshold: String(streams),
            },
          },
        ],
      },
    },
  );
}

function target({ gateway }: ObjectInput): unknown {
  return { apiVersion: 'apps/v1', kind: 'Deployment', name: workloadName(gateway.name) };
}

export function replicas({ gateway, spec }: ObjectInput): Replicas {
  const { autoscaling } = spec;
  return {
    object: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: workloadName(gateway.name), namespace: gateway.namespace },
      spec: { replicas: autoscaling?.minReplicas ?? spec.replicas ?? DEFAULT_REPLICAS },
    },
    when: autoscaling === undefined ? 'Always' : 'Created',
  };
}
