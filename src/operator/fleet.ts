/** The gateway pods: those that Kubernetes calls ready, joined with those that the stream has heard of. */
import type { ListWatchView } from '../kube/contract.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Nack } from '../routetable/stream-messages.ts';
import type { PodState, TableServer } from './delivery/delivery.ts';
import { PODS } from './resources.ts';
import type { StartWatch } from './gather/secrets.ts';
import type { Progress } from './status/evidence.ts';

const GATEWAY_POD_LABEL = 'fairlead.dev/gateway';

/** A pod as Kubernetes sees it. */
export interface KubePod {
  /** `namespace/name` of its LLMGateway, as its label says. */
  readonly gateway: string;
  readonly ready: boolean;
}

export interface FleetOptions {
  readonly watch: StartWatch;
  readonly server: Pick<TableServer, 'pods' | 'progress' | 'configSequence'>;
  readonly namespaces: readonly string[];
  /** The ready pods of a gateway are others than before. */
  readonly onChange: (gatewayId: string) => void;
  /** `synced` may be another than before. */
  readonly onRead: () => void;
  /** False: there is no such namespace, and so no pod in it. */
  readonly isThere: (namespace: string) => boolean;
  readonly onError: (error: unknown, what: string) => void;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #views: readonly { readonly namespace: string; readonly view: ListWatchView<KubePod> }[];
  readonly #ready = new Map<string, Set<string>>();
  readonly #podGateway = new Map<string, string>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#views = options.namespaces.map((namespace) => ({
      namespace,
      view: options.watch<KubePod>({
        resource: PODS,
        namespace,
        labelSelector: GATEWAY_POD_LABEL,
        parse: kubePod,
        onChange: (key, pod) => this.#seen(key, pod),
        // The first list may be empty, and that too is news.
        onState: options.onRead,
        onError: (error, key) => options.onError(error, `Pod ${key}`),
      }),
    }));
  }

  get synced(): boolean {
    // The right to read a namespace goes with it: where one was deleted, its pods are refused for ever.
    return this.#views.every(({ namespace, view }) => view.synced || !this.#options.isThere(namespace));
  }

  /** Names of the pods that Kubernetes calls ready. */
  readyPods(gatewayId: string): ReadonlySet<string> {
    return this.#ready.get(gatewayId) ?? NO_PODS;
  }

  pods(gatewayId: string): readonly PodState[] {
    return this.#options.server.pods(gatewayId);
  }

  /** Ready for Kubernetes, so clients are sent to them, and not heard of. */
  unheardOf(gatewayId: string): readonly string[] {
    const ready = this.readyPods(gatewayId);
    if (ready.size === 0) return [];
    // One that has connected and not reported yet has said nothing of itself.
    const spoke = this.pods(gatewayId).filter((pod) => pod.ready || pod.digest !== '');
    const heard = new Set(spoke.map(({ name }) => name));
    return [...ready].filter((name) => !heard.has(name));
  }

  progress(gatewayId: string, routeId: string): Progress {
    const { readyPods, programmedPods, rejected } = this.#options.server.progress(gatewayId, routeId);
    return { readyPods: readyPods + this.unheardOf(gatewayId).length, programmedPods, rejected };
  }

  /** With all that was published up to `sequence`; `concerns`: a refusal that counts. */
  progressSince(gatewayId: string, sequence: number, concerns: (nack: Nack) => boolean): Progress {
    const heard = this.pods(gatewayId).map(({ name, ready, ackedSequence, nacks }) => {
      const refused = nacks.find(concerns);
      return { name, ready, refused, programmed: ready && ackedSequence >= sequence && refused === undefined };
    });
    return {
      readyPods: heard.filter(({ ready }) => ready).length + this.unheardOf(gatewayId).length,
      programmedPods: heard.filter(({ programmed }) => programmed).length,
      rejected: heard.flatMap(({ name, refused }) =>
        refused === undefined ? [] : [{ pod: name, reason: `${refused.key}: ${refused.reason}` }],
      ),
    };
  }

  /** For the LLMGateway: pods that are ready, and of them those that have everything. */
  counts(gatewayId: string): { readonly ready: number; readonly current: number } {
    const sequence = this.#options.server.configSequence(gatewayId);
    const heard = this.pods(gatewayId).filter(({ ready }) => ready);
    const current = heard.filter(({ ackedSequence, nacks }) => ackedSequence >= sequence && nacks.length === 0).length;
    return { ready: heard.length + this.unheardOf(gatewayId).length, current };
  }

  refusedSettings(gatewayId: string): readonly { readonly pod: string; readonly reason: string }[] {
    return this.pods(gatewayId).flatMap(({ name, nacks }) =>
      nacks.filter(({ kind }) => kind === 'settings').map(({ reason }) => ({ pod: name, reason })),
    );
  }

  stop(): void {
    for (const { view } of this.#views) view.stop();
  }

  #seen(key: string, pod: KubePod | null): void {
    const name = key.slice(key.indexOf('/') + 1);
    const before = this.#podGateway.get(key);
    if (pod === null) this.#podGateway.delete(key);
    else this.#podGateway.set(key, pod.gateway);
    // Its label is anybody's to change.
    if (before !== undefined && before !== pod?.gateway) this.#setReady(before, name, false);
    if (pod !== null) this.#setReady(pod.gateway, name, pod.ready);
  }

  #setReady(gateway: string, name: string, ready: boolean): void {
    const pods = this.#ready.get(gateway) ?? new Set<string>();
    if (pods.has(name) === ready) return;
    if (ready) pods.add(name);
    else pods.delete(name);
    if (pods.size > 0) this.#ready.set(gateway, pods);
    else this.#ready.delete(gateway);
    this.#options.onChange(gateway);
  }
}

const NO_PODS: ReadonlySet<string> = new Set();

function kubePod({ metadata, ...rest }: KubeObject): KubePod {
  const status = rest['status'] as
    | { readonly conditions?: readonly { readonly type?: string; readonly status?: string }[] }
    | undefined;
  const ready = status?.conditions?.some((found) => found.type === 'Ready' && found.status === 'True') === true;
  return {
    gateway: `${metadata.namespace ?? ''}/${metadata.labels?.[GATEWAY_POD_LABEL] ?? ''}`,
    // One that is going gets no new connections, and says itself when it stops to serve.
    ready: ready && metadata.deletionTimestamp === undefined,
  };
}
