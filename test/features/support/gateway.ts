import { pino } from 'pino';
import { parseObject, type ApiObject } from '../../../src/api/parse.ts';
import { parseYamlDocuments } from '../../../src/api/yaml.ts';
import { compile } from '../../../src/compile/compile.ts';
import { snapshotOf, type ServicePort, type Snapshot } from '../../../src/compile/snapshot.ts';
import type { ObjectStatus } from '../../../src/compile/status.ts';
import { Gateway, type GatewayOptions } from '../../../src/gateway/gateway.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { formatIssue, type Issue } from '../../../src/lib/issue.ts';
import type { RouteTable } from '../../../src/routetable/types.ts';
import type { Log, RequestLine } from '../../../src/telemetry/log.ts';
import { onCleanUp } from './clean-up.ts';

/** Serves files that have no LLMGateway, without client keys. */
const STAND_IN = `
apiVersion: fairlead.dev/v1alpha1
kind: LLMGateway
metadata: {name: default, namespace: default, annotations: {fairlead.dev/is-default-gateway: "true"}}
spec: {clientAuth: {type: None}}
`;

export interface Compiled {
  /** null: what is there cannot be served. */
  readonly table: RouteTable | null;
  /** Of objects that parse refused, and of text that is not YAML. */
  readonly issues: readonly Issue[];
  readonly statuses: ReadonlyMap<string, ObjectStatus>;
}

/** What is behind the Services of a cluster, by `namespace/name`. */
export type Services = Readonly<Record<string, readonly ServicePort[]>>;

/** YAML → table, as `fairlead run` does it; with `services`, as the operator does. */
export function compileYaml(yaml: string, services: Services | null = null): Compiled {
  const { objects, issues } = parseYaml(yaml);
  const [standInGateway] = parseYaml(STAND_IN).objects;
  if (standInGateway?.kind !== 'LLMGateway') throw new Error('the stand-in is no LLMGateway');
  const { tables, statuses } = compile(
    { ...snapshotOf(objects), ...(services === null ? {} : clusterOf(services)) },
    { resolveService: services === null ? 'Laptop' : 'Cluster', loopbackAllowed: true, standInGateway },
  );
  const [table] = tables.values();
  return { table: table ?? null, issues, statuses };
}

function clusterOf(services: Services): Pick<Snapshot, 'services' | 'endpoints'> {
  const found = Object.entries(services).map(([id, ports]) => {
    const [namespace = '', name = ''] = id.split('/');
    return { metadata: { namespace, name }, ports };
  });
  return {
    services: found.map(({ metadata, ports }) => ({ metadata, type: 'ClusterIP', ports: ports.map(({ port }) => port) })),
    endpoints: found,
  };
}

function parseYaml(yaml: string): { readonly objects: ApiObject[]; readonly issues: Issue[] } {
  const { documents, issues } = parseYamlDocuments(yaml, 'test.yaml');
  const objects: ApiObject[] = [];
  const found = [...issues];
  for (const { value } of documents) {
    const parsed = parseObject(value);
    if (parsed.ok) objects.push(parsed.value);
    else found.push(...parsed.error);
  }
  return { objects, issues: found };
}

export interface TestGateway {
  readonly gateway: Gateway;
  readonly port: number;
  readonly adminPort: number;
  /** One a request that has ended, in that order. */
  readonly requests: RequestLine[];
  /** Everything else in the log, as JSON lines. */
  readonly lines: string[];
  /** Swaps the table. */
  apply(yaml: string, services?: Services): void;
  /** Waits until something holds; looked at whenever a request ends or a line is logged. */
  until(holds: () => boolean): Promise<void>;
  close(drainTimeoutMs?: number): Promise<void>;
}

export type TestGatewayOptions = Partial<Omit<GatewayOptions, 'log'>> & {
  /** The gateway is in a cluster that has these. */
  readonly services?: Services;
};

/**
 * Starts the real gateway from YAML on free ports, in this process. It is closed after the test, which fails if the gateway logged
 * a fault of its own.
 */
export async function startGateway(yaml: string, { services, ...options }: TestGatewayOptions = {}): Promise<TestGateway> {
  const log = new MemoryLog();
  const gateway = new Gateway({
    clock: systemClock,
    random: seededRandom(1),
    loopbackAllowed: true,
    proxy: null,
    ...options,
    log,
  });
  gateway.apply(tableOf(yaml, services));
  const { port, adminPort } = await gateway.listen({ host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 });
  let closing: Promise<void> | null = null;
  const close = (drainTimeoutMs = 0): Promise<void> => (closing ??= gateway.close(drainTimeoutMs));
  onCleanUp(async () => {
    await close();
    const faults = log.lines.filter((line) => line.includes('failed to handle'));
    if (faults.length > 0) throw new Error(`the gateway had faults of its own:\n${faults.join('\n')}`);
  });
  return {
    gateway,
    port,
    adminPort,
    requests: log.requests,
    lines: log.lines,
    apply: (next, behind) => gateway.apply(tableOf(next, behind)),
    until: (holds) => log.until(holds),
    close,
  };
}

/** Everything in it must be served: a test's typing error is not to be mistaken for the gateway's. */
function tableOf(yaml: string, services: Services | null = null): RouteTable {
  const { table, issues, statuses } = compileYaml(yaml, services);
  if (issues.length > 0) throw new Error(`the YAML is refused: ${issues.map(formatIssue).join('; ')}`);
  if (table === null || table.routes.length === 0)
    throw new Error(`nothing is served: ${JSON.stringify([...statuses.values()], null, 1)}`);
  return table;
}

/** A log that stays in memory, for tests to read and to wait for. */
class MemoryLog implements Log {
  readonly requests: RequestLine[] = [];
  readonly lines: string[] = [];
  readonly logger: Log['logger'] = pino(
    { level: 'trace', base: null },
    { write: (line: string) => this.#add(() => this.lines.push(line)) },
  );
  #changed = Promise.withResolvers<void>();

  request(line: RequestLine): void {
    this.#add(() => this.requests.push(line));
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  async flush(): Promise<void> {}
  flushSync(): void {}
  async close(): Promise<void> {}

  #add(push: () => void): void {
    push();
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** mulberry32: the same numbers in every run. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
