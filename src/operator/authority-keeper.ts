/**
 * Keeps the operator's certificate authority: its state in a Secret of the release's namespace, its bundle in a ConfigMap of every
 * gateway namespace. The leader writes; every replica reads, and makes itself a certificate that pods trust.
 */
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import { isObject } from '../lib/json.ts';
import type { Timers } from '../lib/timers.ts';
import type { Logger } from '../telemetry/log.ts';
import {
  CA_BUNDLE_KEY,
  decodeAuthority,
  encodeAuthority,
  issueServing,
  planAuthority,
  trustedBy,
  type AuthorityState,
} from './delivery/authority.ts';
import type { ServingCertificate } from './delivery/delivery.ts';
import { CONFIG_MAPS, NAMESPACES, SECRETS } from './resources.ts';

export interface AuthorityKeeperOptions {
  readonly client: KubeClient;
  /** Refuses where this process does not lead. */
  readonly leader: KubeClient;
  readonly timers: Timers;
  readonly log: Logger;
  readonly namespace: string;
  readonly gatewayNamespaces: readonly string[];
  /** Of the Secret and of the ConfigMaps. */
  readonly name: string;
  /** As pods call the stream. */
  readonly dnsNames: readonly string[];
  readonly onCertificate: (certificate: ServingCertificate) => void;
}

const MANAGER = 'fairlead-authority';
const AGAIN_MS = 10 * 60_000;
const RETRY_MS = 2_000;
/** Until a namespace that was not there is looked for again. */
const NO_NAMESPACE_AGAIN_MS = 30_000;

export class AuthorityKeeper {
  readonly #options: AuthorityKeeperOptions;
  #certificate: { readonly of: string; readonly renewMs: number } | null = null;
  #leading = false;
  #running = false;
  #again = false;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(options: AuthorityKeeperOptions) {
    this.#options = options;
  }

  /** A certificate was made that pods trust. */
  get hasCertificate(): boolean {
    return this.#certificate !== null;
  }

  start(): void {
    void this.#run();
  }

  lead(): void {
    this.#leading = true;
    void this.#run();
  }

  resign(): void {
    this.#leading = false;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #run(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    this.#cancel?.();
    let againMs = AGAIN_MS;
    try {
      do {
        this.#again = false;
        againMs = await this.#once();
      } while (this.#again);
    } catch (error) {
      this.#options.log.error({ err: error }, 'the certificate authority could not be kept; it is tried again');
      againMs = RETRY_MS;
    } finally {
      this.#running = false;
    }
    if (!this.#stopped) this.#cancel = this.#options.timers.after(againMs, () => void this.#run());
  }

  /** Returns when to look again. */
  async #once(): Promise<number> {
    const { client, namespace, name, timers, gatewayNamespaces } = this.#options;
    const secret = await client.get(SECRETS, { namespace, name });
    if (!secret.ok && secret.error.kind !== 'not_found') throw new Error(secret.error.message);
    const stored = secret.ok ? decodeAuthority(decodedData(secret.value)) : null;
    const published = await this.#published();
    const doneMs = published.size < gatewayNamespaces.length ? NO_NAMESPACE_AGAIN_MS : AGAIN_MS;
    if (!this.#leading) return stored !== null && this.#certify(stored, published) ? doneMs : RETRY_MS;
    const plan = planAuthority(stored, leastOf(published), timers.wallMs());
    if (plan.changed && !(await this.#store(plan.state, secret.ok ? secret.value : null))) return RETRY_MS;
    let complete = true;
    for (const [where, bundle] of published) {
      if (bundle === plan.bundlePem) continue;
      complete = (await this.#publish(where, plan.bundlePem)) && complete;
    }
    const certified = this.#certify(plan.state, published.size === 0 || complete ? new Map([['', plan.bundlePem]]) : published);
    return certified && complete ? doneMs : RETRY_MS;
  }

  async #store(state: AuthorityState, before: KubeObject | null): Promise<boolean> {
    const { leader, namespace, name, log } = this.#options;
    const stringData = encodeAuthority(state);
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        namespace,
        name,
        labels: { 'app.kubernetes.io/name': 'fairlead', 'app.kubernetes.io/managed-by': 'fairlead-operator' },
        // Another replica may have been quicker: then its authority counts.
        ...(before?.metadata.resourceVersion === undefined ? {} : { resourceVersion: before.metadata.resourceVersion }),
      },
      type: 'Opaque',
      stringData,
    };
    const written = before === null ? await leader.create(SECRETS, object) : await leader.replace(SECRETS, object);
    if (!written.ok) log.warn({ failure: written.error.message }, "the certificate authority's Secret could not be written");
    return written.ok;
  }

  async #publish(namespace: string, bundlePem: string): Promise<boolean> {
    const { leader, name, log } = this.#options;
    const applied = await leader.apply(
      CONFIG_MAPS,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          namespace,
          name,
          labels: { 'app.kubernetes.io/name': 'fairlead', 'app.kubernetes.io/managed-by': 'fairlead-operator' },
        },
        data: { [CA_BUNDLE_KEY]: bundlePem },
      },
      { fieldManager: MANAGER, force: true },
    );
    if (!applied.ok) log.warn({ namespace, failure: applied.error.message }, 'the CA bundle could not be published');
    return applied.ok;
  }

  /** What each gateway namespace has; '' where there is nothing. One that was deleted is not in it: no pod waits there. */
  async #published(): Promise<ReadonlyMap<string, string>> {
    const { client, gatewayNamespaces, name } = this.#options;
    const found = new Map<string, string>();
    for (const namespace of gatewayNamespaces) {
      const map = await client.get(CONFIG_MAPS, { namespace, name });
      if (!map.ok && map.error.kind !== 'not_found') throw new Error(map.error.message);
      if (!map.ok && (await this.#isGone(namespace))) continue;
      const data = map.ok ? map.value['data'] : undefined;
      const bundle = isObject(data) ? data[CA_BUNDLE_KEY] : undefined;
      found.set(namespace, typeof bundle === 'string' ? bundle : '');
    }
    return found;
  }

  /** Being deleted, too: nothing can be made there any more. */
  async #isGone(namespace: string): Promise<boolean> {
    const found = await this.#options.client.get(NAMESPACES, { name: namespace });
    return found.ok ? found.value.metadata.deletionTimestamp !== undefined : found.error.kind === 'not_found';
  }

  /** False: not every pod would trust it yet, so there is none of this authority. */
  #certify(state: AuthorityState, published: ReadonlyMap<string, string>): boolean {
    const { timers, dnsNames, onCertificate } = this.#options;
    if (![...published.values()].every((bundle) => trustedBy(bundle, state.current))) return false;
    const wallMs = timers.wallMs();
    const known = this.#certificate;
    if (known !== null && known.of === state.current.certificatePem && wallMs < known.renewMs) return true;
    const issued = issueServing(state.current, dnsNames, wallMs);
    this.#certificate = { of: state.current.certificatePem, renewMs: issued.renewMs };
    onCertificate(issued);
    return true;
  }
}

/** A successor counts as published where every namespace has it. */
function leastOf(published: ReadonlyMap<string, string>): string | null {
  const bundles = [...published.values()];
  return bundles.find((bundle) => bundle === '') ?? bundles.sort((a, b) => a.length - b.length)[0] ?? null;
}

function decodedData(secret: KubeObject): Readonly<Record<string, string>> {
  const data = secret['data'];
  if (!isObject(data)) return {};
  return Object.fromEntries(
    Object.entries(data).flatMap(([key, value]) =>
      typeof value === 'string' ? [[key, Buffer.from(value, 'base64').toString('utf8')]] : [],
    ),
  );
}
