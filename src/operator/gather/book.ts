/**
 * The objects of one kind as compile wants them: parsed, and the very same object for as long as it means the same. A version that
 * parse refuses does not take away the one before it: that one stays in the list, and the refusal is told beside it.
 */
import { hash } from 'node:crypto';

import type { ApiObject } from '../../api/parse.ts';
import { parseObject } from '../../api/parse.ts';
import { keyOf, type KubeObject } from '../../kube/objects.ts';
import { issue, type Issue } from '../../lib/issue.ts';
import type { Result } from '../../lib/result.ts';

/** What parse refused, or failed on. */
export interface Refused {
  readonly reason: 'InvalidSpec' | 'ParseFailed';
  readonly issues: readonly Issue[];
  /** What was thrown, for the log alone: it may repeat what it read. */
  readonly fault?: unknown;
  readonly generation: number | undefined;
  /** Generation of the version that serves on; null: none was seen since this process started. */
  readonly keptGeneration: number | null;
}

/** One object as the API server last told it. */
export interface Entry<T> {
  readonly id: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation: number | undefined;
  /** As it stands on the API server. */
  readonly status: unknown;
  /** What compile is given; null: no version of it was ever valid. */
  readonly object: T | null;
  /** null: `object` is what is applied now. */
  readonly refused: Refused | null;
  /** Of everything that compile may see. */
  readonly fingerprint: string;
}

export interface BookOptions {
  /** Which annotations and labels mean something to us: others are neither judged nor kept in memory. */
  readonly metadata: 'OwnAnnotations' | 'Labels';
  /** False: what cannot be read is gone (a ReferenceGrant must not outlive an edit that we do not understand). */
  readonly keepLastGood: boolean;
}

const OWN_PREFIX = 'fairlead.dev/';
const NOT_PARSED =
  'this operator failed to read it, which is a fault of the operator and not of the object: its log has the error';
/** Of what could not be read: another look at it may go better. */
const NO_FINGERPRINT = '';

export class ObjectBook<T extends ApiObject> {
  readonly #kind: T['kind'];
  readonly #options: BookOptions;
  readonly #entries = new Map<string, Entry<T>>();
  #list: readonly T[] | null = null;

  constructor(kind: T['kind'], options: BookOptions) {
    this.#kind = kind;
    this.#options = options;
  }

  /**
   * What the object is to us, given what it was; changes nothing and never throws. An edit of status or of foreign metadata gives the
   * same `object`.
   */
  parse(raw: KubeObject): Entry<T> {
    const id = keyOf(raw.metadata);
    const before = this.#entries.get(id);
    const { uid = '', resourceVersion = '', generation } = raw.metadata;
    const seen = { id, uid, resourceVersion, generation, status: raw['status'] };
    // Another object of the same name has no claim to what the one before it was.
    const last = this.#options.keepLastGood && before?.uid === uid ? before.object : null;
    const keptGeneration = last?.metadata.generation ?? null;
    try {
      const slim = this.#slim(raw);
      const fingerprint = hash('sha1', JSON.stringify(slim));
      if (before !== undefined && before.fingerprint === fingerprint)
        return { ...seen, fingerprint, object: before.object, refused: before.refused };
      const parsed = parseObject(slim) as Result<T, readonly Issue[]>;
      if (parsed.ok) return { ...seen, fingerprint, object: parsed.value, refused: null };
      const refused: Refused = { reason: 'InvalidSpec', issues: parsed.error, generation, keptGeneration };
      return { ...seen, fingerprint, object: last, refused };
    } catch (fault) {
      const issues = [issue('', 'ParseFailed', NOT_PARSED)];
      const refused: Refused = { reason: 'ParseFailed', issues, fault, generation, keptGeneration };
      return { ...seen, fingerprint: NO_FINGERPRINT, object: last, refused };
    }
  }

  /** null: it is gone. True: what compile sees, or the refusal, is another than before. */
  accept(id: string, entry: Entry<T> | null): boolean {
    const before = this.#entries.get(id);
    if (entry === null) this.#entries.delete(id);
    else this.#entries.set(id, entry);
    if (before?.object === entry?.object && before?.refused === entry?.refused) return false;
    this.#list = null;
    return true;
  }

  put(raw: KubeObject): boolean {
    const entry = this.parse(raw);
    return this.accept(entry.id, entry);
  }

  get(id: string): Entry<T> | undefined {
    return this.#entries.get(id);
  }

  entries(): Iterable<Entry<T>> {
    return this.#entries.values();
  }

  ids(): Iterable<string> {
    return this.#entries.keys();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What is valid, or was. The same list until something of it changes. */
  list(): readonly T[] {
    if (this.#list === null) {
      const list: T[] = [];
      for (const { object } of this.#entries.values()) if (object !== null) list.push(object);
      this.#list = list;
    }
    return this.#list;
  }

  #slim(raw: KubeObject): unknown {
    const { apiVersion, kind: _, metadata, status: __, ...rest } = raw;
    const { name, namespace, generation, creationTimestamp, uid, labels, annotations } = metadata;
    const own = Object.entries(annotations ?? {}).filter(([key]) => key.startsWith(OWN_PREFIX));
    return {
      ...rest,
      apiVersion,
      kind: this.#kind,
      metadata: {
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(generation === undefined ? {} : { generation }),
        ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
        ...(uid === undefined ? {} : { uid }),
        ...(this.#options.metadata === 'Labels' ? { labels: labels ?? {} } : { annotations: Object.fromEntries(own) }),
      },
    };
  }
}
