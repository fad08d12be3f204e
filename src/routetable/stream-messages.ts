/**
 * What operator and gateway pod say to each other, one JSON object a line. Additive: a reader leaves out members that it does not
 * know and gives a meaning to those that an older writer left out; a whole kind that it does not know is refused as an entry.
 */
import type { Refusal } from './codec.ts';

/** An entry that a pod does not take, with the digest of the version that it refused. */
export interface Nack extends Refusal {
  readonly digest: string;
}

/** An upstream, or one credential's way to it, that a pod keeps traffic from. */
export interface UpstreamReport {
  readonly upstreamId: string;
  /** null: the whole upstream, whatever the credential. */
  readonly credentialId: string | null;
  readonly state: 'Ejected' | 'CoolingDown';
  /** A failover reason, e.g. `RateLimited`. */
  readonly reason: string;
  /** Wall clock. */
  readonly sinceMs: number;
}

/** What a pod is doing, and has done since it started. */
export interface Load {
  readonly inFlightRequests: number;
  readonly inFlightStreams: number;
  readonly requestsTotal: number;
}
