/** `fairlead key create`: a new client key, told once, and the Secret that lets a gateway know it. */
import { parseObject } from '../api/parse.ts';
import { parseYamlDocuments } from '../api/yaml.ts';
import { parseTimestampMs } from '../compile/timestamp.ts';
import { createKey, keySecretYaml } from '../auth/new-key.ts';
import { formatIssue } from '../lib/issue.ts';
import type { KubeObject } from '../kube/objects.ts';
import { createInCluster } from './cluster-keys.ts';
import type { ClusterFlags } from './cluster.ts';
import { ExitCode, type Io, UsageError } from './io.ts';
import { type DataFormat, printData } from './output.ts';
import { styleFor } from './style.ts';

export interface KeyOptions {
  readonly name: string;
  readonly namespace: string;
  readonly tenant: string | null;
  readonly models: string | null;
  readonly expires: string | null;
  readonly output: DataFormat | null;
  /** Where the Secret is made; null: it is printed. */
  readonly cluster: ClusterFlags | null;
}

const KEY_BYTES = 32;
const MODEL_NAME = /^[!-)+-~]*[!-~]$/;

/** stdout gets the Secret and nothing else, so that it can go through a pipe; the key is told on stderr, once. */
export async function createClientKey(io: Io, options: KeyOptions): Promise<ExitCode> {
  const { name, namespace, tenant, models, expires, output, cluster } = options;
  const names = models === null ? null : modelList(models);
  if (expires !== null) checkExpires(expires, io.clock.wallMs());
  if (tenant !== null && !/^[!-~]{1,253}$/.test(tenant))
    throw new UsageError('--tenant takes a name of up to 253 visible ASCII characters');
  const { key, sha256 } = createKey(io.randomBytes(KEY_BYTES));
  const yaml = keySecretYaml({
    name,
    namespace,
    sha256,
    ...(tenant === null ? {} : { tenant }),
    ...(names === null ? {} : { models: names }),
    ...(expires === null ? {} : { expires }),
  });
  const [document] = parseYamlDocuments(yaml, 'the Secret').documents;
  const parsed = parseObject(document?.value);
  if (!parsed.ok) throw new UsageError(parsed.error.map(formatIssue).join('; '));
  if (cluster !== null) await createInCluster(io, cluster, document?.value as KubeObject);
  else if (output === 'json') printData(io, 'json', document?.value);
  else io.stdout.write(yaml);
  const style = styleFor(io.stderr, io.env);
  io.stderr.write(
    `\n${style.bold('The client key, shown this once')} (the Secret holds only its hash):\n\n  ${style.green(key)}\n\n`,
  );
  if (tenant !== null)
    io.stderr.write(
      `${style.dim("The tenant counts where the Secret is in the gateway's namespace; elsewhere the namespace is the tenant.")}\n`,
    );
  return ExitCode.Ok;
}

function modelList(text: string): readonly string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (names.length === 0 || !names.every((name) => MODEL_NAME.test(name))) {
    throw new UsageError('--models takes names, exact or with one trailing *, separated by commas: --models chat,gpt-4o*');
  }
  return names;
}

function checkExpires(text: string, nowMs: number): void {
  // As a gateway reads it: `Date` takes a 31st of February for a day in March.
  const atMs = parseTimestampMs(text);
  if (atMs === null) throw new UsageError(`--expires ${JSON.stringify(text)} is not a time like 2027-01-31T00:00:00Z`);
  if (atMs <= nowMs) throw new UsageError(`--expires ${text} is in the past`);
}
