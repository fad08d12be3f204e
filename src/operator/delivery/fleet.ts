/** The pods that this leader knows, by what they say of themselves, and how far they are. */
import type { EntryProgress, PodIdentity, PodState, ProgressChange } from './delivery.ts';
import type { Publication } from './publication.ts';
import type { Nack, Report } from '../../routetable/stream-messages.ts';

/** A pod whose stream broke is still waited for as long as this: it may be serving, and will be back. */
export const FORGET_AFTER_MS = 15_000;

interface Pod extends PodState {
  ready: boolean;
  connected: boolean;
  ackedSequence: number;
  digest: string;
  nacks: readonly Nack[];
  version: string;
  lastSeenMs: number;
  upstreams: PodState['upstreams'];
  limitsProblem: string | null;
  load: PodState['load'];
  exhausted: PodState['exhausted'];
  reportNumber: number;
  /** Monotonic, since its stream is gone. */
  goneSinceMs: number;
}

export interface FleetListeners {
  onPod(pod: PodState): void;
  onProgress(change: ProgressChange): void;
}

export class Fleet {
  readonly #publications: ReadonlyMap<string, Publication>;
  readonly #listeners: FleetListeners;
  /** By gateway, then by the pod's uid. */
  readonly #pods = new Map<string, Map<string, Pod>>();

  constructor(publications: ReadonlyMap<string, Publication>, listeners: FleetListeners) {
    this.#publications = publications;
    this.#listeners = listeners;
  }

  pods(gateway: string): readonly PodState[] {
    return [...(this.#pods.get(gateway)?.values() ?? [])];
  }

  /** Of its gateway, counting this one as ready. */
  readyPods({ gateway, uid }: PodIdentity): number {
    let count = 1;
    for (const pod of this.#pods.get(gateway)?.values() ?? []) if (pod.ready && pod.uid !== uid) count++;
    return count;
  }

  /** Its stream is open. What it had acknowledged on an earlier one it will say again. */
  connected(identity: PodIdentity, version: string, wallMs: number): void {
    const pod = this.#podOf(identity, wallMs);
    pod.connected = true;
    pod.version = version;
    pod.lastSeenMs = wallMs;
    this.#listeners.onPod(pod);
  }

  disconnected(identity: PodIdentity, nowMs: number): void {
    const pod = this.#pods.get(identity.gateway)?.get(identity.uid);
    if (pod === undefined) return;
    pod.connected = false;
    pod.goneSinceMs = nowMs;
    this.#listeners.onPod(pod);
  }

  /** `epoch`: this leader's. */
  reported(identity: PodIdentity, report: Report, epoch: number, nowMs: number, wallMs: number): void {
    const pod = this.#podOf(identity, wallMs);
    if (report.number <= pod.reportNumber) return;
    pod.reportNumber = report.number;
    pod.lastSeenMs = wallMs;
    if (report.leaving) {
      this.#forget(pod);
      return;
    }
    if (!pod.connected) pod.goneSinceMs = nowMs;
    const before = { ready: pod.ready, acked: pod.ackedSequence, nacks: pod.nacks };
    pod.ready = report.ready;
    pod.ackedSequence = report.acked?.epoch === epoch ? report.acked.sequence : 0;
    pod.digest = report.digest;
    pod.nacks = report.nacks ?? pod.nacks;
    pod.version = report.version;
    pod.upstreams = report.upstreams;
    pod.limitsProblem = report.limitsProblem;
    pod.load = report.load;
    pod.exhausted = report.exhausted;
    const routes = this.#concerned(pod, before);
    if (routes === null || routes.length > 0) this.#listeners.onProgress({ gateway: pod.gateway, routes });
    this.#listeners.onPod(pod);
    this.#prune(pod.gateway);
  }

  progress(gateway: string, routeId: string): EntryProgress {
    const publication = this.#publications.get(gateway);
    const name = { kind: 'route', key: routeId } as const;
    const digest = publication?.find(name)?.digest;
    // Of what is not published nobody has anything.
    const changedAt = publication?.changedAt(name.kind, name.key) ?? Infinity;
    let readyPods = 0;
    let programmedPods = 0;
    const rejected: { pod: string; reason: string }[] = [];
    for (const pod of this.#pods.get(gateway)?.values() ?? []) {
      const nack = pod.nacks.find(({ kind, key }) => kind === name.kind && key === name.key);
      const refused = nack !== undefined && nack.digest === digest;
      if (refused) rejected.push({ pod: pod.name, reason: nack.reason });
      if (!pod.ready) continue;
      readyPods++;
      if (pod.ackedSequence >= changedAt && !refused) programmedPods++;
    }
    return { readyPods, programmedPods, rejected };
  }

  /** Forgets those that are gone for good. */
  sweep(nowMs: number): void {
    for (const pods of this.#pods.values())
      for (const pod of pods.values()) if (!pod.connected && nowMs - pod.goneSinceMs >= FORGET_AFTER_MS) this.#forget(pod);
  }

  /** Another leads now: the pods are its. */
  clear(): void {
    this.#pods.clear();
  }

  #podOf(identity: PodIdentity, wallMs: number): Pod {
    let pods = this.#pods.get(identity.gateway);
    if (pods === undefined) this.#pods.set(identity.gateway, (pods = new Map<string, Pod>()));
    let pod = pods.get(identity.uid);
    if (pod === undefined) {
      pod = {
        ...identity,
        ready: false,
        connected: false,
        ackedSequence: 0,
        digest: '',
        nacks: [],
        version: '',
        lastSeenMs: wallMs,
        upstreams: [],
        limitsProblem: null,
        load: { inFlightRequests: 0, inFlightStreams: 0, requestsTotal: 0 },
        exhausted: [],
        reportNumber: 0,
        goneSinceMs: 0,
      };
      pods.set(identity.uid, pod);
    }
    return pod;
  }

  #forget(pod: Pod): void {
    this.#pods.get(pod.gateway)?.delete(pod.uid);
    const { ready } = pod;
    pod.connected = false;
    pod.ready = false;
    if (ready) this.#listeners.onProgress({ gateway: pod.gateway, routes: null });
    this.#listeners.onPod(pod);
  }

  /** The routes of which this report may have changed the progress; null: all. */
  #concerned(pod: Pod, before: { ready: boolean; acked: number; nacks: readonly Nack[] }): readonly string[] | null {
    if (pod.ready !== before.ready) return null;
    const acked = this.#publications.get(pod.gateway)?.routesBetween(before.acked, pod.ackedSequence) ?? [];
    if (pod.nacks === before.nacks) return acked;
    const routes = new Set(acked);
    for (const { kind, key } of [...before.nacks, ...pod.nacks]) if (kind === 'route') routes.add(key);
    return [...routes];
  }

  /** What every pod has acknowledged need not be remembered. */
  #prune(gateway: string): void {
    let acked = Infinity;
    for (const pod of this.#pods.get(gateway)?.values() ?? []) acked = Math.min(acked, pod.ackedSequence);
    if (acked !== Infinity) this.#publications.get(gateway)?.acknowledged(acked);
  }
}
