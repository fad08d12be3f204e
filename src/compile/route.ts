/** One LLMRoute: everything of it but who owns its model names, then, once that is decided, its entry and status. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { formatIssue, issue, type Issue } from '../lib/issue.ts';
import { digestOf } from '../routetable/digest.ts';
import { byText } from '../routetable/order.ts';
import type { Access, Limit, Route, Target } from '../routetable/types.ts';
import { attachments, NO_DEFAULT_GATEWAY, type Attachment } from './attach.ts';
import { compileLimits, limitFaults } from './limits.ts';
import type { Read } from './memo.ts';
import { compileModel, type CompiledModel } from './model.ts';
import { modelNames, type LostName } from './names.ts';
import { controlFault } from './one-line.ts';
import { isGranted } from './references.ts';
import { compileRules, durationMs } from './rules.ts';
import { objectId } from './snapshot.ts';
import {
  condition,
  conditionOf,
  CONTROLLER_NAME,
  fullyServed,
  type Condition,
  type NotServed,
  type ObjectStatus,
} from './status.ts';
import { unservedOf } from './unserved.ts';

/** What a route is at one gateway. */
interface Membership extends Attachment {
  readonly gatewayId: string;
  readonly body: Omit<Route, 'digest' | 'modelNames'>;
  readonly issues: readonly Issue[];
}

export interface CompiledRoute {
  readonly route: LLMRoute;
  readonly id: string;
  readonly memberships: readonly Membership[];
  /** What keeps it from being served at any gateway. */
  readonly refused: readonly Issue[];
  /** What is said of its references where no gateway is known. */
  readonly issues: readonly Issue[];
  readonly warnings: readonly Issue[];
  readonly notServed: readonly NotServed[];
}

export function compileRoute(route: LLMRoute, read: Read): CompiledRoute {
  const refused = [
    ...limitFaults(route.spec.rateLimits ?? []),
    ...(route.spec.access?.tenants ?? []).flatMap((tenant, at) => controlFault(tenant, `spec.access.tenants[${at}]`) ?? []),
  ];
  const attached = attachments(route, read);
  const pools = attached.map((found) => compilePool(route, found.gateway, read));
  const [pool = compilePool(route, null, read)] = pools;
  return {
    route,
    id: objectId(route),
    memberships: attached.map((found, index) => {
      const { body, issues } = pools[index] ?? pool;
      return { ...found, gatewayId: `${found.parentRef.namespace}/${found.parentRef.name}`, body, issues };
    }),
    refused,
    issues: pool.issues,
    warnings: pool.warnings,
    notServed: unservedOf('LLMRoute', route.spec),
  };
}

interface Pool {
  readonly body: Omit<Route, 'digest' | 'modelNames'>;
  readonly issues: readonly Issue[];
  readonly warnings: readonly Issue[];
}

function compilePool(route: LLMRoute, gateway: LLMGateway | null, read: Read): Pool {
  const { metadata, spec } = route;
  const issues: Issue[] = [];
  const warnings: Issue[] = [];
  const targets: Target[] = [];
  const indexes = new Map<string, number>();
  for (const [at, model] of spec.models.entries()) {
    const compiled = compileEntry(route, at, gateway, read);
    issues.push(...compiled.issues);
    warnings.push(...compiled.warnings);
    if (compiled.target === null) continue;
    indexes.set(model.name, targets.length);
    targets.push(compiled.target);
  }
  const { rules, issues: emptyRules } = compileRules(spec.rules, indexes);
  const body = {
    id: objectId(route),
    namespace: metadata.namespace,
    name: metadata.name,
    access: compileAccess(spec.access, metadata.namespace === gateway?.metadata.namespace),
    targets,
    rules,
    limits: compileLimits(spec.rateLimits ?? [], indexes),
    ...compileCache(spec.cache),
  };
  return { body, issues: [...issues, ...emptyRules], warnings };
}

function compileCache(cache: LLMRoute['spec']['cache']): Pick<Route, 'cache'> {
  return cache?.mode === 'Exact' ? { cache: { ttlMs: durationMs(cache.ttl), scope: cache.scope } } : {};
}

function compileAccess(access: LLMRoute['spec']['access'], inGatewayNamespace: boolean): Access {
  if (access === undefined) return { from: inGatewayNamespace ? 'All' : 'Same' };
  return access.from === 'Tenants'
    ? { from: 'Tenants', tenants: [...(access.tenants ?? [])].sort(byText) }
    : { from: access.from };
}

/** An entry of `spec.models`: its own provider, or an LLMBackend's. */
function compileEntry(route: LLMRoute, at: number, gateway: LLMGateway | null, read: Read): CompiledModel {
  const failed = (found: Issue): CompiledModel => ({ target: null, issues: [found], warnings: [] });
  const model = route.spec.models[at];
  const path = `spec.models[${at}]`;
  const { namespace } = route.metadata;
  if (model?.backendRef === undefined) {
    if (model?.provider === undefined || model.auth === undefined)
      return failed(issue(path, 'InvalidSpec', 'neither backendRef nor provider and auth are set'));
    return compileModel(model.name, { ...model, provider: model.provider, auth: model.auth }, path, { read, namespace, gateway });
  }

  const ref = model.backendRef;
  const to = { kind: 'LLMBackend', namespace: ref.namespace ?? namespace, name: ref.name };
  const id = `${to.namespace}/${to.name}`;
  const refPath = `${path}.backendRef`;
  if (!isGranted(read, { kind: 'LLMRoute', from: namespace, to })) {
    return failed(
      issue(
        refPath,
        'RefNotPermitted',
        `no ReferenceGrant in namespace ${to.namespace} lets LLMRoutes of ${namespace} use LLMBackend ${to.name}`,
      ),
    );
  }
  const backend = read((world) => world.backends.get(id));
  if (backend === undefined) return failed(issue(refPath, 'BackendNotFound', `LLMBackend ${id} is not found`));
  const { target, issues } = compileModel(model.name, backend.spec, 'spec', {
    read,
    namespace: to.namespace,
    gateway,
    isBackend: true,
  });
  return {
    target,
    issues: issues.map((found) => ({ ...found, path: refPath, message: explainBackend(id, found, to.namespace === namespace) })),
    warnings: [],
  };
}

/** Another team's Secrets are not named to those who use its backend. */
function explainBackend(id: string, found: Issue, sameNamespace: boolean): string {
  const hidden = !sameNamespace && found.reason.startsWith('Secret');
  return `LLMBackend ${id} cannot serve: ${hidden ? `${found.reason}, as its status says` : formatIssue(found)}`;
}

export interface FinishedRoute {
  readonly status: ObjectStatus;
  /** By gateway. A route that is not accepted is in none. */
  readonly entries: ReadonlyMap<string, Route>;
}

/** The names lost by gateway id; a gateway where nothing is lost is not in it. */
export type LostAt = ReadonlyMap<string, readonly LostName[]>;

/** What quotas allow beside the route's own limits, by gateway id. */
export type LimitsAt = ReadonlyMap<string, readonly Limit[]>;

/** Does it ask for names at this gateway? Only what would be served competes for them. */
export function competes(compiled: CompiledRoute, membership: Pick<Membership, 'refused'>): boolean {
  return compiled.refused.length === 0 && membership.refused === null;
}

export function finishRoute(compiled: CompiledRoute, lostAt: LostAt, limitsAt: LimitsAt): FinishedRoute {
  const { route, memberships } = compiled;
  const { generation } = route.metadata;
  const entries = new Map<string, Route>();
  const warnings: Issue[] = [...compiled.warnings];
  const parents = memberships.map((membership) => {
    const lost = lostAt.get(membership.gatewayId) ?? [];
    const accepted = acceptedBy(compiled, membership, lost);
    if (accepted.status === 'True') {
      const gone = new Set(lost.map(({ name }) => name));
      const unhashed = {
        ...membership.body,
        limits: [...membership.body.limits, ...(limitsAt.get(membership.gatewayId) ?? [])],
        modelNames: modelNames(route.spec.modelNames.filter((name) => !gone.has(name))),
      };
      entries.set(membership.gatewayId, { digest: digestOf(unhashed), ...unhashed });
      for (const { name, winner } of lost) {
        const at = `spec.modelNames[${route.spec.modelNames.indexOf(name)}]`;
        warnings.push(
          issue(
            at,
            'ModelNameConflict',
            `${JSON.stringify(name)} belongs to LLMRoute ${winner} at LLMGateway ${membership.gatewayId}`,
          ),
        );
      }
    }
    const conditions = [accepted, conditionOf('ResolvedRefs', membership.issues, generation)];
    return { parentRef: membership.parentRef, controllerName: CONTROLLER_NAME, conditions };
  });
  const status: ObjectStatus = {
    kind: 'LLMRoute',
    namespace: route.metadata.namespace,
    name: route.metadata.name,
    conditions: [...overall(compiled, parents), ...fullyServed(compiled.notServed, generation)],
    parents,
    unresolved: (memberships.find(({ issues }) => issues.length > 0) ?? compiled).issues,
    warnings,
    notServed: compiled.notServed,
  };
  return { status, entries };
}

function acceptedBy(compiled: CompiledRoute, { refused }: Membership, lost: readonly LostName[]): Condition {
  const { modelNames: asked } = compiled.route.spec;
  const { generation } = compiled.route.metadata;
  if (refused !== null) return conditionOf('Accepted', [refused], generation);
  if (compiled.refused.length > 0) return conditionOf('Accepted', compiled.refused, generation);
  const belongs = lost.map(({ name, winner }) => `${JSON.stringify(name)} belongs to LLMRoute ${winner}`).join('; ');
  if (lost.length === asked.length) {
    return condition(
      'Accepted',
      'False',
      'ModelNameConflict',
      `no model name is left: ${belongs}; within a namespace the oldest route keeps a name`,
      generation,
    );
  }
  return condition('Accepted', 'True', 'Accepted', belongs, generation);
}

/** The AND over the parents: for each type the first condition that is False, else the first. */
function overall(
  compiled: CompiledRoute,
  parents: readonly { readonly conditions: readonly Condition[] }[],
): readonly Condition[] {
  const { generation } = compiled.route.metadata;
  if (parents.length === 0)
    return [conditionOf('Accepted', [NO_DEFAULT_GATEWAY], generation), conditionOf('ResolvedRefs', compiled.issues, generation)];
  return (['Accepted', 'ResolvedRefs'] as const).flatMap((type) => {
    const all = parents.flatMap(({ conditions }) => conditions.filter((found) => found.type === type));
    return all.find(({ status }) => status === 'False') ?? all[0] ?? [];
  });
}
