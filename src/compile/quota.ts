/**
 * LLMQuota: limits over what its `targetRefs` name. A gateway must be of the quota's own namespace; a route of the quota's own namespace is limited
 * wherever it is served, one of another namespace at the gateways of the quota's.
 */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { LLMQuota } from '../api/v1alpha1/llmquota.ts';
import type { LLMRoute } from '../api/v1alpha1/llmroute.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { byText } from '../routetable/order.ts';
import type { Limit } from '../routetable/types.ts';
import { compileLimits, limitFaults } from './limits.ts';
import type { Read } from './memo.ts';
import { quarantinedStatus, type Quarantine } from './quarantine.ts';
import { MAX_QUOTAS_A_TARGET, targetKey, type Quotas } from './quotas-of.ts';
import { objectId } from './snapshot.ts';
import { conditionOf, type ObjectStatus } from './status.ts';
import type { World } from './world.ts';

type TargetRef = LLMQuota['spec']['targetRefs'][number];

/** What a quota says, whatever it is of. */
export interface CompiledQuota {
  /** Under the names `namespace/quota/limit`. */
  readonly limits: readonly Limit[];
  /** Of the limits that nobody could hold, which are not among those. */
  readonly faults: readonly Issue[];
  /** Our own code failed on it: which limits stand for it. null: it did not. */
  readonly meanwhile: string | null;
}

function compileQuota(quota: LLMQuota): CompiledQuota {
  const id = objectId(quota);
  const held = quota.spec.limits.filter((limit) => limitFaults([limit]).length === 0);
  return {
    limits: compileLimits(held, new Map()).map((limit): Limit => ({ ...limit, name: `${id}/${limit.name}`, quota: id })),
    faults: limitFaults(quota.spec.limits, 'spec.limits'),
    meanwhile: null,
  };
}

/** While our own code fails on what a quota is, what it last was is held. */
export class SoundQuotas {
  /** By `namespace/name`. */
  readonly #last = new Map<string, { readonly quota: LLMQuota; readonly limits: readonly Limit[] }>();

  compile(quota: LLMQuota, quarantine: Quarantine): CompiledQuota {
    const id = objectId(quota);
    return quarantine.guard(
      `LLMQuota/${id}`,
      () => {
        const compiled = compileQuota(quota);
        this.#last.set(id, { quota, limits: compiled.limits });
        return compiled;
      },
      () => {
        const last = this.#last.get(id);
        if (last === undefined || last.quota.metadata.uid !== quota.metadata.uid)
          return { limits: [], faults: [], meanwhile: 'it limits nothing' };
        const { generation = 'unknown' } = last.quota.metadata;
        return {
          limits: last.limits,
          faults: [],
          meanwhile: `generation ${generation}, the last that could be compiled, is held`,
        };
      },
    );
  }

  /** Those that are gone. */
  prune(byId: ReadonlyMap<string, LLMQuota>): void {
    for (const id of this.#last.keys()) if (!byId.has(id)) this.#last.delete(id);
  }
}

/** Of all quotas that limit this route at this gateway, by name. `limitsOf` must depend on nothing but the quota itself. */
export function quotaLimits(
  route: LLMRoute,
  gateway: LLMGateway | null,
  read: Read<Quotas>,
  limitsOf: (quota: LLMQuota) => readonly Limit[],
): readonly Limit[] {
  if (gateway === null || read(({ byId }) => byId.size === 0)) return NO_LIMITS;
  const routeKey = `LLMRoute/${objectId(route)}`;
  const gatewayKey = `LLMGateway/${objectId(gateway)}`;
  const overRoute = read(({ byTarget }) => byTarget.get(routeKey)) ?? [];
  const overGateway = read(({ byTarget }) => byTarget.get(gatewayKey)) ?? [];
  const atHome = gateway.metadata.namespace;
  const quotas =
    read(({ standIn }) => standIn) === gateway
      ? new Set([...overRoute, ...[...read(({ byId }) => byId).values()].filter(limitsGateways)])
      : new Set([
          ...overRoute.filter(({ metadata }) => metadata.namespace === route.metadata.namespace || metadata.namespace === atHome),
          ...overGateway.filter(({ metadata }) => metadata.namespace === atHome),
        ]);
  return [...quotas].flatMap(limitsOf).sort((a, b) => byText(a.name, b.name));
}

const NO_LIMITS: readonly Limit[] = [];

/** For a gateway that stands in for every other. */
function limitsGateways({ metadata, spec }: LLMQuota): boolean {
  return spec.targetRefs.some(
    ({ kind, namespace }) => kind === 'LLMGateway' && (namespace ?? metadata.namespace) === metadata.namespace,
  );
}

/** Where a route is served, by `namespace` of the gateways; undefined: there is no such route. */
export type ServedAt = (routeId: string) => ReadonlySet<string> | undefined;

/** Tells the status of a quota: the very same object as before where nothing that it rests on has changed. */
export class QuotaStatuses {
  readonly #known = new WeakMap<LLMQuota, { readonly verdicts: string; readonly status: ObjectStatus }>();

  of(quota: LLMQuota, { faults, meanwhile }: CompiledQuota, quotas: Quotas, world: World, servedAt: ServedAt): ObjectStatus {
    if (meanwhile !== null) return quarantinedStatus(quota, meanwhile);
    const { targetRefs } = quota.spec;
    const verdicts = targetRefs.map((ref) => verdictOf(quota, ref, quotas, world, servedAt));
    const known = this.#known.get(quota);
    if (known?.verdicts === verdicts.join()) return known.status;
    const { namespace, name, generation } = quota.metadata;
    const issues = targetRefs.flatMap((ref, index) =>
      refIssues(quota, ref, `spec.targetRefs[${index}]`, verdicts[index] ?? 'Limited'),
    );
    const status: ObjectStatus = {
      kind: 'LLMQuota',
      namespace,
      name,
      conditions: [conditionOf('Accepted', faults, generation), conditionOf('ResolvedRefs', issues, generation)],
      parents: [],
      unresolved: issues,
      warnings: [],
      notServed: [],
    };
    this.#known.set(quota, { verdicts: verdicts.join(), status });
    return status;
  }
}

type Verdict = 'Limited' | 'NotFound' | 'NotPermitted' | 'Full';

function verdictOf(quota: LLMQuota, ref: TargetRef, quotas: Quotas, world: World, servedAt: ServedAt): Verdict {
  const home = quota.metadata.namespace;
  const namespace = ref.namespace ?? home;
  const id = `${namespace}/${ref.name}`;
  const taken = (): Verdict => (quotas.byTarget.get(targetKey(quota, ref))?.includes(quota) === true ? 'Limited' : 'Full');
  if (ref.kind === 'LLMGateway') {
    if (namespace !== home) return 'NotPermitted';
    return world.standIn !== null || world.gateways.has(id) ? taken() : 'NotFound';
  }
  const gateways = servedAt(id);
  // Of another namespace not even told whether it is there.
  if (namespace !== home && world.standIn === null && gateways?.has(home) !== true) return 'NotPermitted';
  return gateways === undefined ? 'NotFound' : taken();
}

function refIssues(quota: LLMQuota, { kind, name, namespace }: TargetRef, path: string, verdict: Verdict): readonly Issue[] {
  const home = quota.metadata.namespace;
  const what = `${kind} ${namespace ?? home}/${name}`;
  switch (verdict) {
    case 'Limited':
      return [];
    case 'NotFound':
      return [issue(path, 'TargetNotFound', `${what} is not found`)];
    case 'Full':
      return [
        issue(
          path,
          'TargetFull',
          `${MAX_QUOTAS_A_TARGET} older quotas of namespace ${home} limit ${what}, and it takes no more: put limits into one quota`,
        ),
      ];
    case 'NotPermitted':
      return [
        issue(
          path,
          'RefNotPermitted',
          kind === 'LLMGateway'
            ? `only quotas of namespace ${namespace ?? home} may limit ${what}, this one is of ${home}`
            : `${what} is served by no LLMGateway of namespace ${home}: a quota limits routes of its own namespace, and others at gateways of its own`,
        ),
      ];
  }
}
