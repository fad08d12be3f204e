/**
 * A real Kubernetes API server with its datastore and controllers, on loopback, without root: what tests take for a cluster
 * where no pod has to run. Each call starts one of its own, in about four seconds; any number run side by side.
 */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makeAuthority } from '../features/support/certificates.ts';
import { binary } from './binaries.ts';
import { freePorts } from './ports.ts';
import { Program } from './program.ts';

/** `oldest` is the oldest Kubernetes that we support; `newest` the newest one that builds. */
export type KubernetesRelease = 'oldest' | 'newest';

export interface ControlPlaneOptions {
  readonly release?: KubernetesRelease;
  /** True: etcd waits for the disk as in production; for measurements. */
  readonly fsync?: boolean;
  /** False: no kube-controller-manager, so no namespace is emptied and no owner's objects are collected. */
  readonly controllers?: boolean;
  readonly apiServerFlags?: readonly string[];
  readonly controllerFlags?: readonly string[];
  /** Where it listens and is spoken to; default: loopback, in the network of this process. */
  readonly network?: Network;
  /** Where its data, keys, logs and kubeconfigs go; default: a temporary folder, gone after `stop()`. */
  readonly folder?: string;
  /** True: it outlives this process, and nothing is removed. For `make cluster-up`. */
  readonly detached?: boolean;
}

/** A network namespace with an address of its own in it, where all ports are free. */
export interface Network {
  readonly address: string;
  /** What runs a program in it: the beginning of a command line. */
  readonly enter: readonly string[];
  /** Addresses of Services: the first three numbers of a /24. */
  readonly servicePrefix: string;
}

/** User → groups. The token of each is `tokens[user]`; what `admin` may not do nobody may. */
const USERS = {
  admin: 'system:masters',
  'system:kube-controller-manager': '',
  'system:kube-scheduler': '',
  'system:kube-proxy': '',
  'system:node:node1': 'system:nodes',
  'system:coredns': 'system:masters',
} as const;
export type User = keyof typeof USERS;

export interface ControlPlane {
  /** https://127.0.0.1:port */
  readonly url: string;
  /** Of the certificate authority that the API server's certificate is from. */
  readonly caPem: string;
  readonly token: string;
  /** The administrator's; a path. */
  readonly kubeconfig: string;
  readonly folder: string;
  /** `kill()`, `signal('SIGSTOP')`, `start()` … for faults; its data is in `folder/etcd`. */
  readonly etcd: Program;
  readonly apiServer: Program;
  /** Not started where `controllers` is false. */
  readonly controllers: Program;
  /** A kubeconfig for somebody else, e.g. with the token of `kubectl create token`. Returns its path. */
  kubeconfigFor(name: string, token: string): string;
  userToken(user: User): string;
  /** Runs kubectl as administrator; what it prints. Fails with what it said where its exit code is not 0. */
  kubectl(argv: readonly string[], input?: string): Promise<string>;
  /** The same, and what it prints on stderr. */
  kubectlSaid(argv: readonly string[], input?: string): Promise<Said>;
  /** Resolves once the API server says that it is ready, e.g. after `apiServer.start()`. */
  ready(): Promise<void>;
  /** Asks the API server; the body as text. */
  request(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  stop(): Promise<void>;
}

/** What a program printed. */
export interface Said {
  readonly out: string;
  readonly errors: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

const READY_MS = 120_000;
const LOOPBACK: Network = { address: '127.0.0.1', enter: [], servicePrefix: '10.96.0' };
const WELL_KNOWN_PORTS = [6443, 2379, 2380];

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { release = 'oldest' } = options;
  const api = await binary('api');
  const programs = { api, apiServer: release === 'newest' ? await binary('newest') : api };
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(options, programs);
    } catch (error) {
      // Between looking for a free port and taking it somebody else took it.
      if (attempt === 3 || !(error instanceof Error && /address already in use/.test(error.message))) throw error;
    }
  }
}

async function start(
  options: ControlPlaneOptions,
  programs: { readonly api: string; readonly apiServer: string },
): Promise<ControlPlane> {
  const { network = LOOPBACK, detached = false, controllers: withControllers = true } = options;
  const { address } = network;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'fairlead-control-plane-'));
  const [apiPort, etcdPort, peerPort] = network === LOOPBACK ? await freePorts(3) : WELL_KNOWN_PORTS;
  const url = `https://${address}:${apiPort}`;
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const { pki, caPem, tokens } = writeCredentials(folder, network);
  const kubeconfigFor = (name: string, token: string): string => {
    const path = join(folder, `${name.replaceAll(/[^a-z0-9-]/g, '-')}.kubeconfig`);
    writeFileSync(path, JSON.stringify(kubeconfigOf(url, caPem, token)), { mode: 0o600 });
    return path;
  };
  const program = (name: string, path: string, flags: readonly string[]): Program =>
    new Program({ name, argv: commandLine(network, [path, name, ...flags]), log: join(folder, `${name}.log`), detached });

  const etcd = program('etcd', programs.api, [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--log-level=warn',
    ...(options.fsync === true ? [] : ['--unsafe-no-fsync']),
  ]);
  const apiServer = program('kube-apiserver', programs.apiServer, [
    `--etcd-servers=${etcdUrl}`,
    `--secure-port=${apiPort}`,
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    // It refuses to be an endpoint of its own Service on loopback; without pods nobody looks.
    ...(network === LOOPBACK ? ['--endpoint-reconciler-type=none'] : []),
    `--tls-cert-file=${pki}/api-server.crt`,
    `--tls-private-key-file=${pki}/api-server.key`,
    `--client-ca-file=${pki}/ca.crt`,
    `--token-auth-file=${pki}/tokens.csv`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${pki}/service-account.key`,
    `--service-account-signing-key-file=${pki}/service-account.key`,
    `--service-cluster-ip-range=${network.servicePrefix}.0/24`,
    '--allow-privileged=true',
    `--kubelet-client-certificate=${pki}/kubelet-client.crt`,
    `--kubelet-client-key=${pki}/kubelet-client.key`,
    '--kubelet-preferred-address-types=InternalIP',
    '--authorization-mode=Node,RBAC',
    ...(options.apiServerFlags ?? []),
  ]);
  const controllers = program('kube-controller-manager', programs.api, [
    `--kubeconfig=${kubeconfigFor('controller-manager', tokens['system:kube-controller-manager'])}`,
    `--root-ca-file=${pki}/ca.crt`,
    `--service-account-private-key-file=${pki}/service-account.key`,
    '--use-service-account-credentials=true',
    '--leader-elect=false',
    '--secure-port=0',
    ...(options.controllerFlags ?? []),
  ]);
  const running = [controllers, apiServer, etcd];
  const kubeconfig = kubeconfigFor('admin', tokens.admin);
  const request = (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiAnswer> => ask({ url, caPem, token: tokens.admin }, method, path, body, headers);
  const stop = async (): Promise<void> => {
    for (const one of running) await one.stop();
    if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
  };
  const isReady = (): Promise<boolean> =>
    request('GET', '/readyz').then(
      ({ status }) => status === 200,
      () => false,
    );
  const ready = (): Promise<void> => apiServer.until('ready', isReady, READY_MS);
  try {
    etcd.start();
    apiServer.start();
    await ready();
    if (withControllers) controllers.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    caPem,
    token: tokens.admin,
    kubeconfig,
    folder,
    etcd,
    apiServer,
    controllers,
    kubeconfigFor,
    userToken: (user) => tokens[user],
    kubectl: async (argv, input) => (await runKubectl(programs.api, kubeconfig, argv, input)).out,
    kubectlSaid: (argv, input) => runKubectl(programs.api, kubeconfig, argv, input),
    ready,
    request,
    stop,
  };
}

export function commandLine({ enter }: Network, argv: readonly [string, ...string[]]): [string, ...string[]] {
  const [first, ...rest] = [...enter, ...argv];
  return [first ?? argv[0], ...rest];
}

function writeCredentials(
  folder: string,
  { address, servicePrefix }: Network,
): { pki: string; caPem: string; tokens: Record<User, string> } {
  const pki = join(folder, 'pki');
  mkdirSync(pki, { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(pki, name), text, { mode: 0o600 });
  const authority = makeAuthority('test');
  const server = authority.issue([
    'localhost',
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    '127.0.0.1',
    // The Service `kubernetes`.
    `${servicePrefix}.1`,
    address,
  ]);
  const kubeletClient = authority.issue([KUBELET_CLIENT]);
  write('ca.crt', authority.certificatePem);
  write('api-server.crt', server.certificatePem);
  write('api-server.key', server.privateKeyPem);
  write('kubelet-client.crt', kubeletClient.certificatePem);
  write('kubelet-client.key', kubeletClient.privateKeyPem);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  write('service-account.key', String(privateKey.export({ type: 'sec1', format: 'pem' })));
  const names = Object.keys(USERS) as User[];
  // Of its own for each control plane: a request that strays to another one is refused.
  const tokens = Object.fromEntries(names.map((name) => [name, randomBytes(16).toString('hex')])) as Record<User, string>;
  write('tokens.csv', names.map((name, index) => `${tokens[name]},${name},${index},${USERS[name]}\n`).join(''));
  return { pki, caPem: authority.certificatePem, tokens };
}

/** What the API server is called by a kubelet that it asks for logs. */
export const KUBELET_CLIENT = 'kube-apiserver-kubelet-client';

function kubeconfigOf(server: string, caPem: string, token: string): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64') } }],
    users: [{ name: 'user', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  };
}

interface Access {
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
}

function ask(
  access: Access,
  method: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Promise<ApiAnswer> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = https.request(new URL(path, access.url), {
      method,
      ca: access.caPem,
      agent: false,
      headers: {
        authorization: `Bearer ${access.token}`,
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    });
    request.once('error', reject).once('response', (response) => {
      const parts: Buffer[] = [];
      response
        .on('data', (part: Buffer) => parts.push(part))
        .once('error', reject)
        .once('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }));
    });
    request.end(text);
  });
}

/** With a cache of its own: what kubectl knows of one API server's kinds is wrong for the next one on the same port. */
export async function runKubectl(
  api: string,
  kubeconfig: string,
  argv: readonly string[],
  input = '',
  cache = `${kubeconfig}.cache`,
): Promise<Said> {
  const child = spawn(api, ['kubectl', `--kubeconfig=${kubeconfig}`, `--cache-dir=${cache}`, ...argv], {
    stdio: 'pipe',
    env: { ...process.env, KUBECONFIG: '', KUBECTL_KUBERC: 'false' },
  });
  const said = { out: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.errors += text));
  child.stdin.on('error', () => undefined).end(input);
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`kubectl ${argv.join(' ')} ended with ${code}: ${said.errors}${said.out}`);
  return said;
}
