import type { KubeObject, ObjectRef, Resource } from './objects.ts';
import type { KubeResult } from './outcome.ts';
import type { WatchSink } from './watch-call.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** For the whole call; 10 s where not given. */
  readonly timeoutMs?: number;
}

export interface ListQuery {
  /** All namespaces where not given. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Objects a page. */
  readonly limit?: number;
  /** From the page before. */
  readonly continue?: string;
  /** `metadata.managedFields` can be the larger half of an object; left out where not asked for. */
  readonly withManagedFields?: boolean;
  /** Nothing but `metadata`, as PartialObjectMetadata: of Secrets, for one, all the rest may be megabytes. */
  readonly metadataOnly?: boolean;
}

export interface WatchQuery extends Pick<ListQuery, 'namespace' | 'labelSelector' | 'fieldSelector'> {
  /** Events after this moment. */
  readonly resourceVersion: string;
  /** The server closes the watch after about this long. */
  readonly timeoutSeconds: number;
}

export interface ListPage<T = KubeObject> {
  readonly items: readonly T[];
  /** Of the whole list: the moment that it shows. */
  readonly resourceVersion: string;
  /** Asks for the next page; null on the last. */
  readonly continue: string | null;
}

export interface DeleteOptions extends CallOptions {
  /** Delete only this very object (409 `conflict` otherwise). */
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface ApplyOptions extends CallOptions {
  readonly fieldManager: string;
  /** Takes over fields that others own. */
  readonly force: boolean;
}

/** What an event is about, and what happened. `note` is cut to 1,024 bytes. */
export interface KubeEvent {
  readonly regarding: KubeObject;
  readonly type: 'Normal' | 'Warning';
  /** UpperCamel, one word for machines. */
  readonly reason: string;
  /** What was tried: UpperCamel. */
  readonly action: string;
  readonly note: string;
}

export interface TokenIdentity {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly audiences: readonly string[];
  /** E.g. `authentication.kubernetes.io/pod-name`. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/**
 * The API server. Every call ends within its timeout; what is expected in operation comes back as a failure, never thrown.
 * A read is repeated once where its connection turned out to be dead; a write that may have arrived is not.
 */
export interface KubeClient {
  get(resource: Resource, ref: ObjectRef, options?: CallOptions): Promise<KubeResult<KubeObject>>;
  /** One page. */
  list(resource: Resource, query: ListQuery, options?: CallOptions): Promise<KubeResult<ListPage>>;
  /** All pages. */
  listAll(resource: Resource, query: ListQuery, options?: CallOptions): Promise<KubeResult<ListPage>>;
  /** With bookmarks. The result ends it: nothing is told after. For one who keeps a copy, `ListWatch` is there. */
  watch(resource: Resource, query: WatchQuery, sink: WatchSink): () => void;
  create(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeResult<KubeObject>>;
  /** The whole object; bound to its `metadata.resourceVersion` where it has one. */
  replace(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeResult<KubeObject>>;
  /** Ok also where it is gone already. */
  delete(resource: Resource, ref: ObjectRef, options?: DeleteOptions): Promise<KubeResult<void>>;
  /** Server-side apply. Bound to `metadata.resourceVersion` where the object has one. */
  apply(resource: Resource, object: KubeObject, options: ApplyOptions): Promise<KubeResult<KubeObject>>;
  /** Writes these fields of `status` only if the object is still at this resourceVersion; `conflict` otherwise. A field that is null is removed. */
  patchStatus(
    resource: Resource,
    ref: ObjectRef,
    resourceVersion: string,
    status: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<KubeResult<KubeObject>>;
  createEvent(event: KubeEvent, options?: CallOptions): Promise<KubeResult<void>>;
  /** Null: the token is not valid for this audience; why, nobody is told. */
  reviewToken(token: string, audience: string, options?: CallOptions): Promise<KubeResult<TokenIdentity | null>>;
  /**
   * The same client, whose writes are held to `allowed`: asked as late as can be, right before the first byte leaves. A process
   * that was stopped for a while must not go on writing what it had in hand (see LeaderElection.isLeader).
   */
  guardedBy(allowed: () => boolean): KubeClient;
  /** Ends every connection and fails what is under way. */
  close(): void;
}
