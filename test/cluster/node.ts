/** The node of a cluster: container runtime, kubelet, Services and DNS, as programs in the cluster's network namespace. */
import { execFile } from 'node:child_process';
import { mkdirSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { commandLine, KUBELET_CLIENT, type ControlPlane } from '../controlplane/control-plane.ts';
import { Program } from '../controlplane/program.ts';
import { writeTar } from '../image/tar.ts';
import { cniFolder } from './host.ts';
import { cgroupHierarchies, type Place } from './place.ts';

export const NODE_NAME = 'node1';
export const PAUSE_IMAGE = 'fairlead.test/pause:1';
const READY_MS = 120_000;
const PROXY_HEALTH_PORT = 10256;
const OVERLAYFS_MAGIC = 0x794c7630;
const execute = promisify(execFile);

export interface NodeOptions {
  readonly place: Place;
  readonly plane: ControlPlane;
  readonly binaries: { readonly node: string; readonly pause: string };
  readonly detached: boolean;
}

export interface ClusterNode {
  readonly programs: { readonly containerd: Program; readonly kubelet: Program; readonly proxy: Program; readonly dns: Program };
  readonly scheduler: Program;
  /** Takes an archive as `docker save` writes it. */
  importImage(file: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startNode(options: NodeOptions): Promise<ClusterNode> {
  const { place, plane, binaries, detached } = options;
  const { folder, network } = place;
  const program = (name: string, argv: readonly [string, ...string[]]): Program =>
    new Program({ name, argv: commandLine(network, argv), log: join(folder, `${name}.log`), detached });
  const own = (name: string, ...flags: string[]): Program => program(name, [binaries.node, name, ...flags]);

  writeConfigurations(place);
  writeFileSync(join(folder, 'Corefile'), corefile(place, plane.kubeconfigFor('dns', plane.userToken('system:coredns'))));
  const kubeconfig = (name: string, user: Parameters<ControlPlane['userToken']>[0]): string =>
    `--kubeconfig=${plane.kubeconfigFor(name, plane.userToken(user))}`;
  const socket = join(folder, 'containerd/socket');
  const containerd = program('containerd', ['containerd', '--config', join(folder, 'containerd.toml')]);
  const scheduler = own(
    'kube-scheduler',
    kubeconfig('scheduler', 'system:kube-scheduler'),
    '--leader-elect=false',
    '--secure-port=0',
  );
  const dns = own('coredns', '-conf', join(folder, 'Corefile'));
  const kubelet = own(
    'kubelet',
    kubeconfig('kubelet', 'system:node:node1'),
    `--config=${join(folder, 'kubelet.json')}`,
    `--root-dir=${join(folder, 'kubelet')}`,
    `--cert-dir=${join(folder, 'kubelet/pki')}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${network.address}`,
  );
  writeProxyConfiguration(place, plane.kubeconfigFor('proxy', plane.userToken('system:kube-proxy')));
  const proxy = own('kube-proxy', `--config=${join(folder, 'proxy.json')}`);
  const running = [kubelet, proxy, dns, scheduler, containerd];
  const ctr = (...argv: string[]): Promise<unknown> => execute('ctr', ['--address', socket, '--namespace', 'k8s.io', ...argv]);
  const importImage = async (file: string): Promise<void> => {
    await ctr('images', 'import', file);
  };
  const stop = async (): Promise<void> => {
    for (const one of running) await one.stop();
  };
  try {
    containerd.start();
    const answers = (): Promise<boolean> =>
      ctr('version').then(
        () => true,
        () => false,
      );
    await containerd.until('ready', answers, READY_MS);
    await importImage(packPause(folder, binaries.pause));
    // Logs and exec go from the API server to the kubelet, which asks the API server whether it may.
    await plane.kubectl([
      'create',
      'clusterrolebinding',
      'kubelet-client',
      '--clusterrole=system:kubelet-api-admin',
      `--user=${KUBELET_CLIENT}`,
    ]);
    for (const one of [dns, kubelet, proxy, scheduler]) one.start();
    await kubelet.until('ready', () => nodeIsReady(plane), READY_MS);
    await proxy.until('ready', () => answers200(`http://${network.address}:${PROXY_HEALTH_PORT}/healthz`), READY_MS);
    if (!dns.running || !scheduler.running) throw new Error(`${dns.logEnd()}${scheduler.logEnd()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { programs: { containerd, kubelet, proxy, dns }, scheduler, importImage, stop };
}

function answers200(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ status }) => status === 200,
    () => false,
  );
}

async function nodeIsReady(plane: ControlPlane): Promise<boolean> {
  const { status, text } = await plane.request('GET', `/api/v1/nodes/${NODE_NAME}`);
  if (status !== 200) return false;
  const node = JSON.parse(text) as { readonly status?: { readonly conditions?: readonly { type: string; status: string }[] } };
  return node.status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') ?? false;
}

/** An image of one file: what holds a pod open. */
function packPause(folder: string, pause: string): string {
  const layer = writeTar(join(folder, 'pause-layer.tar'), [
    { path: 'pause', mode: 0o755, body: { type: 'file', source: pause, sizeBytes: statSync(pause).size } },
  ]);
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Entrypoint: ['/pause'], User: '65535:65535' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${layer.sha256}`] },
    }),
  );
  const manifest = Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: [PAUSE_IMAGE], Layers: ['layer.tar'] }]));
  const file = join(folder, 'pause.tar');
  writeTar(file, [
    { path: 'manifest.json', mode: 0o644, body: { type: 'bytes', bytes: manifest } },
    { path: 'config.json', mode: 0o644, body: { type: 'bytes', bytes: config } },
    {
      path: 'layer.tar',
      mode: 0o644,
      body: { type: 'file', source: join(folder, 'pause-layer.tar'), sizeBytes: layer.sizeBytes },
    },
  ]);
  return file;
}

function writeConfigurations(place: Place): void {
  const { folder, network, podPrefix, cgroup } = place;
  for (const name of ['containerd', 'cni', 'kubelet']) mkdirSync(join(folder, name), { recursive: true });
  for (const hierarchy of cgroupHierarchies()) mkdirSync(join(hierarchy, cgroup), { recursive: true });
  const write = (name: string, value: unknown): void => writeFileSync(join(folder, name), JSON.stringify(value));
  // Names beside the cluster's own; tests add theirs.
  writeFileSync(join(folder, 'hosts'), '');
  writeFileSync(join(folder, 'containerd.toml'), containerdConfiguration(folder));
  write('cni/pods.conflist', {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        // No bridge: over one, a Service's answer would go from pod to pod past what knows the way back, if the kernel lets it.
        type: 'ptp',
        ipMasq: true,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: `${podPrefix}.0/24` }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: join(folder, 'cni/addresses'),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
  write('kubelet.json', {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(folder, 'pki/ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: cgroup,
    enforceNodeAllocatable: ['pods'],
    failSwapOn: false,
    clusterDomain: 'cluster.local',
    clusterDNS: [network.address],
    containerRuntimeEndpoint: `unix://${join(folder, 'containerd/socket')}`,
    // Images come from files and nobody could fetch them again; a machine whose disk is nearly full runs tests all the same.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    localStorageCapacityIsolation: false,
    oomScoreAdj: 0,
    syncFrequency: '5s',
    shutdownGracePeriod: '0s',
  });
}

function writeProxyConfiguration({ folder, network, podPrefix }: Place, kubeconfig: string): void {
  const configuration = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig },
    mode: 'iptables',
    clusterCIDR: `${podPrefix}.0/24`,
    hostnameOverride: NODE_NAME,
    healthzBindAddress: `${network.address}:${PROXY_HEALTH_PORT}`,
    // Belongs to the machine, not to this namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    iptables: { minSyncPeriod: '100ms', syncPeriod: '10s' },
  };
  writeFileSync(join(folder, 'proxy.json'), JSON.stringify(configuration));
}

function containerdConfiguration(folder: string): string {
  // One overlay on another is refused by the kernel: in a container the files are copied.
  const snapshotter = statfsSync(folder).type === OVERLAYFS_MAGIC ? 'native' : 'overlayfs';
  return `version = 2
root = "${folder}/containerd/root"
state = "${folder}/containerd/state"
[grpc]
  address = "${folder}/containerd/socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniFolder()}"
    conf_dir = "${folder}/cni"
`;
}

function corefile({ folder, network }: Place, kubeconfig: string): string {
  return `.:53 {
  bind ${network.address}
  errors
  hosts ${folder}/hosts {
    reload 500ms
    fallthrough
  }
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    ttl 2
  }
  cache 2
}
`;
}
