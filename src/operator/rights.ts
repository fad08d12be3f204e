/**
 * Everything that the operator may do on the API server, and what for: the one list that the chart's and the manifests' RBAC must
 * equal. No right to all of anything, none to give rights, none to act as another.
 */

export type RightScope =
  /** By a ClusterRole. */
  | 'Cluster'
  /** Where the operator runs. */
  | 'Release'
  /** Where gateways may be: by default the release's namespace alone. */
  | 'Gateways'
  /** Where a value lets Secrets be watched and not only read by name. */
  | 'Secrets'
  /** Where a value has client keys beside the gateway's own namespace. */
  | 'ClientKeys';

export interface Right {
  readonly scope: RightScope;
  /** Empty for the core group. */
  readonly group: string;
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** These objects alone. */
  readonly names?: readonly string[];
  readonly why: string;
}

const READ = ['get', 'list', 'watch'] as const;
/** Server-side apply is a patch, and a create where nothing is there. */
const OWN = [...READ, 'create', 'patch', 'delete'] as const;

export const RIGHTS: readonly Right[] = [
  {
    scope: 'Cluster',
    group: 'fairlead.dev',
    resources: ['llmroutes', 'llmgateways', 'llmbackends', 'llmquotas'],
    verbs: READ,
    why: 'what users apply',
  },
  {
    scope: 'Cluster',
    group: 'fairlead.dev',
    resources: ['llmroutes/status', 'llmgateways/status', 'llmbackends/status', 'llmquotas/status'],
    verbs: ['patch'],
    why: 'what became of it',
  },
  {
    scope: 'Cluster',
    group: '',
    resources: ['namespaces'],
    verbs: READ,
    why: "labels that a gateway's allowedRoutes selects by",
  },
  {
    scope: 'Cluster',
    group: 'gateway.networking.k8s.io',
    resources: ['referencegrants'],
    verbs: READ,
    why: 'consent to references from other namespaces',
  },
  {
    scope: 'Cluster',
    group: 'authentication.k8s.io',
    resources: ['tokenreviews'],
    verbs: ['create'],
    why: 'who a gateway pod is',
  },
  {
    scope: 'Cluster',
    group: '',
    resources: ['secrets'],
    verbs: ['get'],
    why: 'credentials, by the names that routes give; a value narrows it to namespaces',
  },
  {
    scope: 'Cluster',
    group: '',
    resources: ['configmaps'],
    verbs: ['get'],
    why: 'price lists, CA bundles and artifacts, by name',
  },
  { scope: 'Cluster', group: '', resources: ['services'], verbs: ['get'], why: 'whether what a serviceRef names may be called' },
  {
    scope: 'Cluster',
    group: 'discovery.k8s.io',
    resources: ['endpointslices'],
    verbs: READ,
    why: 'the addresses behind a serviceRef',
  },
  {
    scope: 'Cluster',
    group: 'events.k8s.io',
    resources: ['events'],
    verbs: ['create'],
    why: 'events beside the object they are about',
  },
  {
    scope: 'Cluster',
    group: 'apiextensions.k8s.io',
    resources: ['customresourcedefinitions'],
    verbs: ['get'],
    names: ['llmbackends.fairlead.dev', 'llmgateways.fairlead.dev', 'llmquotas.fairlead.dev', 'llmroutes.fairlead.dev'],
    why: 'to say so when the installed ones are older than the operator',
  },
  {
    scope: 'Release',
    group: 'coordination.k8s.io',
    resources: ['leases'],
    verbs: ['get', 'create', 'patch', 'update'],
    why: 'one leader',
  },
  {
    scope: 'Release',
    group: '',
    resources: ['pods'],
    verbs: ['get', 'list', 'patch'],
    why: "the leader's label, by which the stream's Service finds it",
  },
  {
    scope: 'Release',
    group: '',
    resources: ['secrets'],
    verbs: ['get', 'create', 'patch', 'update'],
    why: 'the key of the CA that signs the stream',
  },
  { scope: 'Gateways', group: '', resources: ['secrets'], verbs: OWN, why: 'client keys, and the snapshots of tables' },
  {
    scope: 'Gateways',
    group: '',
    resources: ['services', 'serviceaccounts', 'configmaps'],
    verbs: OWN,
    why: 'rendered for a gateway; the CA bundle',
  },
  { scope: 'Gateways', group: '', resources: ['pods'], verbs: READ, why: 'which gateway pods are ready' },
  { scope: 'Gateways', group: 'apps', resources: ['deployments'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Gateways', group: 'autoscaling', resources: ['horizontalpodautoscalers'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Gateways', group: 'policy', resources: ['poddisruptionbudgets'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Gateways', group: 'networking.k8s.io', resources: ['networkpolicies'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Gateways', group: 'monitoring.coreos.com', resources: ['podmonitors'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Gateways', group: 'keda.sh', resources: ['scaledobjects'], verbs: OWN, why: 'rendered for a gateway' },
  { scope: 'Secrets', group: '', resources: ['secrets'], verbs: READ, why: 'credentials, seen at once when they change' },
  { scope: 'ClientKeys', group: '', resources: ['secrets'], verbs: READ, why: 'client keys of tenants' },
];
