/**
 * What the operator's manifests and the programs in the pods agree on: variables, paths and ports. Additive only: an operator of one
 * version renders pods of the version before and after it, so a name that a pod does not know must do no harm to it. For the same
 * reason settings are variables, which an older program overlooks, and not flags, which it would refuse.
 */

/** The image's first argument: which program runs; without one of them it is the CLI. */
export const PROGRAM = { gateway: 'gateway', operator: 'operator' } as const;

export const POD_ENV = {
  /** Name of the LLMGateway. */
  gateway: 'FAIRLEAD_GATEWAY',
  namespace: 'FAIRLEAD_NAMESPACE',
  pod: 'FAIRLEAD_POD',
  /** Port for clients inside the pod; the Service's is the listener's. */
  port: 'FAIRLEAD_PORT',
  /** Port of /healthz, /readyz and /metrics. */
  adminPort: 'FAIRLEAD_ADMIN_PORT',
  /** Base URL of the operator's stream, e.g. `https://fairlead-stream.fairlead-system.svc:8443`. */
  streamUrl: 'FAIRLEAD_STREAM_URL',
  /** File with the ServiceAccount token that proves the pod to the operator; replaced by the kubelet before it expires. */
  tokenFile: 'FAIRLEAD_TOKEN_FILE',
  /** File with the CA certificates, PEM, that the operator's certificate is judged by; follows a rotation. */
  caFile: 'FAIRLEAD_CA_FILE',
  /** Folder with the snapshot's shards, files named by their number (`00` …); a missing one holds no route. */
  snapshotDir: 'FAIRLEAD_SNAPSHOT_DIR',
} as const;

export const POD_PATHS = {
  /** Projected: `token` and `ca.crt`. */
  operator: '/var/run/fairlead/operator',
  /** Projected: one file a shard. */
  snapshot: '/var/run/fairlead/snapshot',
} as const;

/** None is below 1024: the pods are not root. */
export const POD_PORTS = { client: 8080, admin: 9090 } as const;

/** Number of Secrets that hold a gateway's snapshot. A pod declares all of them, so it never changes for a running fleet. */
export const SNAPSHOT_SHARDS = 16;

/** File of a shard below the snapshot's folder. */
export function shardFile(shard: number): string {
  return String(shard).padStart(2, '0');
}
