/** One gateway's table as it is published now, and when each of its entries last changed. */
import {
  findByKey,
  keyOfClientKey,
  keyOfEndpoints,
  keyOfRoute,
  tableChanges,
  type Change,
  type EntryKind,
  type EntryName,
  type Item,
} from '../../routetable/entries.ts';
import { entryLine, messageLine } from '../../routetable/stream-messages.ts';
import type { RouteTable } from '../../routetable/types.ts';

/** Beyond so many changes that a pod has not acknowledged, "which routes does its ACK concern" is answered with "all". */
const MAX_REMEMBERED = 1_000;

export class Publication {
  #table: RouteTable;
  /** Of what was published first: all that has not changed since is of then. */
  readonly #first: number;
  #sequence: number;
  #configSequence: number;
  /** By `kind key`, of what changed after the first publication. What is gone stays until every pod has taken it away. */
  readonly #changedAt = new Map<string, number>();
  #steps: { readonly sequence: number; readonly routes: readonly string[] }[] = [];
  /** Lines of what changed last: each is encoded once, however many pods it goes to. */
  readonly #lines = new Map<string, string>();

  constructor(table: RouteTable, first = 1) {
    this.#table = table;
    this.#first = first;
    this.#sequence = first;
    this.#configSequence = first;
  }

  get table(): RouteTable {
    return this.#table;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Of the last change that somebody made, and not only pods behind a Service that came or went. */
  get configSequence(): number {
    return this.#configSequence;
  }

  /** Returns what is to be told to whoever has all that was published before. */
  update(table: RouteTable): readonly Change[] {
    if (table === this.#table) return [];
    const changes = tableChanges(this.#table, table);
    this.#table = table;
    if (changes.length === 0) return changes;
    this.#sequence++;
    if (changes.some(({ kind }) => kind !== 'endpoints')) this.#configSequence = this.#sequence;
    this.#lines.clear();
    for (const { kind, key } of changes) this.#changedAt.set(`${kind} ${key}`, this.#sequence);
    const routes = changes.filter(({ kind }) => kind === 'route').map(({ key }) => key);
    this.#steps.push({ sequence: this.#sequence, routes });
    if (this.#steps.length > MAX_REMEMBERED) this.#steps.shift();
    return changes;
  }

  find({ kind, key }: EntryName): Item | undefined {
    switch (kind) {
      case 'settings':
        return this.#table.settings;
      case 'clientKey':
        return findByKey(this.#table.clientKeys, key, keyOfClientKey);
      case 'endpoints':
        return findByKey(this.#table.endpoints, key, keyOfEndpoints);
      case 'route':
        return findByKey(this.#table.routes, key, keyOfRoute);
    }
  }

  /** What a stream says of an entry now. */
  line(name: EntryName): string {
    const { kind, key } = name;
    const known = this.#lines.get(`${kind} ${key}`);
    if (known !== undefined) return known;
    const item = this.find(name);
    const line = item === undefined ? messageLine({ type: 'gone', kind, key }) : entryLine(kind, key, item);
    // Not those of a whole table that is sent to a new pod: they would double the memory that it takes.
    if (this.#changedAt.get(`${kind} ${key}`) === this.#sequence) this.#lines.set(`${kind} ${key}`, line);
    return line;
  }

  commitLine(): string {
    return messageLine({ type: 'commit', sequence: this.#sequence, digest: this.#table.digest });
  }

  changedAt(kind: EntryKind, key: string): number {
    return this.#changedAt.get(`${kind} ${key}`) ?? this.#first;
  }

  /** The routes that changed after `after` and up to `upTo`; null: it is not known which. */
  routesBetween(after: number, upTo: number): readonly string[] | null {
    if (after === 0 || (this.#steps[0]?.sequence ?? Infinity) > after + 1) return after >= upTo ? [] : null;
    const routes = new Set<string>();
    for (const step of this.#steps)
      if (step.sequence > after && step.sequence <= upTo) for (const id of step.routes) routes.add(id);
    return [...routes];
  }

  /** Every pod has acknowledged all up to here. */
  acknowledged(sequence: number): void {
    if ((this.#steps[0]?.sequence ?? Infinity) > sequence) return;
    for (const { sequence: at, routes } of this.#steps) {
      if (at > sequence) break;
      for (const id of routes) if ((this.#changedAt.get(`route ${id}`) ?? 0) <= sequence) this.#changedAt.delete(`route ${id}`);
    }
    this.#steps = this.#steps.filter((step) => step.sequence > sequence);
  }
}
