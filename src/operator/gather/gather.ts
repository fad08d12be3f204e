/** Everything that compile reads, kept as the API server has it: one call gives the snapshot of this moment. */
import type { ConfigMap, Namespace, ReferenceGrant } from '../../api/core.ts';
import type { ApiObject } from '../../api/parse.ts';
import type { LLMBackend } from '../../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { Snapshot } from '../../compile/snapshot.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { ListWatchView } from '../../kube/contract.ts';
import type { KubeObject, Resource } from '../../kube/objects.ts';
import type { Timers } from '../../lib/timers.ts';
import {
  CONFIG_MAPS,
  LLM_BACKENDS,
  LLM_GATEWAYS,
  LLM_QUOTAS,
  LLM_ROUTES,
  NAMESPACES,
  REFERENCE_GRANTS,
  SECRETS,
  SERVICES,
} from '../resources.ts';
import { EndpointBook } from './endpoints.ts';
import { ServiceBook } from './services.ts';
import { ObjectBook, type BookOptions, type Entry } from './book.ts';
import { HeldList } from './held.ts';
import { NamedReader, type ReadOutcome, type Wanted } from './named-reader.ts';
import { SecretSources, type KeyOwner, type StartWatch } from './secrets.ts';

/** The kinds whose status the operator writes. */
export const OWN_KINDS = ['LLMGateway', 'LLMBackend', 'LLMQuota', 'LLMRoute'] as const;
export type OwnKind = (typeof OWN_KINDS)[number];
export type OwnObject = LLMRoute | LLMGateway | LLMBackend | LLMQuota;

export interface GatherOptions {
  readonly watch: StartWatch;
  readonly client: Pick<KubeClient, 'get'>;
  readonly timers: Timers;
  /** Where LLMGateways are run. */
  readonly gatewayNamespaces: readonly string[];
  readonly secretNamespaces: readonly string[];
  readonly keyNamespaces: readonly string[];
  /** The next snapshot, or `synced`, may be another. */
  readonly onChange: () => void;
  /** An object of ours came, went or changed, its status included. */
  readonly onSeen: (kind: OwnKind, id: string) => void;
  /** What is wrong with one object or one handler; everything else goes on. */
  readonly onError: (error: unknown, what: string) => void;
}

interface Source<T extends ApiObject> {
  readonly book: ObjectBook<T>;
  readonly view: ListWatchView<Entry<T>>;
}

const OURS: BookOptions = { metadata: 'OwnAnnotations', keepLastGood: true };
const OTHERS: BookOptions = { metadata: 'Labels', keepLastGood: false };

const NAMED_RESOURCES = { Secret: SECRETS, ConfigMap: CONFIG_MAPS, Service: SERVICES } as const;

export class Gather {
  readonly #options: GatherOptions;
  readonly #reader: NamedReader;
  readonly #secrets: SecretSources;
  readonly #configMaps = new ObjectBook<ConfigMap>('ConfigMap', OTHERS);
  readonly #services = new ServiceBook();
  readonly #endpoints: EndpointBook;
  readonly #routes: Source<LLMRoute>;
  readonly #gateways: Source<LLMGateway>;
  readonly #backends: Source<LLMBackend>;
  readonly #quotas: Source<LLMQuota>;
  readonly #namespaces: Source<Namespace>;
  readonly #grants: readonly Source<ReferenceGrant>[];
  readonly #held: {
    readonly LLMRoute: HeldList<LLMRoute>;
    readonly LLMGateway: HeldList<LLMGateway>;
    readonly LLMBackend: HeldList<LLMBackend>;
    readonly LLMQuota: HeldList<LLMQuota>;
  };
  #grantList: readonly ReferenceGrant[] | null = null;
  #followed: readonly LLMGateway[] = [];
  #gatewaysChanged = false;

  constructor(options: GatherOptions) {
    this.#options = options;
    const { watch, timers, secretNamespaces, keyNamespaces, onChange, onError } = options;
    this.#reader = new NamedReader({
      timers,
      read: (wanted) => this.#read(wanted),
      onChange: (wanted, outcome) => this.#told(wanted, outcome),
    });
    this.#secrets = new SecretSources({
      watch,
      watchedNamespaces: secretNamespaces,
      keyNamespaces,
      isThere: (namespace) => this.isThere(namespace),
      onChange,
      onError,
    });
    this.#endpoints = new EndpointBook({ watch, onChange, onError });
    const held = {
      isKnown: (wanted: Wanted) => this.#isKnown(wanted),
      acquire: (wanted: Wanted) => {
        if (wanted.kind === 'Service') this.#endpoints.acquire(wanted.namespace);
        if (!this.#isOfWatched(wanted)) this.#reader.acquire(wanted);
      },
      release: (wanted: Wanted) => {
        if (wanted.kind === 'Service') this.#endpoints.release(wanted.namespace);
        if (!this.#isOfWatched(wanted) && this.#reader.release(wanted)) this.#told(wanted, null);
      },
    };
    this.#held = {
      LLMRoute: new HeldList<LLMRoute>(held),
      LLMGateway: new HeldList<LLMGateway>({ ...held, isReady: (gateway) => this.#secrets.hasKeysOf(keyOwner(gateway)) }),
      LLMBackend: new HeldList<LLMBackend>(held),
      LLMQuota: new HeldList<LLMQuota>(held),
    };
    this.#routes = this.#own(LLM_ROUTES, 'LLMRoute', this.#held.LLMRoute);
    this.#gateways = this.#own(LLM_GATEWAYS, 'LLMGateway', this.#held.LLMGateway);
    this.#backends = this.#own(LLM_BACKENDS, 'LLMBackend', this.#held.LLMBackend);
    this.#quotas = this.#own(LLM_QUOTAS, 'LLMQuota', this.#held.LLMQuota);
    this.#namespaces = this.#source<Namespace>(NAMESPACES, 'Namespace', OTHERS, onChange);
    this.#grants = REFERENCE_GRANTS.map((resource) =>
      this.#source<ReferenceGrant>(resource, 'ReferenceGrant', OTHERS, () => {
        this.#grantList = null;
        onChange();
      }),
    );
  }

  /**
   * Everything was read once. Before that nothing may be published: what is not read yet would look as if it were not there, and
   * be taken away from pods that serve it.
   */
  get synced(): boolean {
    if (!this.#sources().every(({ view }) => view.synced)) return false;
    this.#followKeys();
    return this.#secrets.synced && this.#endpoints.synced && this.#reader.unread === 0;
  }

  snapshot(): Snapshot {
    this.#followKeys();
    return {
      routes: this.#held.LLMRoute.list(),
      gateways: this.#held.LLMGateway.list(),
      backends: this.#held.LLMBackend.list(),
      quotas: this.#held.LLMQuota.list(),
      secrets: this.#secrets.list(),
      configMaps: this.#configMaps.list(),
      namespaces: this.#namespaces.book.list(),
      referenceGrants: this.#grantsNow(),
      forbiddenSecrets: this.#secrets.forbidden(),
      services: this.#services.list(),
      endpoints: this.#endpoints.list(),
    };
  }

  book(kind: OwnKind): ObjectBook<LLMRoute> | ObjectBook<LLMGateway> | ObjectBook<LLMBackend> | ObjectBook<LLMQuota> {
    return this.#ofKind(kind).book;
  }

  entry(kind: OwnKind, id: string): Entry<OwnObject> | undefined {
    return this.book(kind).get(id);
  }

  /** What an object waits for before it can be compiled; empty: it does not wait. */
  missing(kind: OwnKind, id: string): readonly Wanted[] {
    return this.#held[kind].missing(id);
  }

  /** An LLMGateway elsewhere is not run by this operator: it gets no table, and is nobody's default. */
  isRun(gatewayNamespace: string): boolean {
    return this.#options.gatewayNamespaces.includes(gatewayNamespace);
  }

  /** False: Kubernetes has no such namespace. */
  isThere(namespace: string): boolean {
    return !this.#namespaces.view.synced || this.#namespaces.book.get(namespace) !== undefined;
  }

  /** For metrics and health: each kind by name with how it is followed. */
  views(): readonly { readonly kind: string; readonly view: ListWatchView<unknown> }[] {
    return [
      ...OWN_KINDS.map((kind) => ({ kind, view: this.#ofKind(kind).view })),
      { kind: NAMESPACES.kind, view: this.#namespaces.view },
    ];
  }

  get namesRead(): number {
    return this.#reader.size;
  }

  stop(): void {
    this.#reader.stop();
    this.#secrets.stop();
    this.#endpoints.stop();
    for (const { view } of this.#sources()) view.stop();
  }

  #ofKind(kind: OwnKind): Source<LLMRoute> | Source<LLMGateway> | Source<LLMBackend> | Source<LLMQuota> {
    return { LLMRoute: this.#routes, LLMGateway: this.#gateways, LLMBackend: this.#backends, LLMQuota: this.#quotas }[kind];
  }

  #sources(): readonly { readonly view: ListWatchView<unknown> }[] {
    return [...OWN_KINDS.map((kind) => this.#ofKind(kind)), this.#namespaces, ...this.#grants];
  }

  #own<T extends OwnObject>(resource: Resource, kind: OwnKind, held: HeldList<T>): Source<T> {
    const { onChange, onSeen } = this.#options;
    return this.#source<T>(resource, kind, OURS, (id, entry, changed) => {
      if (changed) {
        const skipped = kind === 'LLMGateway' && !this.isRun(id.slice(0, id.indexOf('/')));
        held.set(id, skipped ? null : (entry?.object ?? null));
        if (kind === 'LLMGateway') this.#gatewaysChanged = true;
      }
      onSeen(kind, id);
      if (changed) onChange();
    });
  }

  #source<T extends ApiObject>(
    resource: Resource,
    kind: T['kind'],
    options: BookOptions,
    seen: (id: string, entry: Entry<T> | null, changed: boolean) => void,
  ): Source<T> {
    const book = new ObjectBook<T>(kind, options);
    const { onChange, onError } = this.#options;
    const view = this.#options.watch<Entry<T>>({
      resource,
      parse: (raw) => book.parse(raw),
      onChange: (id, entry) => {
        const changed = book.accept(id, entry);
        if (entry?.refused?.fault !== undefined) onError(entry.refused.fault, `${kind} ${id}`);
        else if (changed && entry?.refused != null && !options.keepLastGood)
          onError(new Error(entry.refused.issues.map(({ path, message }) => `${path}: ${message}`).join('; ')), `${kind} ${id}`);
        seen(id, entry, changed);
      },
      onState: onChange,
      onError: (error, key) => onError(error, `${kind} ${key}`),
    });
    return { book, view };
  }

  /** Both versions of the API serve the same objects. */
  #grantsNow(): readonly ReferenceGrant[] {
    if (this.#grantList === null) {
      const byId = new Map<string, ReferenceGrant>();
      for (const { book } of this.#grants)
        for (const { id, object } of book.entries()) if (object !== null && !byId.has(id)) byId.set(id, object);
      this.#grantList = [...byId.values()];
    }
    return this.#grantList;
  }

  /** Those that wait too, so that a gateway is served with its keys from the first moment. */
  #followKeys(): void {
    if (!this.#gatewaysChanged && this.#held.LLMGateway.list() === this.#followed) return;
    this.#gatewaysChanged = false;
    this.#followed = this.#held.LLMGateway.list();
    this.#secrets.followKeys([...this.#followed, ...this.#held.LLMGateway.newest()].map(keyOwner));
  }

  #isOfWatched({ kind, namespace }: Wanted): boolean {
    return kind === 'Secret' && this.#secrets.isWatched(namespace);
  }

  #isKnown(wanted: Wanted): boolean {
    if (this.#isOfWatched(wanted)) return this.#secrets.synced;
    if (wanted.kind === 'Service' && !this.#endpoints.isKnown(wanted.namespace)) return false;
    return this.#reader.known(wanted) !== null;
  }

  async #read({ kind, namespace, name }: Wanted): Promise<ReadOutcome> {
    const found = await this.#options.client.get(NAMED_RESOURCES[kind], { namespace, name });
    if (found.ok) return { outcome: 'Found', object: found.value };
    switch (found.error.kind) {
      case 'not_found':
        return { outcome: 'Missing' };
      case 'forbidden':
        return { outcome: 'Forbidden' };
      default:
        return { outcome: 'Failed', reason: found.error.message };
    }
  }

  /** null: nobody names it any more. */
  #told(wanted: Wanted, outcome: ReadOutcome | null): void {
    const { kind, namespace, name } = wanted;
    if (kind === 'Secret') {
      this.#secrets.told(wanted, outcome);
      return;
    }
    const id = `${namespace}/${name}`;
    const object: KubeObject | null = outcome?.outcome === 'Found' ? outcome.object : null;
    if (kind === 'Service') {
      this.#services.set(id, object);
      this.#endpoints.setService(id, object);
    } else if (object === null) this.#configMaps.accept(id, null);
    else this.#configMaps.put(object);
    this.#options.onChange();
  }
}

function keyOwner({ metadata, spec }: LLMGateway): KeyOwner {
  return { namespace: metadata.namespace, selector: spec.clientAuth.apiKeySelector };
}
