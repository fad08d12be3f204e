import { createHash } from 'node:crypto';
import type { KubeClient } from './client.ts';
import type { ApplySetOptions, ApplySetOutcome } from './contract.ts';
import { apiVersionOf, keyOf, type KubeObject, type Resource } from './objects.ts';
import type { KubeFailure } from './outcome.ts';
import { project } from './project.ts';

/** What an object looked like after it was last applied. */
interface Applied {
  /** Of the set that it is of. */
  readonly set: string;
  readonly desiredHash: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Of the live object's values at the places that `desired` names. */
  readonly projectionHash: string;
}

interface Collected {
  readonly applied: string[];
  readonly unchanged: string[];
  readonly pruned: string[];
  readonly failures: { readonly object: string; readonly failure: KubeFailure }[];
}

/**
 * Makes the cluster hold a set of objects: server-side apply of what is desired, deletion of what is labelled as the set's and no longer
 * desired. Fields that others own stay theirs. An object is left alone where neither what is desired nor its own values at those places have
 * changed since it was last applied; after a start each is applied once, which the server does not store where nothing differs.
 */
export class SetApplier {
  readonly #client: KubeClient;
  readonly #fieldManager: string;
  readonly #known = new Map<string, Applied>();

  constructor(client: KubeClient, options: { readonly fieldManager: string }) {
    this.#client = client;
    this.#fieldManager = options.fieldManager;
  }

  /** Deletes first: two autoscalers of one Deployment, the old and the new, would fight. */
  async apply(options: ApplySetOptions): Promise<ApplySetOutcome> {
    const outcome: Collected = { applied: [], unchanged: [], pruned: [], failures: [] };
    const wanted = options.desired.map((object) => ({ object, resource: resourceOf(object, options.kinds) }));
    const names = new Set(wanted.map(({ object }) => nameOf(object)));
    const live = await this.#live(options, outcome);
    for (const [name, { object, resource }] of live) {
      if (!names.has(name)) await this.#prune(name, object, resource, options, outcome);
    }
    for (const { object, resource } of wanted) {
      const name = nameOf(object);
      const failure = await this.#applyOne(name, object, resource, live.get(name)?.object ?? null, options, outcome);
      if (failure !== null) outcome.failures.push({ object: name, failure });
    }
    return outcome;
  }

  /** The set is nobody's concern any more: what is remembered of its objects goes. */
  forget(set: Pick<ApplySetOptions, 'namespace' | 'labels'>): void {
    const gone = keyOfSet(set);
    for (const [name, { set: of }] of this.#known) if (of === gone) this.#known.delete(name);
  }

  /** How many objects are remembered. */
  get remembered(): number {
    return this.#known.size;
  }

  /** What has the set's labels. A kind that is not served has nothing. */
  async #live(options: ApplySetOptions, outcome: Collected): Promise<Map<string, { object: KubeObject; resource: Resource }>> {
    const labelSelector = Object.entries(options.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(',');
    const lists = await Promise.all(
      options.kinds.map(async (resource) => ({
        resource,
        list: await this.#client.listAll(resource, { namespace: options.namespace, labelSelector }),
      })),
    );
    const live = new Map<string, { object: KubeObject; resource: Resource }>();
    for (const { resource, list } of lists) {
      if (list.ok) for (const object of list.value.items) live.set(nameOf(object), { object, resource });
      else if (list.error.kind !== 'absent') outcome.failures.push({ object: resource.kind, failure: list.error });
    }
    return live;
  }

  async #prune(
    name: string,
    object: KubeObject,
    resource: Resource,
    options: ApplySetOptions,
    outcome: Collected,
  ): Promise<void> {
    const { uid, deletionTimestamp } = object.metadata;
    if (!owns(object, options.ownerUid) || deletionTimestamp !== undefined) return;
    const result = await this.#client.delete(resource, object.metadata, uid === undefined ? {} : { uid });
    if (!result.ok) outcome.failures.push({ object: name, failure: result.error });
    else {
      this.#known.delete(name);
      outcome.pruned.push(name);
    }
  }

  async #applyOne(
    name: string,
    desired: KubeObject,
    resource: Resource,
    live: KubeObject | null,
    options: ApplySetOptions,
    outcome: Collected,
  ): Promise<KubeFailure | null> {
    const desiredHash = hash(desired);
    const known = this.#known.get(name);
    if (live === null) {
      const foreign = await this.#foreign(name, desired, resource, options);
      if (foreign !== null) return foreign;
    } else if (known !== undefined && known.desiredHash === desiredHash && known.uid === live.metadata.uid) {
      const same =
        known.resourceVersion === live.metadata.resourceVersion || known.projectionHash === hash(project(desired, live));
      if (same) {
        this.#remember(name, desired, desiredHash, live, options);
        outcome.unchanged.push(name);
        return null;
      }
    }
    const result = await this.#client.apply(resource, desired, { fieldManager: this.#fieldManager, force: true });
    if (!result.ok) return result.error;
    this.#remember(name, desired, desiredHash, result.value, options);
    // The server stores nothing where an apply changes nothing.
    const stored = live === null || live.metadata.resourceVersion !== result.value.metadata.resourceVersion;
    (stored ? outcome.applied : outcome.unchanged).push(name);
    return null;
  }

  /** An object of this name without our labels that we never applied is somebody else's: taking its fields over would break it. */
  async #foreign(name: string, desired: KubeObject, resource: Resource, options: ApplySetOptions): Promise<KubeFailure | null> {
    const found = await this.#client.get(resource, desired.metadata);
    if (!found.ok) return found.error.kind === 'not_found' ? null : found.error;
    const ours =
      (options.ownerUid !== undefined && owns(found.value, options.ownerUid)) ||
      found.value.metadata.managedFields?.some(
        ({ manager, operation }) => manager === this.#fieldManager && operation === 'Apply',
      ) === true;
    if (ours) return null;
    return {
      kind: 'already_exists',
      message: `${name} exists and was not made by ${this.#fieldManager}: it is left alone; rename or delete it`,
    };
  }

  #remember(name: string, desired: KubeObject, desiredHash: string, live: KubeObject, options: ApplySetOptions): void {
    const { uid = '', resourceVersion = '' } = live.metadata;
    this.#known.set(name, {
      set: keyOfSet(options),
      desiredHash,
      uid,
      resourceVersion,
      projectionHash: hash(project(desired, live)),
    });
  }
}

function keyOfSet({ namespace, labels }: Pick<ApplySetOptions, 'namespace' | 'labels'>): string {
  const sorted = Object.entries(labels).sort(([x], [y]) => (x < y ? -1 : 1));
  return JSON.stringify([namespace, sorted]);
}

function owns(object: KubeObject, uid: string | undefined): boolean {
  return uid === undefined || object.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
}

function nameOf(object: KubeObject): string {
  return `${object.kind} ${keyOf(object.metadata)}`;
}

function resourceOf(object: KubeObject, kinds: readonly Resource[]): Resource {
  const resource = kinds.find((kind) => kind.kind === object.kind && apiVersionOf(kind) === object.apiVersion);
  if (resource === undefined)
    throw new Error(`${nameOf(object)}: ${object.apiVersion} ${object.kind} is none of the set's kinds`);
  return resource;
}

function hash(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value) ?? '')
    .digest('base64');
}
