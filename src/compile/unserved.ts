/**
 * What the schema has and this build does not serve yet, in one table: where it is written, and what happens instead. Whoever
 * builds one of these deletes its row. (What the operator renders, such as replicas and the pod template, is not here: it means
 * something only where there are pods.)
 */
import type { NotServed } from './status.ts';

interface Row {
  /** From `spec`; `[]` stands for every entry of a list. */
  readonly path: string;
  /** The values that are served; absent: the field's presence is what is not served. */
  readonly served?: readonly string[];
  readonly effect: NotServed['effect'];
  readonly instead: string;
}

const ROUTE: readonly Row[] = [
  {
    path: 'rules[].selection.strategy',
    served: ['Weighted', 'RoundRobin', 'LeastBusy'],
    effect: 'Differs',
    instead: 'Weighted is used',
  },
  { path: 'rules[].constraints', effect: 'Differs', instead: 'no target is left out for its latency or cost' },
  { path: 'rules[].failover.hedge', effect: 'Differs', instead: 'the next target is asked only when one has failed' },
  {
    path: 'rules[].failover.afterOutput',
    served: ['Error'],
    effect: 'Differs',
    instead: 'a stream that breaks after output ends with an error event',
  },
  { path: 'rules[].sessionAffinity', effect: 'Differs', instead: 'each request is placed for itself' },
  { path: 'rules[].mirror', effect: 'Differs', instead: 'no request is copied' },
];

const GATEWAY: readonly Row[] = [
  { path: 'clientAuth.type', served: ['APIKey', 'None'], effect: 'Differs', instead: 'clients need an API key' },
  { path: 'telemetry.otlpEndpoint', served: [''], effect: 'Differs', instead: 'no traces are sent' },
  { path: 'telemetry.requestLog', served: ['None', 'Metadata'], effect: 'Differs', instead: 'Metadata is logged' },
];

/** `"USD" is not served by this build: …`, without the path, which an issue has beside its message. */
export function formatUnserved({ value, instead }: NotServed): string {
  return `${value === null ? 'it' : JSON.stringify(value)} is not served by this build: ${instead}`;
}

/** The rows of a kind as a tree of field names, so that what is absent is passed over at once. */
interface Field {
  readonly name: string;
  /** A list, whose entries the fields below are of. */
  readonly each: boolean;
  readonly row: Row | undefined;
  readonly below: readonly Field[];
}

const TREES = { LLMRoute: treeOf(ROUTE, ''), LLMGateway: treeOf(GATEWAY, '') } as const;

function treeOf(rows: readonly Row[], prefix: string): readonly Field[] {
  const steps = rows
    .filter(({ path }) => path.startsWith(prefix))
    .map(({ path }) => path.slice(prefix.length).split('.')[0] ?? '');
  return [...new Set(steps)].map((step) => ({
    name: step.replace('[]', ''),
    each: step.endsWith('[]'),
    row: rows.find(({ path }) => path === `${prefix}${step}`),
    below: treeOf(rows, `${prefix}${step}.`),
  }));
}

/** Everything of this spec that is not served, in the table's order. Paths begin with `spec`. */
export function unservedOf(kind: keyof typeof TREES, spec: object): readonly NotServed[] {
  const found: NotServed[] = [];
  visit(spec, TREES[kind], 'spec', found);
  return found;
}

function visit(node: object, fields: readonly Field[], path: string, found: NotServed[]): void {
  for (const { name, each, row, below } of fields) {
    const value = (node as Readonly<Record<string, unknown>>)[name];
    if (value === undefined || value === null) continue;
    const at = `${path}.${name}`;
    if (row !== undefined) {
      const { served, instead, effect } = row;
      if (served === undefined) found.push({ path: at, value: null, instead, effect });
      else if (typeof value === 'string' && !served.includes(value)) found.push({ path: at, value, instead, effect });
    }
    if (below.length === 0 || typeof value !== 'object') continue;
    if (!each) visit(value, below, at, found);
    else if (Array.isArray(value)) value.forEach((item: object, index) => visit(item, below, `${at}[${index}]`, found));
  }
}

/** The paths of all rows of a kind, as the table writes them. */
export function unservedPaths(kind: keyof typeof TREES): readonly string[] {
  return { LLMRoute: ROUTE, LLMGateway: GATEWAY }[kind].map(({ path }) => path);
}
