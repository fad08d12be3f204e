/**
 * Which route a model name means to a caller: in the caller's namespace first, then in the gateway's, then among routes elsewhere;
 * in each, the exact name before the longest prefix. A route whose access does not admit the caller does not exist for them, at
 * any step. So a team's own names and the platform's go before whatever another team opens to all.
 */
import type { Access, ModelName, Route, RouteTable } from '../routetable/types.ts';

export interface Caller {
  readonly namespace: string;
  readonly tenant: string;
  /** A key of the gateway's own namespace: `Same` admits it everywhere. */
  readonly platform: boolean;
  /** No client auth: counts as a platform caller. */
  readonly anonymous: boolean;
}

export interface ListedName extends ModelName {
  /** Whose models answer to it. */
  readonly route: Route;
}

export interface Names {
  /** null: no route that admits the caller has this name. A key's own `models` restriction is not looked at. */
  resolve(caller: Caller, model: string): Route | null;
  /** Every name that the caller may use, each once, sorted; prefixes as such (`wildcard`). */
  list(caller: Caller): readonly ListedName[];
}

export function compileNames(table: Pick<RouteTable, 'gateway' | 'routes'>): Names {
  return new NameTable(table.gateway.namespace, table.routes);
}

class NameTable implements Names {
  readonly #gatewayNamespace: string;
  readonly #byNamespace = new Map<string, Scope>();
  readonly #everywhere = new Scope();

  constructor(gatewayNamespace: string, routes: readonly Route[]) {
    this.#gatewayNamespace = gatewayNamespace;
    // By id, so that among equals elsewhere the first one wins whatever order the routes come in.
    for (const route of routes.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      let scope = this.#byNamespace.get(route.namespace);
      if (scope === undefined) this.#byNamespace.set(route.namespace, (scope = new Scope()));
      scope.add(route);
      this.#everywhere.add(route);
    }
  }

  resolve(caller: Caller, model: string): Route | null {
    const platform = caller.platform || caller.anonymous;
    if (!platform && caller.namespace !== this.#gatewayNamespace) {
      const own = this.#byNamespace.get(caller.namespace)?.find(true, caller.tenant, model);
      if (own !== undefined) return own;
    }
    const inside = platform || caller.namespace === this.#gatewayNamespace;
    // Routes of the steps before are in `everywhere` too, but had they this name for this caller, the search would have ended there.
    return (
      this.#byNamespace.get(this.#gatewayNamespace)?.find(inside, caller.tenant, model) ??
      this.#everywhere.find(platform, caller.tenant, model) ??
      null
    );
  }

  list(caller: Caller): readonly ListedName[] {
    const platform = caller.platform || caller.anonymous;
    const namespace = platform ? this.#gatewayNamespace : caller.namespace;
    const listed = new Map<string, ListedName>();
    const steps: [Scope | undefined, boolean][] = [
      [this.#byNamespace.get(namespace), true],
      [this.#byNamespace.get(this.#gatewayNamespace), platform],
      [this.#everywhere, platform],
    ];
    steps.forEach(([scope, inside], step) => {
      // A prefix that an earlier step covers is never reached.
      const earlier = steps.slice(0, step);
      for (const index of scope?.admitting(inside, caller.tenant) ?? []) {
        for (const value of index.exact.keys()) {
          const route = this.resolve(caller, value);
          if (route !== null) listed.set(value, { value, wildcard: false, route });
        }
        for (const value of index.prefixes.keys()) {
          const route = scope?.byPrefix(inside, caller.tenant, value);
          const covered = earlier.some(([before, within]) => before?.byPrefix(within, caller.tenant, value) !== undefined);
          if (route !== undefined && !covered) listed.set(`${value}*`, { value, wildcard: true, route });
        }
      }
    });
    return [...listed.keys()].sort().flatMap((key) => listed.get(key) ?? []);
  }
}

/**
 * The names of one namespace, or of all, by whom their routes admit: so a caller's lookup meets only routes that admit them, and
 * 5,000 teams that call their model the same cost it nothing.
 */
class Scope {
  #open: NameIndex | null = null;
  /** For callers whom `Same` admits: its routes and the open ones. */
  #inside: NameIndex | null = null;
  #byTenant: Map<string, NameIndex> | null = null;

  add(route: Route): void {
    for (const index of this.#admittedBy(route.access)) for (const name of route.modelNames) index.add(name, route);
  }

  #admittedBy(access: Access): NameIndex[] {
    switch (access.from) {
      case 'All':
        return [(this.#open ??= new NameIndex()), (this.#inside ??= new NameIndex())];
      case 'Same':
        return [(this.#inside ??= new NameIndex())];
      case 'Tenants': {
        const byTenant = (this.#byTenant ??= new Map<string, NameIndex>());
        return access.tenants.map((tenant) => {
          let index = byTenant.get(tenant);
          if (index === undefined) byTenant.set(tenant, (index = new NameIndex()));
          return index;
        });
      }
    }
  }

  /** The names that a caller meets here. `inside`: `Same` admits them. */
  admitting(inside: boolean, tenant: string): NameIndex[] {
    return [inside ? this.#inside : this.#open, this.#byTenant?.get(tenant)].filter((index) => index != null);
  }

  find(inside: boolean, tenant: string, model: string): Route | undefined {
    return this.#byExact(inside, tenant, model) ?? this.byPrefix(inside, tenant, model);
  }

  #byExact(inside: boolean, tenant: string, model: string): Route | undefined {
    const general = (inside ? this.#inside : this.#open)?.exact.get(model);
    const tenants = this.#byTenant?.get(tenant)?.exact.get(model);
    return first(general, tenants);
  }

  byPrefix(inside: boolean, tenant: string, model: string): Route | undefined {
    const general = (inside ? this.#inside : this.#open)?.longestPrefix(model);
    const tenants = this.#byTenant?.get(tenant)?.longestPrefix(model);
    if (general === undefined || tenants === undefined) return (general ?? tenants)?.route;
    if (general.length !== tenants.length) return (general.length > tenants.length ? general : tenants).route;
    return first(general.route, tenants.route);
  }
}

function first(a: Route | undefined, b: Route | undefined): Route | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.id < b.id ? a : b;
}

/** Names of routes that admit the same callers. Where two routes have one, the first that was added keeps it. */
class NameIndex {
  readonly exact = new Map<string, Route>();
  readonly prefixes = new Map<string, Route>();
  /** Of the prefixes, distinct, longest first: a lookup costs one map access for each, however many prefixes there are. */
  readonly #lengths: number[] = [];

  add(name: ModelName, route: Route): void {
    const names = name.wildcard ? this.prefixes : this.exact;
    if (names.has(name.value)) return;
    names.set(name.value, route);
    if (!name.wildcard) return;
    const { length } = name.value;
    const at = this.#lengths.findIndex((known) => known <= length);
    if (at === -1) this.#lengths.push(length);
    else if (this.#lengths[at] !== length) this.#lengths.splice(at, 0, length);
  }

  longestPrefix(model: string): { readonly length: number; readonly route: Route } | undefined {
    for (const length of this.#lengths) {
      if (length > model.length) continue;
      const route = this.prefixes.get(model.slice(0, length));
      if (route !== undefined) return { length, route };
    }
    return undefined;
  }
}
