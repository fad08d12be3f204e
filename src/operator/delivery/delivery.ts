/**
 * What the operator hands to gateway pods and hears from them: the contract between its reconcile loops and the delivery of tables.
 * A gateway is named by its LLMGateway's `namespace/name`, a route and a client key by theirs, throughout.
 */
import type { SecretValue } from '../../lib/secret.ts';
import type { EntryName } from '../../routetable/entries.ts';
import type { RouteTable } from '../../routetable/types.ts';
import type { ExhaustedBudget, Load, Nack, UpstreamReport } from '../../routetable/stream-messages.ts';

/** Who a pod is, read from its projected ServiceAccount token by a TokenReview for `TOKEN_AUDIENCE`. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** The gateway whose ServiceAccount the token is of; the pod gets this one's table and no other. */
  readonly gateway: string;
}

/** `reason` is for a log, never the token. A promise that rejects is a fault of ours (the API server is down): the pod is told 503. */
export type TokenReview = { readonly ok: true; readonly pod: PodIdentity } | { readonly ok: false; readonly reason: string };

/** What gateway pods' tokens are made for: `serviceAccountToken.audience` of their projected volume. */
export const TOKEN_AUDIENCE = 'fairlead-operator';

/** What is known of one gateway pod that has connected to this leader. */
export interface PodState extends PodIdentity {
  /** Its own word: it has a table and serves. A pod that drains is not ready. */
  readonly ready: boolean;
  /** Its stream is open now. One that has gone without a farewell counts on for a moment (`FORGET_AFTER_MS`), then is forgotten. */
  readonly connected: boolean;
  /** Up to which sequence of its gateway's table it has applied or refused everything; 0: nothing yet. */
  readonly ackedSequence: number;
  /** Digest of the table it serves; other than the leader's where it refused entries. */
  readonly digest: string;
  readonly nacks: readonly Nack[];
  /** The software it runs, as `fairlead --version` prints it. */
  readonly version: string;
  /** Wall clock. */
  readonly lastSeenMs: number;
  /** Upstreams that it does not send everything to now; those it does not name are well. */
  readonly upstreams: readonly UpstreamReport[];
  /** Why it does not share limits with the others, though it is to; null: it does, or is not to. */
  readonly limitsProblem: string | null;
  readonly load: Load;
  readonly exhausted: readonly ExhaustedBudget[];
}

/** How far the pods of a gateway are with one entry, as it compiles to now. */
export interface EntryProgress {
  readonly readyPods: number;
  /** Of the ready ones, those that serve exactly what the entry is now (for one that is gone: that have taken it away). */
  readonly programmedPods: number;
  /** Refused as it is now, by ready pods and others. */
  readonly rejected: readonly { readonly pod: string; readonly reason: string }[];
}

/** Told when `progress` may answer otherwise than before. */
export interface ProgressChange {
  readonly gateway: string;
  /** `null`: all of them (the set of ready pods changed). */
  readonly routes: readonly string[] | null;
}

export interface ServingCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: SecretValue;
}

/** The stream's server: every replica runs one, and only the leader's gives tables. */
export interface TableServer {
  /** Returns the port; 0 asks for one that is free. The certificate must be there before. */
  listen(port: number, host?: string): Promise<number>;
  /** For connections from now on. */
  useCertificate(certificate: ServingCertificate): void;
  /**
   * This process leads from now on. `epoch`: the Lease's transitions, greater than that of every leader before, one that had the
   * same name included (a holder's identity is one of the process, not of the pod). What was published before is served at once.
   * Pods come back within seconds: until `FORGET_AFTER_MS` has passed, that one is not there says nothing.
   */
  lead(epoch: number): void;
  /** It does not any more: streams end, requests are answered 503 until it leads again. */
  resign(): void;
  /**
   * The tables as they are to be, all gateways'. Cheap where little changed: entries are compared by identity, then by digest. A
   * gateway that is left out keeps what its pods serve (a table that cannot be compiled takes nothing away).
   */
  publish(tables: ReadonlyMap<string, RouteTable>): void;
  /** The gateway was deleted. */
  forget(gateway: string): void;
  /** Sequence of the last change of a gateway's table; 0: none was published. */
  sequence(gateway: string): number;
  /** The same of the last change that is a change of configuration, and not only of which pods a Service has. */
  configSequence(gateway: string): number;
  pods(gateway: string): readonly PodState[];
  progress(gateway: string, routeId: string): EntryProgress;
  onProgress(listener: (change: ProgressChange) => void): () => void;
  /** A pod came, went, became ready or not, or told something new of upstreams or load. `pod.connected` false and not in `pods()`: forgotten. */
  onPod(listener: (pod: PodState) => void): () => void;
  /**
   * A pod has seen a leader of a higher epoch. Whoever still holds the Lease (asked of the API server just now) raises its transitions
   * above that and calls `lead` with them (the cluster was restored from a backup, so the count went back); whoever does not, resigns.
   */
  onNewerEpoch(listener: (epoch: number) => void): () => void;
  /** Ends every connection; resolves when the port is free. */
  close(): Promise<void>;
}

/** An entry that no part has room for: a pod that starts while no leader is up does without it. */
export interface LeftOut extends EntryName {
  /** The route's or the client key's Secret's `namespace/name`. */
  readonly id: string;
}

/** Fed from the same publications as the server; writes only while it leads. */
export interface SnapshotKeeper {
  lead(epoch: number): void;
  resign(): void;
  /** `sequence`: of the gateway's table, as the `TableServer` counts it. A changed part is written at once, then at most every 10 s. */
  publish(table: RouteTable, sequence: number): void;
  /** Deleted gateways. */
  forget(gateway: string): void;
  leftOut(gateway: string): readonly LeftOut[];
  onLeftOut(listener: (gateway: string) => void): () => void;
  close(): Promise<void>;
}
