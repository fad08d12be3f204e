/** What an LLMRoute's status is to be: compile's conditions with what only running pods know. Pure; times come with the write. */
import type { LLMGateway } from '../../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import { condition, type Condition, type ObjectStatus, type ParentStatus } from '../../compile/status.ts';
import type { Route, Target } from '../../routetable/types.ts';
import type { Evidence, Outage, Progress } from './evidence.ts';

/** Without `lastTransitionTime`, which the writer knows. */
export interface DesiredStatus {
  readonly observedGeneration?: number;
  readonly endpoint?: string;
  readonly models?: { readonly total: number; readonly healthy: number };
  readonly conditions: readonly Condition[];
  readonly parents?: readonly ParentStatus[];
  readonly backends?: readonly BackendState[];
}

export interface BackendState {
  readonly name: string;
  readonly state: 'Ejected';
  readonly reason: string;
  /** RFC 3339. */
  readonly since: string;
}

export interface RouteStatusInput {
  readonly route: LLMRoute | null;
  readonly generation: number | undefined;
  readonly compiled: ObjectStatus;
  /** By id; null: no table of that gateway has the route. */
  readonly entryAt: (gatewayId: string) => Route | null;
  readonly gatewayAt: (gatewayId: string) => LLMGateway | null;
  readonly evidence: Evidence;
}

export function routeStatus(input: RouteStatusInput): DesiredStatus {
  const { compiled, route, generation } = input;
  const parents = compiled.parents.map((parent) => parentStatus(parent, input));
  const unhealthy = new Map<string, Outage>();
  for (const { outages } of parents) for (const [name, outage] of outages) unhealthy.set(name, outage);
  const served = parents.find(({ entry }) => entry !== null);
  const total = route?.spec.models.length ?? 0;
  const healthy = served?.entry?.targets.filter(({ name }) => !unhealthy.has(name)).length ?? 0;
  const accepted = find(compiled.conditions, 'Accepted');
  // The AND over parents: the first that is not True, else the first.
  const overall = (type: 'Programmed' | 'Ready'): Condition =>
    parents.map((parent) => parent[type]).find(({ status }) => status !== 'True') ??
    parents[0]?.[type] ??
    (type === 'Programmed' ? notServed(accepted, generation) : notAccepted(accepted, generation));
  const rest = compiled.conditions.filter(({ type }) => type !== 'Accepted' && type !== 'ResolvedRefs');
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...(served?.endpoint == null ? {} : { endpoint: served.endpoint }),
    ...(route === null ? {} : { models: { total, healthy } }),
    conditions: [
      ...compiled.conditions.filter(({ type }) => type === 'Accepted' || type === 'ResolvedRefs'),
      overall('Programmed'),
      overall('Ready'),
      ...rest,
    ],
    parents: parents.map(({ parent, Programmed, Ready }) => ({
      ...parent,
      conditions: [...parent.conditions, Programmed, Ready],
    })),
    backends: [...unhealthy]
      .map(([name, { reason, sinceMs }]) => ({
        name,
        state: 'Ejected' as const,
        reason,
        since: new Date(Math.floor(sinceMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z'),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

interface Parent {
  readonly parent: ParentStatus;
  readonly entry: Route | null;
  readonly endpoint: string | null;
  readonly outages: ReadonlyMap<string, Outage>;
  readonly Programmed: Condition;
  readonly Ready: Condition;
}

function parentStatus(parent: ParentStatus, { generation, entryAt, gatewayAt, evidence, compiled }: RouteStatusInput): Parent {
  const gatewayId = `${parent.parentRef.namespace}/${parent.parentRef.name}`;
  const accepted = find(parent.conditions, 'Accepted');
  const entry = entryAt(gatewayId);
  const gateway = gatewayAt(gatewayId);
  const endpoint = gateway === null ? null : endpointOf(gateway);
  if (accepted?.status !== 'True') {
    const Programmed = notServed(accepted, generation);
    return { parent, entry: null, endpoint: null, outages: new Map(), Programmed, Ready: notAccepted(accepted, generation) };
  }
  if (entry === null) {
    const why = `LLMGateway ${gatewayId} cannot be served as it is meant; its status says why`;
    const Programmed = condition('Programmed', 'False', 'Pending', why, generation);
    return { parent, entry, endpoint, outages: new Map(), Programmed, Ready: notProgrammed(Programmed, generation) };
  }
  const outages = outagesOf(entry, gatewayId, evidence);
  const Programmed = programmed(evidence.progress(gatewayId, entry.id), generation);
  const servedBySome = Programmed.status === 'True' || Programmed.reason === 'PartiallyProgrammed';
  const resolved = find(compiled.conditions, 'ResolvedRefs')?.status !== 'False';
  const Ready = servedBySome ? readyOf(entry, outages, resolved, generation) : notProgrammed(Programmed, generation);
  return { parent, entry, endpoint, outages, Programmed, Ready };
}

/** `does`: what pods do with the object. */
export function programmed(
  { readyPods, programmedPods, rejected }: Progress,
  generation: number | undefined,
  does: 'serves' | 'holds' = 'serves',
): Condition {
  const make = (status: 'True' | 'False', reason: string, message: string): Condition =>
    condition('Programmed', status, reason, message, generation);
  const [first] = rejected;
  if (first !== undefined) {
    const others = rejected.length === 1 ? '' : ` (and ${rejected.length - 1} more)`;
    return make('False', 'RejectedByDataPlane', `pod ${first.pod}${others} refuses it: ${first.reason}`);
  }
  if (readyPods === 0) return make('False', 'NoGatewayPods', 'no gateway pod is ready');
  if (programmedPods >= readyPods) return make('True', 'Programmed', `every ready gateway pod ${does} this`);
  if (programmedPods === 0) return make('False', 'Pending', `no ready gateway pod ${does} this yet`);
  return make('False', 'PartiallyProgrammed', `${programmedPods} of ${readyPods} ready gateway pods ${does.slice(0, -1)} this`);
}

export function notServed(accepted: Condition | undefined, generation: number | undefined): Condition {
  return condition('Programmed', 'False', 'Pending', `it is not accepted: ${accepted?.reason ?? 'Pending'}`, generation);
}

function notAccepted(accepted: Condition | undefined, generation: number | undefined): Condition {
  return condition('Ready', 'False', 'NotAccepted', `it is not accepted: ${accepted?.reason ?? 'Pending'}`, generation);
}

function notProgrammed({ message }: Condition, generation: number | undefined): Condition {
  return condition('Ready', 'False', 'NotProgrammed', message, generation);
}

function outagesOf(entry: Route, gatewayId: string, evidence: Evidence): ReadonlyMap<string, Outage> {
  const found = new Map<string, Outage>();
  for (const target of entry.targets) {
    const outage = evidence.outage(gatewayId, target);
    if (outage !== null) found.set(target.name, outage);
  }
  return found;
}

function readyOf(
  entry: Route,
  outages: ReadonlyMap<string, Outage>,
  resolved: boolean,
  generation: number | undefined,
): Condition {
  const shown = (target: Target | undefined): string =>
    target === undefined ? '' : `${target.name} (${outages.get(target.name)?.reason ?? 'well'})`;
  for (const rule of entry.rules) {
    const targets = rule.targets.map(({ target }) => entry.targets[target]);
    if (targets.some((target) => target !== undefined && !outages.has(target.name))) continue;
    const why =
      targets.length === 0 ? 'has no model that can be served' : `has no healthy target: ${targets.map(shown).join(', ')}`;
    return condition('Ready', 'False', 'NoHealthyBackend', `rule ${rule.name} ${why}`, generation);
  }
  const out = entry.targets.filter(({ name }) => outages.has(name)).map(shown);
  if (out.length > 0) return condition('Ready', 'True', 'Degraded', `out: ${out.join(', ')}`, generation);
  if (!resolved) return condition('Ready', 'True', 'Degraded', 'a model is left out: ResolvedRefs says why', generation);
  return condition('Ready', 'True', 'Ready', '', generation);
}

/** Base URL for clients inside the cluster. */
export function endpointOf({ metadata: { namespace, name }, spec: { listener } }: LLMGateway): string {
  return `${listener.tls === undefined ? 'http' : 'https'}://${name}.${namespace}.svc:${listener.port}/v1`;
}

export function find(conditions: readonly Condition[], type: Condition['type']): Condition | undefined {
  return conditions.find((found) => found.type === type);
}
