/**
 * The targets that are a Service of the cluster: each address is called and judged by itself, whatever table it is of. What a table
 * says of addresses is taken over in place, so that a request under way sees it at its next attempt.
 */
import type { Endpoints, Target } from '../routetable/types.ts';
import { AddressHealth, type Address } from '../selection/address-health.ts';
import type { HealthBook, HealthState, HealthTransition, TargetHealth } from '../selection/health.ts';
import type { Operation } from '../lib/operation.ts';
import { type Channel, type Connections, RefusedChannel } from '../upstream/connections.ts';

/** Where one attempt goes. */
export interface Place {
  /** null: wherever the URL's host leads. */
  readonly address: string | null;
  readonly health: TargetHealth;
  readonly channel: Channel;
}

/** Between an upstream and one of its addresses, in what health is kept by. */
const VIA = ' via ';

export interface AddressId {
  /** The Service's. */
  readonly upstreamId: string;
  readonly address: string;
}

/** null: what health is kept by is no address of a Service. */
export function addressId(upstreamId: string): AddressId | null {
  const at = upstreamId.lastIndexOf(VIA);
  return at === -1 ? null : { upstreamId: upstreamId.slice(0, at), address: upstreamId.slice(at + VIA.length) };
}

interface AddressPlace extends Place, Address {
  readonly address: string;
}

export interface ServiceTargetsOptions {
  readonly health: HealthBook;
  readonly connections: Connections;
  random(): number;
  nowMs(): number;
  /** The Service as a whole went out or came back. */
  onTransition(transition: HealthTransition): void;
}

/** One Service as one target calls it. */
export class ServiceTarget {
  readonly signals: AddressHealth<AddressPlace>;
  readonly target: Target;
  readonly #options: ServiceTargetsOptions;
  readonly #nowhere: Place;
  #endpoints: Endpoints | null = null;
  #known = false;
  /** What was told last; null: it is in use. */
  #told: HealthTransition | null = null;
  #toldUntilMs = 0;

  constructor(target: Target, options: ServiceTargetsOptions) {
    this.target = target;
    this.#options = options;
    this.signals = new AddressHealth(options.random());
    this.#nowhere = {
      address: null,
      health: options.health.signals(target),
      channel: new RefusedChannel(`no address of Service ${target.endpoints ?? ''} is ready`),
    };
  }

  /** `tried`: addresses that have failed this request. */
  place(tried: readonly string[], operation: Operation): Place {
    return this.signals.pick(tried, operation, this.#options.nowMs()) ?? this.#nowhere;
  }

  get channels(): readonly Channel[] {
    return this.signals.all.map(({ channel }) => channel);
  }

  get credentialIds(): readonly string[] {
    return this.signals.all.map(({ health }) => health.credentialId);
  }

  /** Returns whether an address has gone. */
  update(endpoints: Endpoints | null): boolean {
    if (this.#known && this.#endpoints?.digest === endpoints?.digest) return false;
    this.#known = true;
    this.#endpoints = endpoints;
    const before = new Map(this.signals.all.map((place) => [place.address, place]));
    const made = (address: string): AddressPlace => before.get(address) ?? this.#placeAt(address);
    this.signals.set((endpoints?.addresses ?? []).map(made), endpoints?.fallback == null ? null : made(endpoints.fallback));
    this.tell();
    const after = new Set(this.signals.all);
    return [...before.values()].some((place) => !after.has(place));
  }

  /** Says what the Service is now, where that is news. */
  tell(): void {
    const nowMs = this.#options.nowMs();
    const { signals, target } = this;
    const out = signals.isOut(nowMs);
    const before = this.#told;
    if (!out) {
      if (before === null) return;
      this.#told = null;
      this.#options.onTransition({ ...before, from: before.to, to: 'Healthy', forMs: 0 });
      return;
    }
    const to: HealthState = signals.ejected ? 'Ejected' : 'CoolingDown';
    // A time out of all of them ends by itself, untold: the next one is news again.
    if (before !== null && (before.to === 'Ejected' || nowMs < this.#toldUntilMs)) return;
    // Without an address it is out until there is one.
    const forMs = signals.coolUntilMs === Infinity ? 0 : Math.max(0, signals.coolUntilMs - nowMs);
    this.#toldUntilMs = nowMs + forMs;
    this.#told = {
      upstreamId: target.upstreamId,
      credentialId: to === 'Ejected' ? null : target.credentialId,
      from: 'Healthy',
      to,
      reason: signals.coolReason,
      operation: null,
      forMs,
      told: false,
    };
    this.#options.onTransition(this.#told);
  }

  #placeAt(address: string): AddressPlace {
    const { target } = this;
    const { health, connections } = this.#options;
    return {
      address,
      health: health.signals({
        upstreamId: `${target.upstreamId}${VIA}${address}`,
        credentialId: `${target.credentialId}${VIA}${address}`,
        model: target.model,
      }),
      channel: connections.channelFor(target, new URL(target.baseUrl).origin, address),
    };
  }
}

/** All of this process, by the identity that health is kept by. */
export class ServiceTargets {
  readonly #options: ServiceTargetsOptions;
  readonly #targets = new Map<string, ServiceTarget>();
  #list: readonly Endpoints[] = [];
  #endpoints: ReadonlyMap<string, Endpoints> = new Map();

  constructor(options: ServiceTargetsOptions) {
    this.#options = options;
  }

  /** null: it is no Service whose addresses are known. */
  of(target: Target): ServiceTarget | null {
    const { endpoints, credentialId } = target;
    if (endpoints === undefined) return null;
    let found = this.#targets.get(credentialId);
    if (found === undefined) {
      found = new ServiceTarget(target, this.#options);
      found.update(this.#endpoints.get(endpoints) ?? null);
      this.#targets.set(credentialId, found);
    }
    return found;
  }

  /** What a table says of addresses. Before its routes are loaded. Returns whether an address of a target has gone. */
  update(endpoints: readonly Endpoints[]): boolean {
    if (endpoints === this.#list) return false;
    this.#list = endpoints;
    this.#endpoints = new Map(endpoints.map((found) => [found.id, found]));
    let gone = false;
    for (const service of this.#targets.values())
      if (service.update(this.#endpoints.get(service.target.endpoints ?? '') ?? null)) gone = true;
    return gone;
  }

  /** What happened to one address: tells what that makes of its Service. */
  told({ upstreamId }: AddressId): void {
    for (const service of this.#targets.values()) if (service.target.upstreamId === upstreamId) service.tell();
  }

  /** Those that no table names any more are forgotten; of the others, what is to be kept of them. */
  prune(credentialIds: ReadonlySet<string>): {
    readonly channels: readonly Channel[];
    readonly credentialIds: readonly string[];
  } {
    for (const id of this.#targets.keys()) if (!credentialIds.has(id)) this.#targets.delete(id);
    const kept = [...this.#targets.values()];
    return {
      channels: kept.flatMap(({ channels }) => channels),
      credentialIds: kept.flatMap((service) => service.credentialIds),
    };
  }
}
