/** `fairlead key list` and `revoke`, and how a new key gets into the cluster. */
import { parseObject } from '../api/parse.ts';
import { API_KEY_LABEL } from '../auth/new-key.ts';
import { clientKeyExpiry } from '../compile/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import { member } from '../lib/json.ts';
import { listObjects, must, SECRETS, textOf, withCluster, type ClusterFlags } from './cluster.ts';
import { CommandFailed, ExitCode, type Io } from './io.ts';
import { printData, type DataFormat } from './output.ts';
import { column, printable, styleFor } from './style.ts';

export interface KeyListOptions extends ClusterFlags {
  /** null: all. */
  readonly namespace: string | null;
  readonly output: DataFormat | null;
}

interface KeyRow {
  readonly namespace: string;
  readonly name: string;
  readonly models: string;
  readonly expires: string;
  readonly tenant: string;
  readonly state: 'Valid' | 'Expired' | 'Malformed';
  readonly created: string;
}

/** Never shows a hash: it is of no use to a person, and a copy of it is a key to whoever can write Secrets. */
export async function listClientKeys(io: Io, options: KeyListOptions): Promise<ExitCode> {
  const rows = await withCluster(io, options, async (client) => {
    const secrets = await listObjects(client, SECRETS, options.namespace, `${API_KEY_LABEL}=true`);
    return secrets.map((secret) => keyRow(secret, io.clock.wallMs()));
  });
  if (options.output !== null) printData(io, options.output, rows);
  else if (rows.length === 0) io.stdout.write('No client keys: `fairlead key create --name NAME --apply` makes one.\n');
  else print(io, rows);
  return ExitCode.Ok;
}

export async function revokeClientKey(
  io: Io,
  options: ClusterFlags & { readonly name: string; readonly namespace: string },
): Promise<ExitCode> {
  const { name, namespace } = options;
  await withCluster(io, options, async (client) => {
    const found = must(await client.get(SECRETS, { namespace, name }));
    if (found.metadata.labels?.[API_KEY_LABEL] !== 'true')
      throw new CommandFailed(
        `Secret ${namespace}/${name} is no client key (it has no label ${API_KEY_LABEL}): it is left alone`,
      );
    const { uid } = found.metadata;
    must(await client.delete(SECRETS, { namespace, name }, uid === undefined ? {} : { uid }));
  });
  io.stderr.write(`Client key ${namespace}/${name} is revoked: every gateway pod refuses it within seconds.\n`);
  return ExitCode.Ok;
}

/** Refuses to replace a key that is there: whoever holds it would be locked out. */
export async function createInCluster(io: Io, flags: ClusterFlags, secret: KubeObject): Promise<void> {
  await withCluster(io, flags, async (client) => {
    const created = await client.create(SECRETS, secret);
    if (!created.ok && created.error.kind === 'already_exists')
      throw new CommandFailed(
        `Secret ${secret.metadata.namespace ?? ''}/${secret.metadata.name} exists already: choose another --name, or revoke it first`,
      );
    must(created);
  });
}

/** What is told of a labelled Secret, which counts as a gateway would count it. */
export function keyRow({ metadata, ...secret }: KubeObject, wallMs: number): KeyRow {
  const field = (name: string): string =>
    Buffer.from(textOf(member(secret['data'], name)), 'base64')
      .toString('utf8')
      .trim();
  const expires = field('expires');
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    models: field('models') || 'all',
    expires: expires || 'never',
    tenant: field('tenant') || (metadata.namespace ?? ''),
    state: stateOf({ metadata, ...secret }, wallMs),
    created: metadata.creationTimestamp ?? '',
  };
}

function stateOf({ metadata: { namespace, name }, data }: KubeObject, wallMs: number): KeyRow['state'] {
  const read = parseObject({ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, data: data ?? {} });
  const expiry = read.ok && read.value.kind === 'Secret' ? clientKeyExpiry(read.value) : 'Malformed';
  if (expiry === 'Malformed') return 'Malformed';
  return expiry.expiresAtMs !== null && expiry.expiresAtMs <= wallMs ? 'Expired' : 'Valid';
}

const HEADS = ['NAMESPACE', 'NAME', 'TENANT', 'MODELS', 'EXPIRES', 'STATE', 'CREATED'] as const;

function print(io: Io, rows: readonly KeyRow[]): void {
  const style = styleFor(io.stdout, io.env);
  const table = rows.map(({ namespace, name, tenant, models, expires, state, created }) =>
    [namespace, name, tenant, models, expires, state, created].map(printable),
  );
  const widths = HEADS.map((head, at) => Math.max(head.length, ...table.map((cells) => cells[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => column(cell, widths[at] ?? 0))
      .join('  ')
      .trimEnd();
  io.stdout.write(`${style.bold(line(HEADS))}\n`);
  for (const [index, cells] of table.entries())
    io.stdout.write(`${rows[index]?.state === 'Valid' ? line(cells) : style.yellow(line(cells))}\n`);
}
