/** What is known of running pods, as far as a status needs it. */

/** How far the ready pods of one gateway are with what an entry compiles to now. */
export interface Progress {
  /** Ready pods, those included that Kubernetes calls ready and that this leader has not heard of. */
  readonly readyPods: number;
  readonly programmedPods: number;
  readonly rejected: readonly { readonly pod: string; readonly reason: string }[];
}

/** One upstream, or one credential's way to it, that the pods of a gateway keep traffic from, as they see it together. */
export interface Outage {
  /** A failover reason, e.g. `RateLimited`. */
  readonly reason: string;
  /** Wall clock. */
  readonly sinceMs: number;
}

export interface QuotaEvidence {
  readonly gatewayId: string;
  readonly progress: Progress;
}

export interface Evidence {
  progress(gatewayId: string, routeId: string): Progress;
  /** At each gateway where it limits, or has limited, any route. */
  quota(quotaId: string): readonly QuotaEvidence[];
  /** null: it is well, or nobody has said otherwise. */
  outage(gatewayId: string, target: { readonly upstreamId: string; readonly credentialId: string }): Outage | null;
  /** The same of the Redis that a gateway's limits are to be shared over; its reason is what pods say of it. */
  limitStore(gatewayId: string): Outage | null;
}
