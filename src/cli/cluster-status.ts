/** `fairlead status`: what is applied, whether every pod serves it, and of what does not, why. */
import { isOlderInstallation } from '../api/crd-age.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/objects.ts';
import { member } from '../lib/json.ts';
import {
  BACKENDS,
  conditionsOf,
  explainFailure,
  firstFault,
  GATEWAYS,
  listKind,
  must,
  QUOTAS,
  ROUTES,
  textOf,
  UPGRADE_CRDS,
  withCluster,
  type ClusterFlags,
} from './cluster.ts';
import { ExitCode, type Io } from './io.ts';
import { printData, type DataFormat } from './output.ts';
import { column, printable, styleFor, type Style } from './style.ts';

export interface StatusOptions extends ClusterFlags {
  /** null: all. */
  readonly namespace: string | null;
  readonly output: DataFormat | null;
}

interface Row {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly programmed: string;
  readonly ready: string;
  /** Of a route: healthy models of all; of a gateway: current pods of the ready ones. */
  readonly healthy: string;
  readonly endpoint: string;
  /** Why it is not as it should be; null: it is. */
  readonly fault: { readonly condition: string; readonly reason: string; readonly message: string } | null;
  readonly backends: readonly {
    readonly name: string;
    readonly state: string;
    readonly reason: string;
    readonly since: string;
  }[];
}

/** Exit code 1 where something is not as it should be. */
export async function clusterStatus(io: Io, options: StatusOptions): Promise<ExitCode> {
  const { rows, notes } = await withCluster(io, options, (client) => readRows(client, options.namespace));
  for (const note of notes) io.stderr.write(`${note}\n`);
  if (options.output === null) print(io, rows);
  else printData(io, options.output, rows);
  return rows.some(({ fault }) => fault !== null) ? ExitCode.Failed : ExitCode.Ok;
}

/** `notes`: on kinds that this cluster does not know yet, or does not show to this person. */
async function readRows(
  client: KubeClient,
  namespace: string | null,
): Promise<{ readonly rows: readonly Row[]; readonly notes: readonly string[] }> {
  const lists = await Promise.all(
    [GATEWAYS, BACKENDS, QUOTAS, ROUTES].map(async (of) => ({ of, listed: await listKind(client, of, namespace) })),
  );
  const absent = new Set(lists.flatMap(({ of, listed }) => (!listed.ok && listed.error.kind === 'absent' ? [of.kind] : [])));
  const older = isOlderInstallation(absent);
  const rows: Row[] = [];
  const notes: string[] = [];
  for (const { of, listed } of lists) {
    if (!listed.ok && absent.has(of.kind) && older)
      notes.push(`${of.kind} is not known here: the installed CRDs are older than this build; ${UPGRADE_CRDS}`);
    else if (!listed.ok && listed.error.kind === 'forbidden' && of !== ROUTES)
      notes.push(`${of.kind}s are not shown: ${explainFailure(listed.error)}`);
    else rows.push(...must(listed).map(rowOf));
  }
  return { rows, notes };
}

function rowOf(object: KubeObject): Row {
  const { kind, metadata, ...rest } = object;
  const status = rest['status'];
  const conditions = conditionsOf(object);
  const holds = (type: string): string => conditions.find((found) => found.type === type)?.status ?? '';
  const fault = firstFault(object);
  const stale = conditions.find((found) => found.stale);
  const healthy =
    kind === 'LLMRoute'
      ? ratio(member(member(status, 'models'), 'healthy'), member(member(status, 'models'), 'total'))
      : kind === 'LLMGateway'
        ? ratio(member(status, 'programmed'), member(status, 'replicas'))
        : textOf(member(status, 'state'));
  const unseen = { condition: 'Accepted', reason: 'Pending', message: 'no operator has looked at it yet: see fairlead doctor' };
  const behind = {
    condition: stale?.type ?? '',
    reason: 'Pending',
    message: 'the operator has not judged its newest version yet',
  };
  return {
    kind,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    programmed: holds('Programmed'),
    ready: holds('Ready'),
    healthy,
    endpoint: textOf(member(status, 'endpoint')),
    fault:
      conditions.length === 0
        ? unseen
        : stale !== undefined
          ? behind
          : fault === null
            ? null
            : { condition: fault.type, reason: fault.reason, message: fault.message },
    backends: backendsOf(status),
  };
}

function backendsOf(status: unknown): Row['backends'] {
  const list = member(status, 'backends');
  if (!Array.isArray(list)) return [];
  return (list as readonly unknown[]).map((entry) => ({
    name: textOf(member(entry, 'name')),
    state: textOf(member(entry, 'state')),
    reason: textOf(member(entry, 'reason')),
    since: textOf(member(entry, 'since')),
  }));
}

function ratio(part: unknown, whole: unknown): string {
  return whole === undefined ? '' : `${textOf(part)}/${textOf(whole)}`;
}

const HEADS = ['NAMESPACE', 'NAME', 'SERVED', 'READY', 'HEALTHY', 'ENDPOINT'] as const;

function print(io: Io, rows: readonly Row[]): void {
  const style = styleFor(io.stdout, io.env);
  if (rows.length === 0) {
    io.stdout.write('Nothing of Fairlead is applied here: `fairlead init` writes a first LLMRoute.\n');
    return;
  }
  for (const kind of ['LLMGateway', 'LLMBackend', 'LLMQuota', 'LLMRoute']) {
    const own = rows.filter((row) => row.kind === kind);
    if (own.length === 0) continue;
    io.stdout.write(`${style.bold(`${kind}s`)}\n`);
    const table = own.map((row) => [
      row.namespace,
      row.name,
      row.programmed || '-',
      row.ready || '-',
      row.healthy || '-',
      row.endpoint,
    ]);
    const widths = HEADS.map((head, at) => Math.max(head.length, ...table.map((cells) => cells[at]?.length ?? 0)));
    const line = (cells: readonly string[]): string =>
      `  ${cells.map((cell, at) => column(cell, widths[at] ?? 0)).join('  ')}`.trimEnd();
    io.stdout.write(`${style.dim(line(HEADS))}\n`);
    for (const [index, row] of own.entries()) {
      const text = line(table[index] ?? []);
      io.stdout.write(`${row.fault === null ? text : style.yellow(text)}\n`);
      for (const said of faultLines(row, style)) io.stdout.write(`      ${said}\n`);
    }
    io.stdout.write('\n');
  }
}

function faultLines({ fault, backends }: Row, style: Style): readonly string[] {
  return [
    ...(fault === null ? [] : [`${style.red(`${fault.condition}: ${fault.reason}`)}  ${printable(fault.message)}`]),
    ...backends.map(({ name, state, reason, since }) =>
      style.yellow(printable(`${name} is ${state}: ${reason}, since ${since}`)),
    ),
  ];
}
