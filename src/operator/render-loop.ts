/** Brings the objects of each LLMGateway's fleet to the cluster, and again where somebody took one away. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { KubeClient } from '../kube/client.ts';
import type { ApplySetOutcome, WorkResult } from '../kube/contract.ts';
import { keyOf, type KubeObject, type Resource } from '../kube/objects.ts';
import { isTransient } from '../kube/outcome.ts';
import { SetApplier } from '../kube/set-applier.ts';
import { WorkQueue } from '../kube/work-queue.ts';
import type { Timers } from '../lib/timers.ts';
import { objectLabels } from '../render/names.ts';
import { renderGateway } from '../render/render.ts';
import { FIELD_MANAGER, REPLICAS_MANAGER, type RenderContext, type Replicas } from '../render/types.ts';
import type { Logger } from '../telemetry/log.ts';
import type { OperatorMetrics } from '../telemetry/operator-metrics.ts';
import { DEPLOYMENTS, POD_MONITORS, RENDERED_KINDS, SCALED_OBJECTS } from './resources.ts';
import type { Rendered } from './status/gateway-status.ts';

export interface RenderLoopOptions {
  readonly client: KubeClient;
  /** Refuses to write where this process does not lead. */
  readonly leader: KubeClient;
  readonly timers: Timers;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: OperatorMetrics;
  /** null: it is gone, or was never valid. */
  readonly gateway: (gatewayId: string) => LLMGateway | null;
  /** null: not known yet (the image of the own pod has not been read). */
  readonly context: () => Omit<RenderContext, 'crds'> | null;
  /** The CA bundle is published: pods that start now find it. */
  readonly canStart: () => boolean;
  readonly onRendered: (gatewayId: string, rendered: Rendered | null) => void;
}

/** Somebody may have deleted what nobody watches. */
const AGAIN_MS = 60_000;
/** What passes by itself within this time is not told: a status that says so would be wrong by the time that it is read. */
const PASSING_MS = 5_000;

export class RenderLoop {
  readonly #options: RenderLoopOptions;
  readonly #queue: WorkQueue;
  readonly #applier: SetApplier;
  /** By gateway: since when each attempt failed of what may pass. */
  readonly #failingSinceMs = new Map<string, number>();
  #leading = false;

  constructor(options: RenderLoopOptions) {
    this.#options = options;
    this.#applier = new SetApplier(options.leader, { fieldManager: FIELD_MANAGER });
    this.#queue = new WorkQueue({
      timers: options.timers,
      random: options.random,
      concurrency: 2,
      run: (key) => this.#run(key),
      onError: (error, key) =>
        options.log.error({ err: error, gateway: key }, 'an LLMGateway could not be brought to the cluster'),
    });
  }

  lead(gatewayIds: Iterable<string>): void {
    this.#leading = true;
    for (const id of gatewayIds) this.#queue.add(id);
  }

  resign(): void {
    this.#leading = false;
    // What failed then says nothing of how long it fails when this replica leads again.
    this.#failingSinceMs.clear();
  }

  touch(gatewayId: string): void {
    if (this.#leading) this.#queue.add(gatewayId);
  }

  stop(): Promise<void> {
    this.#leading = false;
    return this.#queue.stop();
  }

  async #run(gatewayId: string): Promise<WorkResult> {
    if (!this.#leading) return 'done';
    const { gateway, context, canStart, onRendered } = this.#options;
    const object = gateway(gatewayId);
    if (object === null) {
      // What it owned goes with it, by its owner references.
      const slash = gatewayId.indexOf('/');
      this.#failingSinceMs.delete(gatewayId);
      this.#applier.forget({ namespace: gatewayId.slice(0, slash), labels: objectLabels(gatewayId.slice(slash + 1)) });
      onRendered(gatewayId, null);
      return 'done';
    }
    const known = context();
    if (known === null || !canStart()) return 'retry';
    const crds = await this.#crds(object.metadata.namespace);
    if (crds === null) return 'retry';
    const { generation } = object.metadata;
    const { held, objects, replicas, issues } = renderGateway(object, { ...known, crds });
    if (held !== null) {
      this.#failingSinceMs.delete(gatewayId);
      onRendered(gatewayId, { held, issues, failures: [], generation });
      return { againAfterMs: AGAIN_MS };
    }
    const outcome = await this.#apply(object, objects, replicas, crds);
    const failures = outcome.failures.filter(({ failure }) => failure.kind !== 'guarded');
    if (!this.#leading || outcome.failures.length > failures.length || this.#mayPass(gatewayId, failures)) return 'retry';
    onRendered(gatewayId, { held, issues, failures: failures.map(({ failure }) => failure.message), generation });
    return failures.length === 0 ? { againAfterMs: AGAIN_MS } : 'retry';
  }

  /** There are failures, of none of which it is known yet that it stays. */
  #mayPass(gatewayId: string, failures: ApplySetOutcome['failures']): boolean {
    if (failures.length === 0 || !failures.every(({ failure }) => failure.kind === 'conflict' || isTransient(failure))) {
      this.#failingSinceMs.delete(gatewayId);
      return false;
    }
    const nowMs = this.#options.timers.nowMs();
    const sinceMs = this.#failingSinceMs.get(gatewayId) ?? nowMs;
    this.#failingSinceMs.set(gatewayId, sinceMs);
    return nowMs - sinceMs < PASSING_MS;
  }

  async #apply(
    gateway: LLMGateway,
    objects: readonly KubeObject[],
    replicas: Replicas | null,
    crds: RenderContext['crds'],
  ): Promise<ApplySetOutcome> {
    const { log, metrics, client } = this.#options;
    const { namespace, name, uid } = gateway.metadata;
    const before = replicas === null ? null : await client.get(DEPLOYMENTS, { namespace, name: replicas.object.metadata.name });
    const outcome = await this.#applier.apply({
      namespace,
      labels: objectLabels(name),
      ...(uid === undefined ? {} : { ownerUid: uid }),
      // Where a kind of others is as good as absent, nothing of it is looked for.
      kinds: RENDERED_KINDS.filter(
        (kind) => (kind !== POD_MONITORS || crds.podMonitor) && (kind !== SCALED_OBJECTS || crds.scaledObject),
      ),
      desired: objects,
    });
    const failures = [...outcome.failures];
    const refused = failures.find(
      ({ object }) => object === `Deployment ${keyOf(replicas?.object.metadata ?? gateway.metadata)}`,
    );
    // One that is somebody else's is not ours to scale, and one that could not be made has no number of pods.
    const scalable = refused === undefined || (before?.ok === true && refused.failure.kind !== 'already_exists');
    if (replicas !== null && before !== null && scalable) {
      const created = !before.ok && before.error.kind === 'not_found';
      if (replicas.when === 'Always' || created) {
        const failed = await this.#setReplicas(replicas.object, before.ok ? before.value : null);
        if (failed !== null) failures.push(failed);
      }
    }
    metrics.applied('applied', outcome.applied.length);
    metrics.applied('deleted', outcome.pruned.length);
    metrics.applied('refused', failures.length);
    const { applied, pruned } = outcome;
    if (applied.length + pruned.length > 0)
      log.info({ gateway: keyOf(gateway.metadata), applied, pruned }, 'objects were applied');
    for (const { object, failure } of failures)
      log.warn({ gateway: keyOf(gateway.metadata), object, failure: failure.message }, 'an object could not be applied');
    return { ...outcome, failures };
  }

  async #setReplicas(object: KubeObject, live: KubeObject | null): Promise<ApplySetOutcome['failures'][number] | null> {
    const owned = live?.metadata.managedFields?.some(({ manager }) => manager === REPLICAS_MANAGER) === true;
    if (owned && replicasOf(live) === replicasOf(object)) return null;
    const applied = await this.#options.leader.apply(DEPLOYMENTS, object, { fieldManager: REPLICAS_MANAGER, force: true });
    return applied.ok ? null : { object: `Deployment ${keyOf(object.metadata)}`, failure: applied.error };
  }

  /** Which kinds of others the API server has now; null: it cannot be told. */
  async #crds(namespace: string): Promise<RenderContext['crds'] | null> {
    const has = async (resource: Resource): Promise<boolean | null> => {
      const listed = await this.#options.client.list(resource, { namespace, limit: 1 });
      if (listed.ok) return true;
      // Without the right to it, it is as good as absent.
      return listed.error.kind === 'absent' || listed.error.kind === 'forbidden' ? false : null;
    };
    const [podMonitor, scaledObject] = await Promise.all([has(POD_MONITORS), has(SCALED_OBJECTS)]);
    return podMonitor === null || scaledObject === null ? null : { podMonitor, scaledObject };
  }
}

function replicasOf(object: KubeObject | null): unknown {
  const spec = object?.['spec'];
  return typeof spec === 'object' && spec !== null ? (spec as Readonly<Record<string, unknown>>)['replicas'] : undefined;
}
