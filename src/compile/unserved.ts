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
  readonly served?: readonly unknown[];
  readonly effect: NotServed['effect'];
  readonly instead: string;
}

const LEFT_OUT = 'the model is left out';
const REFUSED = 'the route is not served, because a limit must not go unenforced';

/** Of an LLMBackend's spec, and of each entry of a route's `spec.models`. */
const MODEL: readonly Row[] = [
  { path: 'provider.type', served: ['OpenAI', 'AzureOpenAI', 'OpenAICompatible'], effect: 'LeavesModelOut', instead: LEFT_OUT },
  { path: 'auth.type', served: ['APIKey', 'None'], effect: 'LeavesModelOut', instead: LEFT_OUT },
  { path: 'capacity.requestsPerMinute', effect: 'Differs', instead: 'requests go elsewhere once the provider says 429' },
  { path: 'capacity.tokensPerMinute', effect: 'Differs', instead: 'requests go elsewhere once the provider says 429' },
  { path: 'unsupported', served: ['Reject'], effect: 'Differs', instead: 'parameters go to the provider as they are' },
];

const ROUTE: readonly Row[] = [
  { path: 'rules[].selection.strategy', served: ['Weighted', 'RoundRobin', 'LeastBusy'], effect: 'Differs', instead: 'Weighted is used' },
  { path: 'rules[].constraints', effect: 'Differs', instead: 'no target is left out for its latency or cost' },
  { path: 'rules[].failover.hedge', effect: 'Differs', instead: 'the next target is asked only when one has failed' },
  { path: 'rules[].failover.afterOutput', served: ['Error'], effect: 'Differs', instead: 'a stream that breaks after output ends with an error event' },
  { path: 'rules[].structuredOutput', effect: 'Differs', instead: 'answers are not checked against the schema' },
  { path: 'rules[].sessionAffinity', effect: 'Differs', instead: 'each request is placed for itself' },
  { path: 'rules[].mirror', effect: 'Differs', instead: 'no request is copied' },
  { path: 'rateLimits[].unit', served: ['Requests', 'Tokens', 'Concurrency'], effect: 'RefusesRoute', instead: REFUSED },
  { path: 'rateLimits[].calendar', effect: 'RefusesRoute', instead: REFUSED },
  { path: 'rateLimits[].onExceeded.action', served: ['Reject'], effect: 'RefusesRoute', instead: REFUSED },
  { path: 'cache', effect: 'Differs', instead: 'every request goes to a provider' },
  ...MODEL.map((row) => ({ ...row, path: `models[].${row.path}` })),
];

const GATEWAY: readonly Row[] = [
  { path: 'prices', effect: 'Differs', instead: 'only prices written in `pricing` count' },
  { path: 'redis', effect: 'Differs', instead: 'each pod counts limits and health for itself' },
  { path: 'clientAuth.type', served: ['APIKey', 'None'], effect: 'Differs', instead: 'clients need an API key' },
  { path: 'telemetry.otlpEndpoint', served: [''], effect: 'Differs', instead: 'no traces are sent' },
  { path: 'telemetry.requestLog', served: ['None', 'Metadata'], effect: 'Differs', instead: 'Metadata is logged' },
];

/** `spec.cache is not served by this build: every request …`, without the path, which stands in an issue already. */
export function formatUnserved({ value, instead }: NotServed): string {
  return `${value === null ? 'it' : JSON.stringify(value)} is not served by this build: ${instead}`;
}

interface Step {
  readonly name: string;
  readonly each: boolean;
}

const TABLE = { LLMRoute: prepared(ROUTE), LLMBackend: prepared(MODEL), LLMGateway: prepared(GATEWAY) } as const;

function prepared(rows: readonly Row[]): readonly (Row & { readonly steps: readonly Step[] })[] {
  return rows.map((row) => ({
    ...row,
    steps: row.path.split('.').map((step) => ({ name: step.replace('[]', ''), each: step.endsWith('[]') })),
  }));
}

/** Everything of this spec that is not served, in the table's order. Paths begin with `spec`. */
export function unservedOf(kind: keyof typeof TABLE, spec: object): readonly NotServed[] {
  const found: NotServed[] = [];
  for (const { steps, served, effect, instead } of TABLE[kind]) {
    visit(spec, steps, 0, 'spec', (path, value) => {
      if (served?.includes(value) === true) return;
      found.push({ path, value: served === undefined ? null : String(value), effect, instead });
    });
  }
  return found;
}

function visit(node: unknown, steps: readonly Step[], at: number, path: string, report: (path: string, value: unknown) => void): void {
  if (node === undefined || node === null) return;
  const step = steps[at];
  if (step === undefined) {
    report(path, node);
    return;
  }
  const next = (node as Readonly<Record<string, unknown>>)[step.name];
  if (!step.each) {
    visit(next, steps, at + 1, `${path}.${step.name}`, report);
  } else if (Array.isArray(next)) {
    for (const [index, item] of next.entries()) visit(item, steps, at + 1, `${path}.${step.name}[${index}]`, report);
  }
}
