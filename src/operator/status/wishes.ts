/** What the status of each object is to be now: from what was compiled, what the pods say and what became of the rendered objects. */
import type { LLMBackend } from '../../api/v1alpha1/llmbackend.ts';
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { Compilation } from '../../compile/compile.ts';
import { condition, rejectedStatus, type Condition, type ObjectStatus } from '../../compile/status.ts';
import type { Route, RouteTable } from '../../routetable/types.ts';
import type { Entry, Refused } from '../gather/book.ts';
import type { OwnKind, OwnObject } from '../gather/gather.ts';
import type { Wanted } from '../gather/named-reader.ts';
import { conditionsOfGateway, type Rendered } from './gateway-status.ts';
import type { Evidence, Outage } from './evidence.ts';
import { observedCondition } from './observed.ts';
import { quotaProgrammed } from './quota-status.ts';
import { endpointOf, find, programmed, routeStatus, type DesiredStatus } from './route-status.ts';
import type { Standing, Wish } from './writer.ts';

export interface WishSources {
  /** The outcome of the last compile. */
  readonly compiled: () => Pick<Compilation, 'tables' | 'heldTables' | 'statusOf'> | null;
  entry(kind: OwnKind, id: string): Entry<OwnObject> | undefined;
  missing(kind: OwnKind, id: string): readonly Wanted[];
  isRun(gatewayNamespace: string): boolean;
  readonly gatewayNamespaces: readonly string[];
  readonly evidence: Evidence;
  counts(gatewayId: string): { readonly ready: number; readonly current: number };
  /** What a pod refuses of the gateway's own settings. */
  refusedSettings(gatewayId: string): readonly { readonly pod: string; readonly reason: string }[];
  rendered(gatewayId: string): Rendered | null;
  leftOut(gatewayId: string): readonly string[];
  /** False for a moment after the takeover: pods have not been heard yet, and what they serve is unknown, not absent. */
  settled(gatewayId: string): boolean;
}

type Desired = DesiredStatus & Readonly<Record<string, unknown>>;

export class Wishes {
  readonly #sources: WishSources;

  constructor(sources: WishSources) {
    this.#sources = sources;
  }

  /** null: nothing is to be said yet. */
  of(kind: OwnKind, id: string, standing: Standing): Wish | null {
    const entry = this.#sources.entry(kind, id);
    if (entry === undefined) return null;
    const { generation, refused } = entry;
    if (refused !== null) return { desired: this.#refused(kind, entry, refused), stage: 'decided' };
    const missing = this.#sources.missing(kind, id);
    if (missing.length > 0) return { desired: this.#waiting(kind, entry, missing), stage: 'waiting' };
    if (kind === 'LLMGateway' && !this.#sources.isRun(id.slice(0, id.indexOf('/'))))
      return { desired: notRun(generation, this.#sources.gatewayNamespaces), stage: 'decided' };
    const status = this.#sources.compiled()?.statusOf(`${kind}/${id}`);
    // The compile that has seen this version tells of it when it is done.
    if (status === undefined || status.conditions[0]?.observedGeneration !== generation) return null;
    switch (kind) {
      case 'LLMRoute':
        return this.#route(entry as Entry<LLMRoute>, status, standing);
      case 'LLMGateway':
        return this.#gateway(entry as Entry<LLMGateway>, status, standing);
      case 'LLMBackend':
        return this.#isUnsettled(status)
          ? null
          : { desired: this.#backend(entry as Entry<LLMBackend>, status), stage: 'decided' };
      case 'LLMQuota':
        return this.#quota(entry as Entry<LLMQuota>, status, standing);
    }
  }

  #route(entry: Entry<LLMRoute>, compiled: ObjectStatus, standing: Standing): Wish | null {
    const desired = routeStatus({
      route: entry.object,
      generation: entry.generation,
      compiled,
      entryAt: (gatewayId) => routeAt(this.#tables().get(gatewayId), entry.id),
      gatewayAt: (gatewayId) => this.#gatewayAt(gatewayId),
      evidence: this.#sources.evidence,
    });
    const gateways = compiled.parents.map(({ parentRef }) => `${parentRef.namespace}/${parentRef.name}`);
    return this.#staged({ ...desired }, gateways, standing, entry.generation);
  }

  #gateway(entry: Entry<LLMGateway>, compiled: ObjectStatus, standing: Standing): Wish | null {
    const { ready, current } = this.#sources.counts(entry.id);
    const rejected = this.#sources.refusedSettings(entry.id);
    const { object, generation } = entry;
    if (object === null) return null;
    const shown = programmed({ readyPods: ready, programmedPods: current, rejected }, generation);
    const desired = {
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      replicas: ready,
      programmed: current,
      endpoint: endpointOf(object),
      conditions: conditionsOfGateway({
        compiled,
        programmed: shown,
        rendered: this.#sources.rendered(entry.id),
        renderedBefore: conditionStanding(standing.status, 'Rendered'),
        leftOut: this.#sources.leftOut(entry.id),
        limitsProblem: this.#sources.evidence.limitStore(entry.id)?.reason ?? null,
        onUnavailable: object.spec.redis?.onUnavailable ?? null,
        generation,
      }),
    };
    return this.#staged(desired, [entry.id], standing, generation);
  }

  #quota({ id, object, generation }: Entry<LLMQuota>, compiled: ObjectStatus, standing: Standing): Wish | null {
    if (object === null) return null;
    const tables = this.#tables();
    const places = this.#sources.evidence.quota(id);
    const shown = quotaProgrammed({
      compiled,
      unserved: object.spec.targetRefs.flatMap(({ kind, name, namespace = object.metadata.namespace }) => {
        const gatewayId = `${namespace}/${name}`;
        const unserved = kind === 'LLMGateway' && this.#gatewayAt(gatewayId) !== null && !tables.has(gatewayId);
        return unserved ? [gatewayId] : [];
      }),
      progress: places.map(({ progress }) => progress),
      generation,
    });
    const desired = {
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      conditions: [...compiled.conditions, shown],
    };
    return this.#staged(
      desired,
      places.map(({ gatewayId }) => gatewayId),
      standing,
      generation,
    );
  }

  /** Where it is about to become true by itself, it is not told at once. */
  #staged(desired: Desired, gateways: readonly string[], standing: Standing, generation: number | undefined): Wish | null {
    const shown = find(desired.conditions, 'Programmed');
    if (find(desired.conditions, 'Accepted')?.status !== 'True') return { desired, stage: 'decided' };
    if (!gateways.every((id) => this.#sources.settled(id))) return null;
    if (shown === undefined || shown.status === 'True') return { desired, stage: 'decided' };
    if (shown.reason === 'RejectedByDataPlane' || shown.reason === 'NoGatewayPods') return { desired, stage: 'decided' };
    const told = observedCondition(standing.status, 'Programmed');
    const hanging = told?.observedGeneration === generation && told?.status === 'False' && told.reason !== 'NoGatewayPods';
    return { desired, stage: hanging ? 'hanging' : 'waiting' };
  }

  /** Whether it is out, pods that have not been heard yet may say. */
  #isUnsettled({ conditions }: ObjectStatus): boolean {
    if (find(conditions, 'Accepted')?.status !== 'True') return false;
    const gateways = [...this.#tables().keys()];
    return gateways.some((id) => !this.#sources.settled(id) && this.#sources.counts(id).ready > 0);
  }

  #backend({ id, generation, status: observed }: Entry<LLMBackend>, compiled: ObjectStatus): Desired {
    const found = this.#outageOfBackend(id);
    const resolved = find(compiled.conditions, 'ResolvedRefs')?.status === 'True';
    const state = found === 'Unused' ? 'Unknown' : found === null ? 'Healthy' : 'Ejected';
    const since = sinceOf(observed, state, found);
    const ready =
      state === 'Ejected' || !resolved
        ? condition(
            'Ready',
            'False',
            'NoHealthyBackend',
            resolved ? `out: ${outageReason(found)}` : 'ResolvedRefs says why',
            generation,
          )
        : condition('Ready', 'True', 'Ready', state === 'Unknown' ? 'no route that is served uses it' : '', generation);
    return {
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      state,
      ...(state === 'Ejected' ? { reason: outageReason(found) } : {}),
      ...(since === null ? {} : { since }),
      conditions: [
        ...compiled.conditions.filter(({ type }) => type === 'Accepted' || type === 'ResolvedRefs'),
        ready,
        ...compiled.conditions.filter(({ type }) => type === 'FullyServed'),
      ],
    };
  }

  /** Of the first route that is served with it and sees it out; Unused: no route is. */
  #outageOfBackend(id: string): Outage | 'Unused' | null {
    let used = false;
    for (const [gatewayId, table] of this.#tables()) {
      for (const served of table.routes) {
        const route = this.#sources.entry('LLMRoute', served.id)?.object;
        if (route?.kind !== 'LLMRoute') continue;
        for (const { name, backendRef } of route.spec.models) {
          if (backendRef === undefined || `${backendRef.namespace ?? route.metadata.namespace}/${backendRef.name}` !== id)
            continue;
          const target = served.targets.find((candidate) => candidate.name === name);
          if (target === undefined) continue;
          used = true;
          const outage = this.#sources.evidence.outage(gatewayId, target);
          if (outage !== null) return outage;
        }
      }
    }
    return used ? null : 'Unused';
  }

  #refused(kind: OwnKind, { id, generation }: Entry<unknown>, { reason, issues, keptGeneration }: Refused): Desired {
    const { namespace, name } = nameOf(id);
    const about = { kind, namespace, name, ...(generation === undefined ? {} : { generation }) };
    const what =
      keptGeneration === null
        ? 'no valid version of it was seen since this operator started, so none is served'
        : `generation ${keptGeneration}, the last valid one, is served on`;
    const [accepted] = rejectedStatus(about, issues).conditions;
    const message = `${accepted?.message ?? ''}; ${what}`;
    return notAccepted(reason, message, generation, kind);
  }

  #waiting(kind: OwnKind, { generation }: Entry<unknown>, missing: readonly Wanted[]): Desired {
    const names = missing.slice(0, 5).map(({ kind: wanted, namespace, name }) => `${wanted} ${namespace}/${name}`);
    const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : '';
    return notAccepted('Pending', `${names.join(', ')}${more} could not be read yet`, generation, kind);
  }

  #tables(): ReadonlyMap<string, RouteTable> {
    return givenTables(this.#sources.compiled());
  }

  #gatewayAt(gatewayId: string): LLMGateway | null {
    const object = this.#sources.entry('LLMGateway', gatewayId)?.object;
    return object?.kind === 'LLMGateway' ? object : null;
  }
}

function notRun(generation: number | undefined, namespaces: readonly string[]): Desired {
  const message = `LLMGateways are run in ${namespaces.join(', ')} only: add this namespace to gatewayNamespaces in the chart's values`;
  return notAccepted('NotServed', message, generation, 'LLMGateway');
}

function notAccepted(reason: string, message: string, generation: number | undefined, kind: OwnKind): Desired {
  const conditions: Condition[] = [condition('Accepted', 'False', reason, message, generation)];
  if (kind !== 'LLMBackend')
    conditions.push(condition('Programmed', 'False', 'Pending', `it is not accepted: ${reason}`, generation));
  if (kind === 'LLMRoute' || kind === 'LLMBackend')
    conditions.push(condition('Ready', 'False', 'NotAccepted', `it is not accepted: ${reason}`, generation));
  return { ...(generation === undefined ? {} : { observedGeneration: generation }), conditions };
}

/** null: it does not stand there, or is none of ours. */
function conditionStanding(status: unknown, type: Condition['type']): Condition | null {
  const found = observedCondition(status, type);
  if (found === undefined || (found.status !== 'True' && found.status !== 'False') || found.reason === '') return null;
  return condition(type, found.status, found.reason, found.message, found.observedGeneration ?? undefined);
}

function outageReason(found: Outage | 'Unused' | null): string {
  return found === null || found === 'Unused' ? '' : found.reason;
}

/** RFC 3339; what is observed stays while the state does. null: it is not known since when. */
function sinceOf(observed: unknown, state: string, outage: Outage | 'Unused' | null): string | null {
  const before = typeof observed === 'object' && observed !== null ? (observed as Readonly<Record<string, unknown>>) : {};
  if (before['state'] === state && typeof before['since'] === 'string') return before['since'];
  if (outage === null || outage === 'Unused') return null;
  return new Date(Math.floor(outage.sinceMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
}

function nameOf(id: string): { readonly namespace: string; readonly name: string } {
  const slash = id.indexOf('/');
  return { namespace: id.slice(0, slash), name: id.slice(slash + 1) };
}

/** What pods are given, by gateway: of one that cannot be served as it is meant what is held of it. */
export function givenTables(compiled: Pick<Compilation, 'tables' | 'heldTables'> | null): ReadonlyMap<string, RouteTable> {
  if (compiled === null) return new Map();
  return compiled.heldTables.size === 0 ? compiled.tables : new Map([...compiled.tables, ...compiled.heldTables]);
}

/** A table's routes are sorted by id. */
export function routeAt(table: RouteTable | undefined, id: string): Route | null {
  const routes = table?.routes ?? [];
  let low = 0;
  let high = routes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((routes[middle]?.id ?? '') < id) low = middle + 1;
    else high = middle;
  }
  const found = routes[low];
  return found?.id === id ? found : null;
}
