/**
 * Which route a model name means to a caller: in the caller's namespace first, then in the gateway's, then among routes elsewhere;
 * in each, the exact name before the longest prefix. A route whose access does not admit the caller does not exist for them, at
 * any step. So a team's own names and the platform's go before whatever another team opens to all.
 */
import { ShardedMap } from '../lib/sharded-map.ts';
import { NameIndex } from './name-index.ts';
import type { ModelName, Route, RouteTable } from '../routetable/types.ts';

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
  return new NameTable(table.gateway.namespace).edited([], table.routes);
}

/** Those of a table in which some routes have been taken out and others put in; costs what changes, however many there are. */
export function editNames(names: Names, removed: readonly Route[], added: readonly Route[]): Names {
  if (!(names instanceof NameTable)) throw new Error('names come from compileNames()');
  return removed.length === 0 && added.length === 0 ? names : names.edited(removed, added);
}

/** Gives the same answers for ever, and nothing that it is made of changes: a request goes on with the names of the table that it began with. */
class NameTable implements Names {
  readonly #gatewayNamespace: string;
  readonly #byNamespace: ShardedMap<Scope>;
  readonly #everywhere: Scope;
  /** What was asked last, as it often is again. */
  #last: { readonly caller: Caller; readonly model: string; readonly route: Route | null } | null = null;

  constructor(gatewayNamespace: string, byNamespace = new ShardedMap<Scope>(), everywhere = Scope.EMPTY) {
    this.#gatewayNamespace = gatewayNamespace;
    this.#byNamespace = byNamespace;
    this.#everywhere = everywhere;
  }

  edited(removed: readonly Route[], added: readonly Route[]): NameTable {
    const namespaces = new Grouped<string>();
    for (const route of removed) namespaces.of(route.namespace).removed.push(route);
    for (const route of added) namespaces.of(route.namespace).added.push(route);
    const byNamespace = this.#byNamespace.edit();
    for (const [namespace, edit] of namespaces) {
      const scope = (byNamespace.get(namespace) ?? Scope.EMPTY).edited(edit.removed, edit.added);
      if (scope.empty) byNamespace.delete(namespace);
      else byNamespace.set(namespace, scope);
    }
    return new NameTable(this.#gatewayNamespace, byNamespace.done(), this.#everywhere.edited(removed, added));
  }

  resolve(caller: Caller, model: string): Route | null {
    const last = this.#last;
    if (last?.caller === caller && last.model === model) return last.route;
    const route = this.#resolve(caller, model);
    this.#last = { caller, model, route };
    return route;
  }

  #resolve(caller: Caller, model: string): Route | null {
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

/** What is taken out of and put into each part of an index. */
class Grouped<K> extends Map<K, { readonly removed: Route[]; readonly added: Route[] }> {
  of(key: K): { readonly removed: Route[]; readonly added: Route[] } {
    let found = this.get(key);
    if (found === undefined) this.set(key, (found = { removed: [], added: [] }));
    return found;
  }
}

/**
 * The names of one namespace, or of all, by whom their routes admit: so a caller's lookup meets only routes that admit them, and
 * 5,000 teams that call their model the same cost it nothing.
 */
class Scope {
  static readonly EMPTY: Scope = new Scope();
  readonly #open: NameIndex;
  /** For callers whom `Same` admits: its routes and the open ones. */
  readonly #inside: NameIndex;
  readonly #byTenant: ShardedMap<NameIndex>;

  constructor(open = NameIndex.EMPTY, inside = NameIndex.EMPTY, byTenant = new ShardedMap<NameIndex>()) {
    this.#open = open;
    this.#inside = inside;
    this.#byTenant = byTenant;
  }

  get empty(): boolean {
    return this.#inside.empty && this.#byTenant.size === 0;
  }

  edited(removed: readonly Route[], added: readonly Route[]): Scope {
    const general = new Grouped<'open' | 'inside'>();
    const tenants = new Grouped<string>();
    const group = (route: Route, side: 'removed' | 'added'): void => {
      const { access } = route;
      switch (access.from) {
        case 'All':
          general.of('open')[side].push(route);
          general.of('inside')[side].push(route);
          return;
        case 'Same':
          general.of('inside')[side].push(route);
          return;
        case 'Tenants':
          for (const tenant of access.tenants) tenants.of(tenant)[side].push(route);
      }
    };
    for (const route of removed) group(route, 'removed');
    for (const route of added) group(route, 'added');
    const byTenant = this.#byTenant.edit();
    for (const [tenant, edit] of tenants) {
      const index = (byTenant.get(tenant) ?? NameIndex.EMPTY).edited(edit);
      if (index.empty) byTenant.delete(tenant);
      else byTenant.set(tenant, index);
    }
    return new Scope(this.#open.edited(general.get('open')), this.#inside.edited(general.get('inside')), byTenant.done());
  }

  /** The names that a caller meets here. `inside`: `Same` admits them. */
  admitting(inside: boolean, tenant: string): NameIndex[] {
    return [inside ? this.#inside : this.#open, this.#byTenant.get(tenant)].filter((index) => index !== undefined);
  }

  find(inside: boolean, tenant: string, model: string): Route | undefined {
    return this.#byExact(inside, tenant, model) ?? this.byPrefix(inside, tenant, model);
  }

  #byExact(inside: boolean, tenant: string, model: string): Route | undefined {
    const general = (inside ? this.#inside : this.#open).exact.get(model)?.[0];
    const tenants = this.#byTenant.get(tenant)?.exact.get(model)?.[0];
    return first(general, tenants);
  }

  byPrefix(inside: boolean, tenant: string, model: string): Route | undefined {
    const general = (inside ? this.#inside : this.#open).longestPrefix(model);
    const tenants = this.#byTenant.get(tenant)?.longestPrefix(model);
    if (general === undefined || tenants === undefined) return (general ?? tenants)?.route;
    if (general.length !== tenants.length) return (general.length > tenants.length ? general : tenants).route;
    return first(general.route, tenants.route);
  }
}

function first(a: Route | undefined, b: Route | undefined): Route | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.id < b.id ? a : b;
}
