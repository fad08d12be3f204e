/** Objects → the table that this process serves, with everything that is to be said about them. */
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { compile, type CompileMemo } from '../compile/compile.ts';
import { objectId, snapshotOf } from '../compile/snapshot.ts';
import type { ObjectStatus } from '../compile/status.ts';
import { DEFAULT_GATEWAY_ANNOTATION } from '../compile/world.ts';
import type { RouteTable } from '../routetable/types.ts';
import { type Finding, problemFinding, statusFindings } from './findings.ts';
import { CommandFailed, UsageError } from './io.ts';
import { objectLabel, type ReadObject, type ReadProblem } from './read-objects.ts';
import { isClientKey, STAND_IN_WITH_KEYS, STAND_IN_WITHOUT_KEYS } from './stand-in.ts';

export interface ConfigureOptions {
  /** Cluster: a serviceRef is taken for resolvable. */
  readonly where: 'Laptop' | 'Cluster';
  /** The stand-in asks for keys even if there are none: what asked for them once must not stop by itself. */
  readonly keepAsking?: boolean;
  readonly memo?: CompileMemo;
}

export interface Configuration {
  /** By `namespace/name` of the LLMGateway. */
  readonly tables: ReadonlyMap<string, RouteTable>;
  /** Of gateways that have none now and had one with this memo: as they were, with the routes and keys of now. */
  readonly heldTables: ReadonlyMap<string, RouteTable>;
  /** By `Kind/namespace/name`. */
  readonly statuses: ReadonlyMap<string, ObjectStatus>;
  readonly findings: readonly Finding[];
  readonly gateways: readonly LLMGateway[];
  /** The files have no LLMGateway, and ours stands in. */
  readonly standIn: boolean;
  /** They have one, or may have, that cannot be read: nothing stands in for what it says of who may call. */
  readonly unreadGateway: boolean;
}

export function configure(
  objects: readonly ReadObject[],
  problems: readonly ReadProblem[],
  options: ConfigureOptions,
): Configuration {
  const snapshot = snapshotOf(objects.map(({ object }) => object));
  const withKeys =
    options.keepAsking === true ||
    objects.some(({ object }) => isClientKey(object)) ||
    problems.some(({ hides }) => hides.clientKey);
  const standInGateway = withKeys ? STAND_IN_WITH_KEYS : STAND_IN_WITHOUT_KEYS;
  const { tables, heldTables, statuses } = compile(
    snapshot,
    { resolveService: options.where, loopbackAllowed: true, standInGateway },
    options.memo,
  );
  const byLabel = new Map(objects.map((found) => [objectLabel(found.object), found]));
  const findings = problems.map(problemFinding);
  for (const status of statuses.values()) {
    findings.push(...statusFindings(status, byLabel.get(`${status.kind} ${status.namespace}/${status.name}`)));
  }
  const standIn = snapshot.gateways.length === 0;
  return {
    tables,
    heldTables,
    statuses,
    findings: findings.sort(bySource),
    gateways: standIn ? [standInGateway] : snapshot.gateways,
    standIn,
    unreadGateway: standIn && problems.some(({ hides }) => hides.gateway),
  };
}

/**
 * The table that one process serves. `wanted`: `namespace/name` of an LLMGateway; null: the only one, or the default one. Throws
 * UsageError where that is none or not clear, CommandFailed where the gateway cannot be served (the findings say why).
 */
export function chooseTable(configuration: Configuration, wanted: string | null): RouteTable {
  const { gateways, tables, heldTables, standIn, unreadGateway } = configuration;
  if (unreadGateway)
    throw new CommandFailed('an LLMGateway cannot be read (see above), and nothing stands in for what it says of who may call');
  if (standIn && wanted !== null) throw new UsageError(`--gateway ${wanted} is not in the files: they have no LLMGateway`);
  const id = standIn ? gateways.map(objectId)[0] : chooseGateway(gateways, wanted);
  const table = id === undefined ? undefined : (tables.get(id) ?? heldTables.get(id));
  if (table === undefined) throw new CommandFailed(`LLMGateway ${id ?? ''} cannot be served as it is meant: see above`);
  return table;
}

function chooseGateway(gateways: readonly LLMGateway[], wanted: string | null): string {
  const ids = gateways.map(objectId).sort();
  if (wanted !== null) {
    if (ids.includes(wanted)) return wanted;
    throw new UsageError(`--gateway ${wanted} is not in the files; there ${ids.length === 1 ? 'is' : 'are'} ${ids.join(', ')}`);
  }
  const defaults = gateways.filter(({ metadata }) => metadata.annotations[DEFAULT_GATEWAY_ANNOTATION] === 'true').map(objectId);
  const [only, ...others] = defaults.length === 0 ? ids : defaults;
  if (only !== undefined && others.length === 0) return only;
  throw new UsageError(`the files have several LLMGateways: choose one with --gateway (${ids.join(', ')})`);
}

/** File by file, each from its top; what is of no file comes last. */
function bySource(a: Finding, b: Finding): number {
  if (a.file !== b.file) return a.file === null ? 1 : b.file === null ? -1 : a.file < b.file ? -1 : 1;
  return (a.line ?? 0) - (b.line ?? 0);
}
