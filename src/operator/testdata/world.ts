/** An API server as far as the operator reads one, for tests. */
import type { ListWatchOptions, ListWatchView } from '../../kube/contract.ts';
import { keyOf, type KubeObject, type ObjectRef, type Resource } from '../../kube/objects.ts';
import type { KubeFailureKind, KubeResult } from '../../kube/outcome.ts';
import { ManualTimers } from '../../lib/timers.ts';

/** Stands for the list-watch and for single reads; what they promise is tested where they are made. */
export class World {
  readonly timers = new ManualTimers();
  readonly #watches: { readonly options: ListWatchOptions<unknown>; readonly store: Map<string, unknown>; stopped: boolean }[] =
    [];
  readonly #byName = new Map<string, KubeObject | KubeFailureKind>();
  synced = true;
  /** `<kind> <namespace>` of watches that have not been read yet. */
  readonly unread = new Set<string>();
  changes = 0;
  readonly errors: string[] = [];

  readonly watch = <T>(options: ListWatchOptions<T>): ListWatchView<T> => {
    const entry = { options: options as ListWatchOptions<unknown>, store: new Map<string, unknown>(), stopped: false };
    this.#watches.push(entry);
    const isSynced = (): boolean => this.synced && !this.unread.has(`${options.resource.kind} ${options.namespace ?? ''}`);
    return {
      store: entry.store as ReadonlyMap<string, T>,
      get synced() {
        return isSynced();
      },
      state: 'watching',
      lastFailure: null,
      lastContactMs: 0,
      whenSynced: () => Promise.resolve(),
      stop: () => {
        entry.stopped = true;
      },
    };
  };

  readonly client = {
    get: (resource: Resource, ref: ObjectRef): Promise<KubeResult<KubeObject>> => {
      const found = this.#byName.get(`${resource.kind}/${keyOf(ref)}`) ?? 'not_found';
      return Promise.resolve(
        typeof found === 'string'
          ? { ok: false, error: { kind: found, message: `GET ${keyOf(ref)}: ${found}` } }
          : { ok: true, value: found },
      );
    },
  };

  /** To every watch whose query fits. */
  tell(object: KubeObject): void {
    for (const { options, store, stopped } of this.#watches) {
      const { resource, namespace, labelSelector } = options;
      if (stopped || resource.kind !== object.kind || (namespace !== undefined && namespace !== object.metadata.namespace))
        continue;
      const [key = '', value] = labelSelector?.split('=') ?? [];
      const label = object.metadata.labels?.[key];
      if (labelSelector !== undefined && (value === undefined ? label === undefined : label !== value)) continue;
      const id = keyOf(object.metadata);
      const parsed = options.parse(object);
      store.set(id, parsed);
      options.onChange?.(id, parsed);
    }
  }

  /** What was unread, `<kind> <namespace>`, is read now, and there is nothing. */
  read(what: string): void {
    this.unread.delete(what);
    for (const { options } of this.#watches)
      if (`${options.resource.kind} ${options.namespace ?? ''}` === what) options.onState?.('watching');
  }

  /** To every watch that has told of it. */
  remove(kind: string, id: string): void {
    for (const { options, store, stopped } of this.#watches)
      if (!stopped && options.resource.kind === kind && store.delete(id)) options.onChange?.(id, null);
  }

  hold(object: KubeObject): void {
    this.#byName.set(`${object.kind}/${keyOf(object.metadata)}`, object);
  }

  fail(what: string, failure: KubeFailureKind): void {
    this.#byName.set(what, failure);
  }

  get selectors(): readonly string[] {
    return this.#watches
      .filter(({ options, stopped }) => !stopped && options.resource.kind === 'Secret')
      .map(({ options }) => `${options.namespace ?? ''} ${options.labelSelector ?? options.fieldSelector ?? ''}`);
  }
}
