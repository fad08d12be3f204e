import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import type { Clock } from '../lib/clock.ts';
import { SecretValue } from '../lib/secret.ts';
import type { Credentials, CredentialSource, KubeAccess } from './access.ts';
import { execPlugin, fixedCredentials, tokenFile } from './credentials.ts';
import { isRecord } from './json.ts';

/** Where the kubelet puts what a pod may know of its API server. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const NO_CLUSTER =
  'no cluster: this is no pod with a service account token, KUBECONFIG is not set and ~/.kube/config does not exist; set KUBECONFIG';

export interface KubeConfigOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Instead of KUBECONFIG. */
  readonly file?: string;
  /** Instead of the file's current-context. */
  readonly context?: string;
  /** Instead of the kubelet's; for tests. */
  readonly serviceAccount?: string;
}

type Fields = Readonly<Record<string, unknown>>;
/** An entry of a kubeconfig with the folder against which its relative paths count. */
interface Entry {
  readonly fields: Fields;
  readonly folder: string;
}
interface Merged {
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
  readonly contexts: ReadonlyMap<string, Entry>;
  readonly currentContext: string;
}

/**
 * The way to the API server, as kubectl finds it: a file that is named, KUBECONFIG (several files are merged, the first to name a thing
 * wins), ~/.kube/config, and, where none of these is there, the pod's service account. Throws an error for people.
 *
 * Ours and not @kubernetes/client-node's, which costs 80 MB of memory and half a second at start, 62 MB in the image and 32 packages.
 */
export function loadKubeConfig(options: KubeConfigOptions): KubeAccess {
  const { env, clock } = options;
  const named = options.file ?? env['KUBECONFIG'];
  if (named !== undefined && named !== '') {
    return readAccess(merge(options.file === undefined ? named.split(delimiter).filter(Boolean) : [named]), options);
  }
  const account = options.serviceAccount ?? SERVICE_ACCOUNT;
  const home = join(env['HOME'] ?? homedir(), '.kube', 'config');
  if (options.context === undefined && env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(join(account, 'token'))) {
    return inCluster(env, account, clock);
  }
  if (existsSync(home)) return readAccess(merge([home]), options);
  throw new Error(NO_CLUSTER);
}

function inCluster(env: KubeConfigOptions['env'], account: string, clock: Clock): KubeAccess {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const namespace = join(account, 'namespace');
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    caPem: readFileSync(join(account, 'ca.crt'), 'utf8'),
    insecureSkipVerify: false,
    credentials: tokenFile(join(account, 'token'), clock),
    namespace: existsSync(namespace) ? readFileSync(namespace, 'utf8').trim() : 'default',
  };
}

function merge(files: readonly string[]): Merged {
  const [clusters, users, contexts] = [new Map<string, Entry>(), new Map<string, Entry>(), new Map<string, Entry>()];
  let currentContext = '';
  // As kubectl: a file of the list that is not there is passed over, but not all of them.
  const present = files.length === 1 ? files : files.filter((file) => existsSync(file));
  if (present.length === 0) throw new Error(`KUBECONFIG: none of ${files.join(', ')} exists`);
  for (const file of present) {
    const config = readFile(file);
    const folder = dirname(file);
    for (const [list, kind, into] of [
      ['clusters', 'cluster', clusters],
      ['users', 'user', users],
      ['contexts', 'context', contexts],
    ] as const) {
      const entries = config[list];
      for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
        if (!isRecord(entry) || typeof entry['name'] !== 'string' || into.has(entry['name'])) continue;
        into.set(entry['name'], { fields: isRecord(entry[kind]) ? entry[kind] : {}, folder });
      }
    }
    if (currentContext === '' && typeof config['current-context'] === 'string') currentContext = config['current-context'];
  }
  return { clusters, users, contexts, currentContext };
}

function readFile(file: string): Fields {
  const config = tryRead(file);
  if (!isRecord(config)) throw new Error(`kubeconfig ${file}: it must be a YAML mapping with clusters, users and contexts`);
  return config;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`kubeconfig ${file}: it cannot be read (${why})`, { cause: error });
  }
}

/** Without the YAML error, which would quote the line: it may be a credential. */
function tryRead(file: string): unknown {
  const text = readText(file);
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function readAccess(merged: Merged, options: KubeConfigOptions): KubeAccess {
  const contextName = options.context ?? merged.currentContext;
  if (contextName === '') throw new Error('kubeconfig: current-context is not set; set it, or name a context');
  const context = find(merged.contexts, contextName, 'context').fields;
  const cluster = find(merged.clusters, text(context['cluster']), 'cluster');
  const userName = text(context['user']);
  const user = userName === '' ? null : find(merged.users, userName, 'user');
  const server = string(cluster, 'server');
  if (server === null || !URL.canParse(server))
    throw new Error(`kubeconfig: cluster.server ${server} of context ${contextName} is no URL`);
  if (string(cluster, 'proxy-url') !== null) {
    throw new Error(
      `kubeconfig: cluster.proxy-url of context ${contextName} is not supported; run where the API server can be reached directly`,
    );
  }
  const ca = pem(cluster, 'certificate-authority');
  const serverName = string(cluster, 'tls-server-name');
  return {
    server: server.replace(/\/+$/, ''),
    ...(ca === null ? {} : { caPem: ca }),
    ...(serverName === null ? {} : { serverName }),
    insecureSkipVerify: cluster.fields['insecure-skip-tls-verify'] === true,
    credentials: user === null ? fixedCredentials({}) : credentialsOf(user, userName, options),
    namespace: typeof context['namespace'] === 'string' && context['namespace'] !== '' ? context['namespace'] : 'default',
  };
}

function credentialsOf(user: Entry, name: string, options: KubeConfigOptions): CredentialSource {
  for (const field of ['auth-provider', 'username', 'as']) {
    if (user.fields[field] === undefined) continue;
    throw new Error(`kubeconfig: user.${field} of ${name} is not supported; use a token, a client certificate or an exec plugin`);
  }
  const certificate = pem(user, 'client-certificate');
  const key = pem(user, 'client-key');
  const own: Credentials =
    certificate === null || key === null ? {} : { certificatePem: certificate, keyPem: new SecretValue(key) };
  const { exec } = user.fields;
  if (isRecord(exec)) {
    const command = text(exec['command']);
    if (command === '') throw new Error(`kubeconfig: user.exec.command of ${name} is empty`);
    const { args, env } = exec;
    return execPlugin(
      {
        apiVersion: text(exec['apiVersion']),
        // A path counts from the file's folder, a bare name from PATH.
        command: command.includes('/') && !isAbsolute(command) ? join(user.folder, command) : command,
        args: Array.isArray(args) ? args.map(text) : [],
        env: Object.fromEntries(
          (Array.isArray(env) ? env.filter(isRecord) : []).map((pair) => [text(pair['name']), text(pair['value'])]),
        ),
      },
      options.clock,
    );
  }
  // kubectl: a token file wins over a token.
  const file = string(user, 'tokenFile');
  if (file !== null) return tokenFile(isAbsolute(file) ? file : join(user.folder, file), options.clock, own);
  const token = string(user, 'token');
  return fixedCredentials(token === null ? own : { ...own, token: new SecretValue(token) });
}

function find(entries: ReadonlyMap<string, Entry>, name: string, kind: string): Entry {
  const entry = entries.get(name);
  if (entry === undefined)
    throw new Error(`kubeconfig: there is no ${kind} "${name}"; there is ${[...entries.keys()].join(', ') || 'none'}`);
  return entry;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function string(entry: Entry, field: string): string | null {
  const value = entry.fields[field];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** `<field>-data` in base64 wins over the file that `<field>` names. */
function pem(entry: Entry, field: string): string | null {
  const data = string(entry, `${field}-data`);
  if (data !== null) return Buffer.from(data, 'base64').toString('utf8');
  const file = string(entry, field);
  if (file === null) return null;
  return readFileSync(isAbsolute(file) ? file : join(entry.folder, file), 'utf8');
}
