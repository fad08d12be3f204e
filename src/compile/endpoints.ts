/** The addresses that a gateway's table needs: those of the Services that its routes call. */
import { sharedEnds } from '../lib/shared-ends.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { Endpoints, Route } from '../routetable/types.ts';
import type { ServiceEndpoints, ServicePort } from './snapshot.ts';

/** What a target calls the addresses behind a Service's port. `service`: `namespace/name`. */
export function endpointsId(service: string, port: number): string {
  return `${service}:${port}`;
}

/** Made once for each state of a Service's port. */
const made = new WeakMap<ServicePort, Endpoints>();

/** Counts how often the routes of one gateway's table call what: an edit costs the routes that it changes. */
export class EndpointUses {
  readonly #counts = new Map<string, number>();
  /** Sorted; null: they have changed since. */
  #ids: readonly string[] | null = null;

  /** `before`: what was counted last; both sorted by id. */
  replace(before: readonly Route[], after: readonly Route[]): void {
    if (before === after) return;
    const { head, tail } = sharedEnds(before, after);
    // First those that come, so that what both call never falls to none.
    for (const route of after.slice(head, after.length - tail)) this.#count(route, 1);
    for (const route of before.slice(head, before.length - tail)) this.#count(route, -1);
  }

  /** Sorted by id. A Service whose addresses are not known has none; null: none is asked for. */
  endpoints(services: ReadonlyMap<string, ServiceEndpoints> | null): readonly Endpoints[] {
    if (services === null) return [];
    this.#ids ??= [...this.#counts.keys()].sort(byText);
    return this.#ids.map((id) => endpointsOf(id, services));
  }

  #count({ targets }: Route, by: 1 | -1): void {
    for (const { endpoints } of targets) {
      if (endpoints === undefined) continue;
      const count = (this.#counts.get(endpoints) ?? 0) + by;
      if (count === 0) this.#counts.delete(endpoints);
      else this.#counts.set(endpoints, count);
      if (count === 0 || count === by) this.#ids = null;
    }
  }
}

function endpointsOf(id: string, services: ReadonlyMap<string, ServiceEndpoints>): Endpoints {
  const colon = id.lastIndexOf(':');
  const number = Number(id.slice(colon + 1));
  const port = services.get(id.slice(0, colon))?.ports.find((found) => found.port === number);
  if (port === undefined) return withDigest({ id, addresses: [], fallback: null });
  let found = made.get(port);
  if (found === undefined) {
    found = withDigest({ id, addresses: [...new Set(port.addresses)].sort(byText), fallback: port.fallback });
    made.set(port, found);
  }
  return found;
}

function withDigest(body: Omit<Endpoints, 'digest'>): Endpoints {
  return { digest: digestOf(body), ...body };
}
