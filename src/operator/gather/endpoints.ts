/**
 * The addresses behind the Services that serviceRefs name, from their EndpointSlices: one watch for each namespace in which a
 * Service is named, so that what goes on in the rest of a large cluster costs nothing here.
 */
import { BlockList, isIPv4 } from 'node:net';
import type { ServiceEndpoints, ServicePort } from '../../compile/snapshot.ts';
import type { ListWatchView } from '../../kube/contract.ts';
import { keyOf, type KubeObject } from '../../kube/objects.ts';
import { ENDPOINT_SLICES } from '../resources.ts';
import type { StartWatch } from './secrets.ts';

/** More than a gateway would balance over with any use. */
const MAX_ADDRESSES = 1_000;
const SERVICE_NAME = 'kubernetes.io/service-name';

interface Slice {
  readonly id: string;
  /** `namespace/name` */
  readonly service: string;
  readonly family: string;
  /** By the name that the Service's port has. */
  readonly ports: ReadonlyMap<string, number>;
  readonly ready: readonly string[];
  /** Going, and still serving: for when there is nothing else, as kube-proxy has it. */
  readonly leaving: readonly string[];
}

/** What of a Service says which slices and ports are meant. */
interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly families: readonly string[];
  readonly clusterIP: string | null;
  readonly ports: readonly { readonly port: number; readonly name: string }[];
}

interface Followed {
  readonly view: ListWatchView<Slice>;
  holders: number;
}

export interface EndpointBookOptions {
  readonly watch: StartWatch;
  readonly onChange: () => void;
  readonly onError: (error: unknown, what: string) => void;
}

export class EndpointBook {
  readonly #options: EndpointBookOptions;
  readonly #namespaces = new Map<string, Followed>();
  readonly #services = new Map<string, Service>();
  /** By Service. */
  readonly #slices = new Map<string, Map<string, Slice>>();
  /** Which Service a slice is of, because one may be relabelled. */
  readonly #serviceOf = new Map<string, string>();
  readonly #made = new Map<string, ServiceEndpoints>();
  #list: readonly ServiceEndpoints[] | null = null;

  constructor(options: EndpointBookOptions) {
    this.#options = options;
  }

  /** Follows the Services of a namespace, until as many have released as have acquired it. */
  acquire(namespace: string): void {
    const known = this.#namespaces.get(namespace);
    if (known !== undefined) {
      known.holders++;
      return;
    }
    const view = this.#options.watch<Slice>({
      resource: ENDPOINT_SLICES,
      namespace,
      parse: (raw) => sliceOf(raw),
      onChange: (id, slice) => this.#seen(id, slice),
      // The first list may be empty, and that too is news.
      onState: this.#options.onChange,
      onError: (error, key) => this.#options.onError(error, `EndpointSlice ${key}`),
    });
    this.#namespaces.set(namespace, { view, holders: 1 });
  }

  release(namespace: string): void {
    const known = this.#namespaces.get(namespace);
    if (known === undefined || --known.holders > 0) return;
    known.view.stop();
    this.#namespaces.delete(namespace);
    for (const [id, service] of this.#serviceOf) {
      if (!id.startsWith(`${namespace}/`)) continue;
      this.#serviceOf.delete(id);
      this.#slices.delete(service);
      this.#changed(service);
    }
  }

  /** Have the addresses of this namespace's Services been read? */
  isKnown(namespace: string): boolean {
    return this.#namespaces.get(namespace)?.view.synced === true;
  }

  get synced(): boolean {
    return [...this.#namespaces.values()].every(({ view }) => view.synced);
  }

  /** null: it is not there, or nobody names it. */
  setService(id: string, object: KubeObject | null): void {
    const service = object === null ? null : serviceOf(object);
    if (JSON.stringify(service) === JSON.stringify(this.#services.get(id) ?? null)) return;
    if (service === null) this.#services.delete(id);
    else this.#services.set(id, service);
    this.#changed(id);
  }

  /** One a Service that is named. The same list, and the same objects, until something of them changes. */
  list(): readonly ServiceEndpoints[] {
    if (this.#list === null) {
      for (const [id, service] of this.#services)
        if (!this.#made.has(id)) this.#made.set(id, endpointsOf(service, this.#slices.get(id) ?? NO_SLICES));
      this.#list = [...this.#made.values()];
    }
    return this.#list;
  }

  stop(): void {
    for (const { view } of this.#namespaces.values()) view.stop();
  }

  #seen(id: string, slice: Slice | null): void {
    const before = this.#serviceOf.get(id);
    if (before !== undefined && before !== slice?.service) {
      this.#slices.get(before)?.delete(id);
      this.#serviceOf.delete(id);
      this.#changed(before);
    }
    if (slice === null) return;
    const slices = this.#slices.get(slice.service) ?? new Map<string, Slice>();
    this.#slices.set(slice.service, slices);
    this.#serviceOf.set(id, slice.service);
    const same = JSON.stringify(comparable(slices.get(id))) === JSON.stringify(comparable(slice));
    slices.set(id, slice);
    if (!same) this.#changed(slice.service);
  }

  #changed(service: string): void {
    if (!this.#made.delete(service) && !this.#services.has(service)) return;
    this.#list = null;
    this.#options.onChange();
  }
}

const NO_SLICES: ReadonlyMap<string, Slice> = new Map();

function comparable(slice: Slice | undefined): unknown {
  return slice === undefined ? null : { ...slice, ports: [...slice.ports] };
}

function endpointsOf(service: Service, slices: ReadonlyMap<string, Slice>): ServiceEndpoints {
  const all = [...slices.values()];
  // Of a dual-stack Service each pod is in slices of both families: once is enough.
  const family = service.families.find((wanted) => all.some((slice) => slice.family === wanted));
  const taken = all.filter((slice) => slice.family === family);
  const ports = service.ports.map(({ port, name }): ServicePort => {
    const found = (list: 'ready' | 'leaving'): readonly string[] =>
      taken.flatMap((slice) => {
        const number = slice.ports.get(name);
        return number === undefined ? [] : slice[list].map((address) => withPort(address, number));
      });
    const ready = found('ready');
    const addresses = (ready.length > 0 ? ready : found('leaving')).toSorted().slice(0, MAX_ADDRESSES);
    return { port, addresses, fallback: service.clusterIP === null ? null : withPort(service.clusterIP, port) };
  });
  return { metadata: { namespace: service.namespace, name: service.name }, ports };
}

function withPort(address: string, port: number): string {
  return isIPv4(address) ? `${address}:${port}` : `[${address}]:${port}`;
}

function serviceOf({ metadata, ...object }: KubeObject): Service | null {
  const spec = record(object['spec']);
  if (spec['type'] === 'ExternalName') return null;
  const clusterIP = spec['clusterIP'];
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    families: list(spec['ipFamilies']).filter((family) => typeof family === 'string'),
    clusterIP: typeof clusterIP === 'string' && clusterIP !== '' && clusterIP !== 'None' ? clusterIP : null,
    ports: list(spec['ports']).flatMap((entry) => {
      const { port, name } = record(entry);
      return typeof port === 'number' ? [{ port, name: typeof name === 'string' ? name : '' }] : [];
    }),
  };
}

function sliceOf({ metadata, ...object }: KubeObject): Slice {
  const ports = new Map<string, number>();
  for (const entry of list(object['ports'])) {
    const { name, port } = record(entry);
    if (typeof port === 'number') ports.set(typeof name === 'string' ? name : '', port);
  }
  const ready: string[] = [];
  const leaving: string[] = [];
  for (const entry of list(object['endpoints'])) {
    const { addresses, conditions } = record(entry);
    // All addresses of one endpoint are the same pod's.
    const [address] = list(addresses);
    if (typeof address !== 'string' || isSpecial(address)) continue;
    const { ready: isReady, serving, terminating } = record(conditions);
    // What is not said is meant as ready.
    if (isReady !== false) ready.push(address);
    else if (serving === true && terminating === true) leaving.push(address);
  }
  return {
    id: keyOf(metadata),
    service: `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`,
    family: String(object['addressType']),
    ports,
    ready,
    leaving,
  };
}

/** The API server refuses these too: whoever may write an EndpointSlice must not lead a gateway to itself or to its node. */
const special = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
] as const)
  special.ipv4.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['::', 127],
  ['::ffff:0:0', 96],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  special.ipv6.addSubnet(network, prefix, 'ipv6');

function isSpecial(address: string): boolean {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  return special[family].check(address, family);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
