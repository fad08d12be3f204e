/** The kinds that the operator reads and writes, as the API server serves them. */
import { GROUP, VERSION } from '../api/v1alpha1/common.ts';
import type { Resource } from '../kube/objects.ts';

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): Resource {
  return { group, version, plural, kind, namespaced };
}

export const LLM_ROUTES = resource(GROUP, VERSION, 'llmroutes', 'LLMRoute');
export const LLM_GATEWAYS = resource(GROUP, VERSION, 'llmgateways', 'LLMGateway');
export const LLM_BACKENDS = resource(GROUP, VERSION, 'llmbackends', 'LLMBackend');
export const LLM_QUOTAS = resource(GROUP, VERSION, 'llmquotas', 'LLMQuota');
export const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace', false);
export const SECRETS = resource('', 'v1', 'secrets', 'Secret');
export const CONFIG_MAPS = resource('', 'v1', 'configmaps', 'ConfigMap');
export const SERVICES = resource('', 'v1', 'services', 'Service');
export const PODS = resource('', 'v1', 'pods', 'Pod');
export const ENDPOINT_SLICES = resource('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice');
export const CUSTOM_RESOURCE_DEFINITIONS = resource(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  false,
);
/** Both are asked for: which one a cluster serves depends on the release of Gateway API that it has, and may change. */
export const REFERENCE_GRANTS: readonly Resource[] = ['v1beta1', 'v1'].map((version) =>
  resource('gateway.networking.k8s.io', version, 'referencegrants', 'ReferenceGrant'),
);
export const DEPLOYMENTS = resource('apps', 'v1', 'deployments', 'Deployment');
export const SCALED_OBJECTS = resource('keda.sh', 'v1alpha1', 'scaledobjects', 'ScaledObject');
export const POD_MONITORS = resource('monitoring.coreos.com', 'v1', 'podmonitors', 'PodMonitor');
/** Every kind that an LLMGateway may be rendered to. */
export const RENDERED_KINDS: readonly Resource[] = [
  resource('', 'v1', 'serviceaccounts', 'ServiceAccount'),
  resource('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy'),
  SERVICES,
  DEPLOYMENTS,
  resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget'),
  resource('autoscaling', 'v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler'),
  SCALED_OBJECTS,
  POD_MONITORS,
];
