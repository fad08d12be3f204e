/**
 * In which publication of each gateway's table a quota last changed anything there: a pod that has acknowledged that one holds the
 * quota as it is now. Edits of routes that leave its limits as they are do not count, so they move no quota's status.
 */
import type { Limit, Route, RouteTable } from '../../routetable/types.ts';
import { changedRoutes } from './transitions.ts';

/** A quota at one gateway. */
export interface QuotaPlace {
  readonly gatewayId: string;
  /** Of the publication. */
  readonly sequence: number;
}

interface Gateway {
  readonly sequences: Map<string, number>;
  /** Not yet held by every ready pod, as far as it is known. */
  readonly open: Set<string>;
}

export class QuotaProgress {
  readonly #gateways = new Map<string, Gateway>();
  readonly #isThere: (quotaId: string) => boolean;

  /** `isThere`: whether there is a quota of that `namespace/name`. */
  constructor(isThere: (quotaId: string) => boolean) {
    this.#isThere = isThere;
  }

  /** `after` was published as `sequence`; `before` is what was published before it. */
  published(gatewayId: string, before: RouteTable | undefined, after: RouteTable, sequence: number): void {
    for (const change of changedRoutes(before, after)) {
      // With a route that is gone its limits are, and there is nothing to hold.
      if (change.after === null) continue;
      for (const quotaId of quotasThatDiffer(change.before, change.after)) {
        // It was forgotten when it went, and only now its limits do.
        if (!this.#isThere(quotaId)) continue;
        const gateway = this.#gateways.get(gatewayId) ?? { sequences: new Map<string, number>(), open: new Set<string>() };
        this.#gateways.set(gatewayId, gateway);
        gateway.sequences.set(quotaId, sequence);
        gateway.open.add(quotaId);
      }
    }
  }

  placesOf(quotaId: string): readonly QuotaPlace[] {
    return [...this.#gateways].flatMap(([gatewayId, { sequences }]) => {
      const sequence = sequences.get(quotaId);
      return sequence === undefined ? [] : [{ gatewayId, sequence }];
    });
  }

  /** All that limit, or have limited, anything at a gateway; `open`: those alone that were not settled since they changed. */
  at(gatewayId: string, which: 'all' | 'open'): Iterable<string> {
    const gateway = this.#gateways.get(gatewayId);
    return (which === 'open' ? gateway?.open : gateway?.sequences.keys()) ?? [];
  }

  /** Every ready pod holds it. */
  settled(gatewayId: string, quotaId: string): void {
    this.#gateways.get(gatewayId)?.open.delete(quotaId);
  }

  forgetQuota(quotaId: string): void {
    for (const { sequences, open } of this.#gateways.values()) {
      sequences.delete(quotaId);
      open.delete(quotaId);
    }
  }

  forgetGateway(gatewayId: string): void {
    this.#gateways.delete(gatewayId);
  }
}

/** An unchanged quota's limits are the very same objects in every route and from one compile to the next. */
function quotasThatDiffer(before: Route | null, after: Route): ReadonlySet<string> {
  const differ = new Set<string>();
  const add = (limits: readonly Limit[], other: readonly Limit[]): void => {
    for (const limit of limits) if (limit.quota !== undefined && !other.includes(limit)) differ.add(limit.quota);
  };
  add(before?.limits ?? [], after.limits);
  add(after.limits, before?.limits ?? []);
  return differ;
}
