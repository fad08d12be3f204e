/**
 * What manifests and the programs in the pods agree on: variables, paths and ports. Additive only: an operator of one version renders
 * pods of the version before and after it, so what a pod does not know must do no harm to it. For the same reason settings are
 * variables, which an older program overlooks, and not flags, which it would refuse.
 */

/** The image's first argument: which program runs. Any other is the CLI's. */
export const PROGRAMS = ['gateway', 'operator'] as const;

/** Of a gateway pod. */
export const GATEWAY_ENV = {
  /** `namespace/name` of the LLMGateway. */
  gateway: 'FAIRLEAD_GATEWAY',
  /** Port for clients inside the pod; the Service has the listener's. */
  port: 'FAIRLEAD_PORT',
  /** Port of /healthz, /readyz and /metrics. */
  adminPort: 'FAIRLEAD_ADMIN_PORT',
  /** Base URL of the operator's stream, e.g. `https://fairlead-stream.fairlead-system.svc:9443`. */
  operatorUrl: 'FAIRLEAD_OPERATOR_URL',
  /** File with the ServiceAccount token that proves the pod to the operator; the kubelet replaces it before it expires. */
  tokenFile: 'FAIRLEAD_TOKEN_FILE',
  /** File with the CA certificates, PEM, that the operator's certificate is judged by; follows a rotation. */
  caFile: 'FAIRLEAD_CA_FILE',
  /** Folder with the snapshot's parts; each may be absent. */
  snapshotDir: 'FAIRLEAD_SNAPSHOT_DIR',
} as const;

/** Folders that are mounted into a gateway pod, read-only. */
export const GATEWAY_PATHS = {
  /** `token` and `ca.crt`. */
  identity: '/var/run/fairlead/identity',
  snapshot: '/var/run/fairlead/snapshot',
} as const;

/** Inside the pods. None is below 1024, because they are not root. */
export const POD_PORTS = { client: 8080, admin: 9090, stream: 9443 } as const;

/** Of an operator pod. A list is separated by commas. */
export const OPERATOR_ENV = {
  /** Its own namespace and pod, for the Lease and the leader's label. */
  namespace: 'FAIRLEAD_NAMESPACE',
  pod: 'FAIRLEAD_POD',
  /** Name of the Lease. Beside it the operator keeps the CA: its key in the Secret `…-ca`, its bundle in ConfigMaps of that name. */
  lease: 'FAIRLEAD_LEASE',
  /** Image of the gateways. Empty: that of its own container. */
  image: 'FAIRLEAD_IMAGE',
  imagePullPolicy: 'FAIRLEAD_IMAGE_PULL_POLICY',
  /** Namespaces with LLMGateways to be rendered. Empty: its own. */
  gatewayNamespaces: 'FAIRLEAD_GATEWAY_NAMESPACES',
  /** Namespaces whose Secrets are watched, the only ones that are read. Empty: every namespace's, by name. */
  secretNamespaces: 'FAIRLEAD_SECRET_NAMESPACES',
  /** Namespaces with client keys beside the gateways'. */
  clientKeyNamespaces: 'FAIRLEAD_CLIENT_KEY_NAMESPACES',
  /** The stream as gateway pods reach it, and the port it is served on. */
  streamUrl: 'FAIRLEAD_STREAM_URL',
  streamPort: 'FAIRLEAD_STREAM_PORT',
  adminPort: 'FAIRLEAD_ADMIN_PORT',
  /** `key=value`, for PodMonitors. */
  podMonitorLabels: 'FAIRLEAD_POD_MONITOR_LABELS',
  /** Where KEDA asks for open streams. Empty: nowhere. */
  prometheusUrl: 'FAIRLEAD_PROMETHEUS_URL',
  /** debug, info, warn or error. */
  logLevel: 'FAIRLEAD_LOG_LEVEL',
} as const;

/** On the pod of the leader and on no other: what the stream's Service selects. */
export const LEADER_LABEL = { key: 'fairlead.dev/leader', value: 'true' } as const;
