import { err, ok } from '../lib/result.ts';
import type { Timers } from '../lib/timers.ts';
import type { KubeAccess } from './access.ts';
import { callJson } from './call.ts';
import type {
  ApplyOptions,
  CallOptions,
  DeleteOptions,
  KubeClient,
  KubeEvent,
  ListPage,
  ListQuery,
  TokenIdentity,
  WatchQuery,
} from './client.ts';
import { eventObject, EVENTS, readTokenReview, tokenReviewObject, TOKEN_REVIEWS } from './builtins.ts';
import { Http2Transport } from './http2-transport.ts';
import { isRecord, readObject } from './json.ts';
import type { KubeObject, ObjectRef, Resource } from './objects.ts';
import type { KubeResult } from './outcome.ts';
import { collectionPath, objectPath } from './paths.ts';
import type { Transport, TransportRequest } from './transport.ts';
import { callWatch, type WatchSink } from './watch-call.ts';

const PAGE_OBJECTS = 500;
const APPLY = 'application/apply-patch+yaml';
const METADATA = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const MERGE = 'application/merge-patch+json';

export interface ApiClientOptions {
  readonly timers: Timers;
  /** Who reports events: `fairlead-operator`, and the pod. */
  readonly reporter?: { readonly controller: string; readonly instance: string };
}

/** The way to an API server that `loadKubeConfig` found. */
export function connectKube(access: KubeAccess, options: ApiClientOptions): KubeClient {
  return new ApiClient(new Http2Transport(access, options.timers), options);
}

export class ApiClient implements KubeClient {
  readonly #transport: Transport;
  readonly #options: ApiClientOptions;
  readonly #allowed: (() => boolean) | null;

  constructor(transport: Transport, options: ApiClientOptions, allowed: (() => boolean) | null = null) {
    this.#transport = transport;
    this.#options = options;
    this.#allowed = allowed;
  }

  guardedBy(allowed: () => boolean): KubeClient {
    const before = this.#allowed;
    return new ApiClient(this.#transport, this.#options, before === null ? allowed : () => before() && allowed());
  }

  close(): void {
    this.#transport.close();
  }

  get(resource: Resource, ref: ObjectRef, options?: CallOptions): Promise<KubeResult<KubeObject>> {
    return this.#object(resource, { method: 'GET', path: objectPath(resource, ref) }, options);
  }

  async list(resource: Resource, query: ListQuery, options?: CallOptions): Promise<KubeResult<ListPage>> {
    const { namespace, labelSelector, fieldSelector, limit } = query;
    const path = collectionPath(resource, namespace, { labelSelector, fieldSelector, limit, continue: query.continue });
    const request: TransportRequest = { method: 'GET', path, ...(query.metadataOnly === true ? { accept: METADATA } : {}) };
    const answer = await callJson(this.#transport, this.#options.timers, request, options);
    if (!answer.ok) return answer;
    const page = readPage(answer.value, resource, query.withManagedFields === true);
    return page === null
      ? err({ kind: 'malformed', message: `GET ${path}: the answer is no list of ${resource.plural}` })
      : ok(page);
  }

  async listAll(resource: Resource, query: ListQuery, options?: CallOptions): Promise<KubeResult<ListPage>> {
    const items: KubeObject[] = [];
    let next: string | undefined = undefined;
    for (;;) {
      const page: KubeResult<ListPage> = await this.list(
        resource,
        { limit: PAGE_OBJECTS, ...query, ...(next === undefined ? {} : { continue: next }) },
        options,
      );
      if (!page.ok) return page;
      items.push(...page.value.items);
      if (page.value.continue === null) return ok({ ...page.value, items });
      next = page.value.continue;
    }
  }

  watch(resource: Resource, query: WatchQuery, sink: WatchSink): () => void {
    const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds } = query;
    const path = collectionPath(resource, namespace, {
      watch: true,
      allowWatchBookmarks: true,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds,
    });
    return callWatch(this.#transport, resource, path, sink);
  }

  create(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeResult<KubeObject>> {
    const path = collectionPath(resource, object.metadata.namespace);
    return this.#object(resource, { method: 'POST', path, body: JSON.stringify(object) }, options);
  }

  replace(resource: Resource, object: KubeObject, options?: CallOptions): Promise<KubeResult<KubeObject>> {
    const path = objectPath(resource, object.metadata);
    return this.#object(resource, { method: 'PUT', path, body: JSON.stringify(object) }, options);
  }

  async delete(resource: Resource, ref: ObjectRef, options: DeleteOptions = {}): Promise<KubeResult<void>> {
    const { uid, resourceVersion } = options;
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      ...(uid === undefined && resourceVersion === undefined ? {} : { preconditions: { uid, resourceVersion } }),
    });
    const answer = await this.#write({ method: 'DELETE', path: objectPath(resource, ref), body }, options);
    return answer.ok || answer.error.kind === 'not_found' ? ok(undefined) : answer;
  }

  apply(resource: Resource, object: KubeObject, options: ApplyOptions): Promise<KubeResult<KubeObject>> {
    const { fieldManager, force } = options;
    const path = objectPath(resource, object.metadata, '', { fieldManager, force });
    return this.#object(resource, { method: 'PATCH', path, contentType: APPLY, body: JSON.stringify(object) }, options);
  }

  patchStatus(
    resource: Resource,
    ref: ObjectRef,
    resourceVersion: string,
    status: Readonly<Record<string, unknown>>,
    options?: CallOptions,
  ): Promise<KubeResult<KubeObject>> {
    const body = JSON.stringify({ metadata: { resourceVersion }, status });
    return this.#object(
      resource,
      { method: 'PATCH', path: objectPath(resource, ref, 'status'), contentType: MERGE, body },
      options,
    );
  }

  async createEvent(event: KubeEvent, options?: CallOptions): Promise<KubeResult<void>> {
    const reporter = this.#options.reporter ?? { controller: 'fairlead', instance: 'fairlead' };
    const object = eventObject(event, reporter, this.#options.timers.wallMs());
    const path = collectionPath(EVENTS, object.metadata.namespace);
    const answer = await this.#write({ method: 'POST', path, body: JSON.stringify(object) }, options);
    return answer.ok ? ok(undefined) : answer;
  }

  /** No write: it changes nothing, so no guard holds it. */
  async reviewToken(token: string, audience: string, options?: CallOptions): Promise<KubeResult<TokenIdentity | null>> {
    const body = JSON.stringify(tokenReviewObject(token, audience));
    const request: TransportRequest = { method: 'POST', path: collectionPath(TOKEN_REVIEWS, undefined), body };
    const answer = await callJson(this.#transport, this.#options.timers, request, options);
    return answer.ok ? ok(readTokenReview(answer.value, audience)) : answer;
  }

  #write(request: TransportRequest, options?: CallOptions): Promise<KubeResult<unknown>> {
    const guarded = this.#allowed === null ? request : { ...request, allowed: this.#allowed };
    return callJson(this.#transport, this.#options.timers, guarded, options);
  }

  async #object(resource: Resource, request: TransportRequest, options?: CallOptions): Promise<KubeResult<KubeObject>> {
    const answer =
      request.method === 'GET'
        ? await callJson(this.#transport, this.#options.timers, request, options)
        : await this.#write(request, options);
    if (!answer.ok) return answer;
    const object = readObject(answer.value, resource, true);
    if (object !== null) return ok(object);
    return err({ kind: 'malformed', message: `${request.method} ${request.path}: the answer is no ${resource.kind}` });
  }
}

function readPage(body: unknown, resource: Resource, withManagedFields: boolean): ListPage | null {
  if (!isRecord(body) || !isRecord(body['metadata'])) return null;
  const { resourceVersion, continue: next } = body['metadata'];
  // A list of nothing may say null.
  const raw: unknown = body['items'] ?? [];
  if (typeof resourceVersion !== 'string' || !Array.isArray(raw)) return null;
  const items: KubeObject[] = [];
  for (const entry of raw) {
    const object = readObject(entry, resource, withManagedFields);
    if (object === null) return null;
    items.push(object);
  }
  return { items, resourceVersion, continue: typeof next === 'string' && next !== '' ? next : null };
}
