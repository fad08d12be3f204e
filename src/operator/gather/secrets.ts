/**
 * The Secrets that compile is given, from three sources: namespaces that are watched whole, client keys that are watched by their
 * label, and what objects name, read one by one.
 */
import type { Secret } from '../../api/core.ts';
import type { LabelSelector } from '../../api/v1alpha1/common.ts';
import type { ListWatchOptions, ListWatchView } from '../../kube/contract.ts';
import { SECRETS } from '../resources.ts';
import { ObjectBook, type Entry } from './book.ts';
import type { ReadOutcome, Wanted } from './named-reader.ts';
import { selectorText } from './selector-text.ts';

export type StartWatch = <T>(options: ListWatchOptions<T>) => ListWatchView<T>;

export interface SecretSourcesOptions {
  readonly watch: StartWatch;
  /** Namespaces whose Secrets may all be listed and watched. */
  readonly watchedNamespaces: readonly string[];
  /** Namespaces, beside the gateways' own, whose client keys are taken. */
  readonly keyNamespaces: readonly string[];
  /** False: there is no such namespace, and so nothing in it; its Secrets may not be asked for either. */
  readonly isThere: (namespace: string) => boolean;
  readonly onChange: () => void;
  readonly onError: (error: unknown, what: string) => void;
}

/** A gateway: in its namespace lie the platform's keys, and its selector says which Secrets are keys. */
export interface KeyOwner {
  readonly namespace: string;
  readonly selector: LabelSelector;
}

interface KeyQuery {
  readonly namespace: string;
  readonly labelSelector: string;
}

interface Watched {
  readonly namespace: string;
  readonly view: ListWatchView<Entry<Secret>>;
  readonly book: ObjectBook<Secret>;
}

type WatchQuery = Pick<ListWatchOptions<unknown>, 'labelSelector' | 'fieldSelector'> & { readonly namespace: string };

/** Helm keeps its releases in Secrets: megabytes that nobody names. */
const NOT_HELM = 'type!=helm.sh/release.v1';

export class SecretSources {
  readonly #options: SecretSourcesOptions;
  readonly #whole = new Map<string, Watched>();
  /** By namespace and selector. */
  readonly #keys = new Map<string, Watched>();
  readonly #named = newBook();
  readonly #forbidden = new Set<string>();
  #list: readonly Secret[] | null = null;
  #forbiddenList: readonly string[] | null = null;

  constructor(options: SecretSourcesOptions) {
    this.#options = options;
    for (const namespace of new Set(options.watchedNamespaces)) {
      this.#whole.set(namespace, this.#start(`Secrets of ${namespace}`, { namespace, fieldSelector: NOT_HELM }));
    }
  }

  /** Whose client keys to follow; what is not in it is followed no more. */
  followKeys(gateways: Iterable<KeyOwner>): void {
    const wanted = new Map<string, KeyQuery>();
    for (const gateway of gateways) for (const query of this.#queriesOf(gateway)) wanted.set(keyOfQuery(query), query);
    for (const [key, { view }] of this.#keys) {
      if (wanted.has(key)) continue;
      view.stop();
      this.#keys.delete(key);
      this.#changed();
    }
    for (const [key, query] of wanted) {
      if (!this.#keys.has(key)) this.#keys.set(key, this.#start(`client keys of ${query.namespace}`, query));
    }
  }

  /** Have its client keys been read? */
  hasKeysOf(gateway: KeyOwner): boolean {
    return this.#queriesOf(gateway).every((query) => {
      const watched = this.#keys.get(keyOfQuery(query));
      return watched !== undefined && this.#isRead(watched);
    });
  }

  #queriesOf({ namespace: own, selector }: KeyOwner): readonly KeyQuery[] {
    const labelSelector = selectorText(selector);
    const namespaces = new Set([own, ...this.#options.keyNamespaces]);
    return [...namespaces].filter((namespace) => !this.#whole.has(namespace)).map((namespace) => ({ namespace, labelSelector }));
  }

  /** Is it read with the rest of its namespace? Then nobody need ask for it by name. */
  isWatched(namespace: string): boolean {
    return this.#whole.has(namespace);
  }

  get synced(): boolean {
    return [...this.#whole.values(), ...this.#keys.values()].every((watched) => this.#isRead(watched));
  }

  /** What a read by name found. */
  told({ namespace, name }: Wanted, found: ReadOutcome | null): void {
    const id = `${namespace}/${name}`;
    // Unreadable counts as forbidden: it is there, and its model cannot be served.
    const forbidden = found?.outcome === 'Forbidden' || found?.outcome === 'Failed';
    if (forbidden !== this.#forbidden.has(id)) {
      if (forbidden) this.#forbidden.add(id);
      else this.#forbidden.delete(id);
      this.#forbiddenList = null;
    }
    if (found?.outcome === 'Found') {
      // Its labels make it a client key only where keys are looked for: what a route names must not become one by that.
      const { labels: _, ...metadata } = found.object.metadata;
      this.#report(this.#named, this.#named.parse({ ...found.object, metadata }));
    } else {
      this.#named.accept(id, null);
    }
    this.#changed();
  }

  /** One a name. The same list until something of it changes. */
  list(): readonly Secret[] {
    if (this.#list === null) {
      const byId = new Map<string, Secret>();
      for (const book of [this.#named, ...books(this.#keys), ...books(this.#whole)]) {
        for (const { id, object } of book.entries()) if (object !== null) byId.set(id, object);
      }
      this.#list = [...byId.values()];
    }
    return this.#list;
  }

  /** `namespace/name`. */
  forbidden(): readonly string[] {
    return (this.#forbiddenList ??= [...this.#forbidden].sort());
  }

  stop(): void {
    for (const { view } of [...this.#whole.values(), ...this.#keys.values()]) view.stop();
  }

  /** The right to read a namespace goes with it: where one was deleted, its Secrets are refused for ever. */
  #isRead({ namespace, view }: Watched): boolean {
    return view.synced || !this.#options.isThere(namespace);
  }

  #start(what: string, query: WatchQuery): Watched {
    const book = newBook();
    const view = this.#options.watch<Entry<Secret>>({
      resource: SECRETS,
      ...query,
      parse: (raw) => book.parse(raw),
      onChange: (id, entry) => {
        if (entry === null) {
          if (book.accept(id, null)) this.#changed();
        } else this.#report(book, entry);
      },
      // The first list may be empty, and that too is news.
      onState: () => this.#options.onChange(),
      onError: (error, key) => this.#options.onError(error, `${what}: ${key}`),
    });
    return { namespace: query.namespace, view, book };
  }

  #report(book: ObjectBook<Secret>, entry: Entry<Secret>): void {
    if (!book.accept(entry.id, entry)) return;
    if (entry.refused !== null) {
      const why = entry.refused.issues.map(({ path, message }) => `${path}: ${message}`).join('; ');
      this.#options.onError(new Error(`it is not a Secret as we know it: ${why}`), `Secret ${entry.id}`);
    }
    this.#changed();
  }

  #changed(): void {
    this.#list = null;
    this.#options.onChange();
  }
}

function keyOfQuery({ namespace, labelSelector }: KeyQuery): string {
  return `${namespace} ${labelSelector}`;
}

function newBook(): ObjectBook<Secret> {
  return new ObjectBook<Secret>('Secret', { metadata: 'Labels', keepLastGood: false });
}

function books(watched: ReadonlyMap<string, Watched>): readonly ObjectBook<Secret>[] {
  return [...watched.values()].map(({ book }) => book);
}
