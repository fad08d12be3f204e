/** One operator process, put together: reads, compiles, and leads where the Lease says so. */
import { KINDS } from '../api/crd.ts';
import { lacksOf } from '../api/crd-age.ts';
import { GROUP } from '../api/v1alpha1/common.ts';
import type { KubeClient } from '../kube/client.ts';
import { LeaderElection } from '../kube/leader-election.ts';
import type { Timers } from '../lib/timers.ts';
import type { RenderContext } from '../render/types.ts';
import type { Logger } from '../telemetry/log.ts';
import type { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { startAdmin, type Admin } from './admin.ts';
import { AuthorityKeeper } from './authority-keeper.ts';
import type { OperatorConfig } from './config.ts';
import { ControlLoop } from './control.ts';
import { CA_BUNDLE_KEY } from './delivery/authority.ts';
import { TOKEN_AUDIENCE } from './delivery/delivery.ts';
import { Snapshots } from './delivery/snapshots.ts';
import { HttpsTableServer } from './delivery/table-server.ts';
import { OWN_KINDS } from './gather/gather.ts';
import { reviewPodToken } from './identity-review.ts';
import { takeLeaderLabel } from './leader-label.ts';
import { RenderLoop } from './render-loop.ts';
import { CUSTOM_RESOURCE_DEFINITIONS, PODS } from './resources.ts';
import { snapshotStore } from './snapshot-store.ts';
import { Watches } from './watches.ts';

export interface OperatorOptions {
  readonly config: OperatorConfig;
  readonly client: KubeClient;
  readonly timers: Timers;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: OperatorMetrics;
  /** Of this build, as `fairlead --version` prints it. */
  readonly version: string;
  /** Of this process among all there ever were. */
  readonly identity: string;
  /** For tests; the defaults are 10, 7 and 2 s. */
  readonly lease?: { readonly leaseMs: number; readonly renewDeadlineMs: number; readonly retryMs: number };
  readonly outageHeldForMs?: number;
}

const LABEL_RETRY_MS = 1_000;
const LABEL_AGAIN_MS = 30_000;
const CRDS_AGAIN_MS = 10 * 60_000;

export class Operator {
  readonly control: ControlLoop;
  readonly server: HttpsTableServer;
  readonly #options: OperatorOptions;
  readonly #election: LeaderElection;
  readonly #snapshots: Snapshots;
  readonly #watches: Watches;
  readonly #authority: AuthorityKeeper;
  readonly #render: RenderLoop;
  readonly #cancels = new Map<string, () => void>();
  #image: string | null;
  #admin: Admin | null = null;
  #streamPort: Promise<number> | null = null;
  #stopped = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { config, client, timers, random, log, metrics } = options;
    const { namespace, lease, gatewayNamespaces } = config;
    this.#image = config.image;
    const fault = (error: unknown, what: string): void => log.error({ err: error, what }, 'a fault in the delivery of tables');
    const leader = client.guardedBy(() => this.#election.isLeader());
    this.#watches = new Watches({ client, timers, random }, log);
    this.server = new HttpsTableServer({
      clock: timers,
      random,
      reviewToken: (token) => reviewPodToken(client, token, gatewayNamespaces),
      onFault: fault,
      onRefused: (why, from) => log.warn({ from, why }, 'a pod was refused'),
    });
    this.#snapshots = new Snapshots({
      store: snapshotStore(client, leader, (id) => this.control.gather.entry('LLMGateway', id)?.uid ?? null),
      clock: timers,
      onFault: fault,
    });
    this.control = new ControlLoop({
      watch: (watched) => this.#watches.start(watched),
      client,
      leader,
      timers,
      server: this.server,
      snapshots: this.#snapshots,
      metrics,
      log,
      gatewayNamespaces,
      secretNamespaces: config.secretNamespaces,
      keyNamespaces: config.keyNamespaces,
      onGateway: (id) => this.#gatewaySeen(id),
      ...(options.outageHeldForMs === undefined ? {} : { outageHeldForMs: options.outageHeldForMs }),
    });
    const host = new URL(config.streamUrl).hostname;
    this.#authority = new AuthorityKeeper({
      client,
      leader,
      timers,
      log,
      namespace,
      gatewayNamespaces,
      name: `${lease}-ca`,
      dnsNames: [host],
      onCertificate: (certificate) => {
        this.server.useCertificate(certificate);
        this.#listen();
      },
    });
    this.#render = new RenderLoop({
      client,
      leader,
      timers,
      random,
      log,
      metrics,
      gateway: (id) => {
        const object = this.control.gather.entry('LLMGateway', id)?.object;
        return object?.kind === 'LLMGateway' ? object : null;
      },
      context: () => this.#renderContext(),
      canStart: () => this.#authority.hasCertificate,
      onRendered: (id, rendered) => this.control.rendered(id, rendered),
    });
    this.#election = new LeaderElection({
      client,
      timers,
      random,
      namespace,
      name: lease,
      identity: options.identity,
      ...options.lease,
      onChange: (epoch) => this.#leadershipChanged(epoch),
      onError: (error) => log.warn({ err: error }, 'the Lease could not be read or written'),
    });
    this.server.onNewerEpoch((epoch) => {
      log.warn({ epoch }, 'a gateway pod has seen a newer leader: the next epoch of this one will be above it');
      this.#election.raiseEpoch(epoch);
    });
    metrics.onScrape(() => this.#collect());
  }

  /** Resolves when the admin port is open; leading and serving come by themselves. */
  async start(): Promise<{ readonly adminPort: number }> {
    const { config, log } = this.#options;
    this.#admin = await startAdmin(config.adminPort, {
      notReady: () => this.#notReady(),
      metrics: this.#options.metrics,
      onError: (error) => log.error({ err: error }, 'the admin port could not answer'),
    });
    this.#authority.start();
    this.#election.start();
    void this.#readImage();
    void this.#judgeCrds();
    return { adminPort: this.#admin.port };
  }

  /** The port of the stream, once there is a certificate. */
  streamPort(): Promise<number> | null {
    return this.#streamPort;
  }

  get isLeader(): boolean {
    return this.#election.isLeader();
  }

  /** Gives the Lease back first, so that the next leader takes over at once. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#election.release();
    this.control.stop();
    this.#authority.stop();
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
    await this.#render.stop();
    await this.#snapshots.close();
    await this.server.close();
    await this.#admin?.close();
    this.#options.client.close();
  }

  #leadershipChanged(epoch: number | null): void {
    const { log, metrics, config } = this.#options;
    metrics.leading(epoch);
    if (epoch === null) {
      log.info('this replica stands by');
      this.control.resign();
      this.#render.resign();
      this.#authority.resign();
      this.#snapshots.resign();
      this.server.resign();
      this.#cancel('label');
      return;
    }
    log.info({ epoch }, 'this replica leads');
    this.server.lead(epoch);
    this.#snapshots.lead(epoch);
    this.#authority.lead();
    this.control.lead();
    this.#render.lead(this.#gatewayIds());
    if (config.pod !== null) void this.#takeLabel(config.pod);
  }

  /** Again and again: another, which did not know yet that it leads no more, may have taken it back. */
  async #takeLabel(pod: string): Promise<void> {
    const { client, log, config } = this.#options;
    const leader = client.guardedBy(() => this.#election.isLeader());
    const failure = await takeLeaderLabel(leader, { namespace: config.namespace, pod });
    if (failure !== null && failure.kind !== 'guarded')
      log.warn({ failure: failure.message }, "the leader's label could not be set; it is tried again");
    if (this.#stopped || !this.#election.isLeader()) return;
    this.#after('label', failure === null ? LABEL_AGAIN_MS : LABEL_RETRY_MS, () => void this.#takeLabel(pod));
  }

  #gatewaySeen(id: string): void {
    if (this.control.gather.entry('LLMGateway', id) === undefined) {
      this.server.forget(id);
      this.#snapshots.forget(id);
    }
    this.#render.touch(id);
  }

  *#gatewayIds(): Iterable<string> {
    const { gather } = this.control;
    for (const id of gather.book('LLMGateway').ids()) if (gather.isRun(id.slice(0, id.indexOf('/')))) yield id;
  }

  #listen(): void {
    if (this.#streamPort !== null) return;
    const { config, log } = this.#options;
    this.#streamPort = this.server.listen(config.streamPort);
    this.#streamPort.then(
      (port) => log.info({ port }, 'the stream is served'),
      (error: unknown) => {
        log.error({ err: error }, 'the port of the stream could not be opened; it is tried again');
        this.#streamPort = null;
        this.#after('listen', LABEL_RETRY_MS, () => this.#listen());
      },
    );
  }

  #renderContext(): Omit<RenderContext, 'crds'> | null {
    const { config, version } = this.#options;
    if (this.#image === null) return null;
    return {
      image: this.#image,
      imagePullPolicy: config.imagePullPolicy,
      version,
      stream: { url: config.streamUrl, audience: TOKEN_AUDIENCE },
      caBundle: { configMap: `${config.lease}-ca`, key: CA_BUNDLE_KEY },
      podMonitorLabels: config.podMonitorLabels,
      prometheusUrl: config.prometheusUrl,
    };
  }

  /** Where none is configured, gateways run the image of this very pod. */
  async #readImage(): Promise<void> {
    const { config, client, log } = this.#options;
    if (this.#image !== null) return;
    if (config.pod === null) {
      log.warn('neither an image nor the own pod is configured: no gateway pods are rendered');
      return;
    }
    const pod = await client.get(PODS, { namespace: config.namespace, name: config.pod });
    const spec = pod.ok ? (pod.value['spec'] as { readonly containers?: readonly { name: string; image: string }[] }) : undefined;
    const containers = spec?.containers ?? [];
    this.#image = (containers.find(({ name }) => name === 'operator') ?? containers[0])?.image ?? null;
    if (this.#image === null) {
      log.warn({ failure: pod.ok ? 'it has no container' : pod.error.message }, 'the image of the own pod could not be read');
      this.#after('image', LABEL_RETRY_MS, () => void this.#readImage());
    }
  }

  /** Helm never upgrades CRDs: what they lack is refused or dropped by the API server, and users should know. */
  async #judgeCrds(): Promise<void> {
    const { client, log, metrics } = this.#options;
    let outdated = 0;
    for (const definition of KINDS) {
      const name = `${definition.plural}.${GROUP}`;
      const installed = await client.get(CUSTOM_RESOURCE_DEFINITIONS, { name });
      if (!installed.ok && installed.error.kind !== 'not_found') {
        log.warn({ crd: name, failure: installed.error.message }, 'the installed CRD could not be read');
        continue;
      }
      const lacks = installed.ok ? lacksOf(definition, installed.value) : ['all of it'];
      if (lacks.length === 0) continue;
      outdated++;
      log.warn(
        { crd: name, lacks: lacks.slice(0, 10), more: Math.max(0, lacks.length - 10) },
        'the installed CRDs are older than this operator: apply those of this release again (kubectl apply --server-side -f crds/)',
      );
    }
    metrics.oldCrds(outdated);
    this.#after('crds', CRDS_AGAIN_MS, () => void this.#judgeCrds());
  }

  #notReady(): string | null {
    if (!this.control.ready) return `not everything has been read yet: ${this.#watches.unread().join(', ')}`;
    if (!this.#authority.hasCertificate) return 'there is no certificate for the stream yet';
    return null;
  }

  #collect(): void {
    const { metrics, timers } = this.#options;
    const { gather, fleet } = this.control;
    const nowMs = timers.nowMs();
    for (const { kind, view } of gather.views())
      if (view.lastContactMs !== null) metrics.watchAge(kind, Math.max(0, nowMs - view.lastContactMs) / 1_000);
    for (const kind of OWN_KINDS) {
      let refused = 0;
      for (const { id, refused: reason } of gather.book(kind).entries()) {
        const accepted = this.control.compiled?.statusOf(`${kind}/${id}`)?.conditions[0];
        if (reason !== null || accepted?.status === 'False') refused++;
      }
      metrics.objects(kind, gather.book(kind).size, refused);
    }
    metrics.namesRead(gather.namesRead);
    metrics.pods([...this.#gatewayIds()].map((id) => [id, fleet.counts(id)] as const));
  }

  #after(what: string, ms: number, run: () => void): void {
    this.#cancel(what);
    if (!this.#stopped) this.#cancels.set(what, this.#options.timers.after(ms, run));
  }

  #cancel(what: string): void {
    this.#cancels.get(what)?.();
    this.#cancels.delete(what);
  }
}
