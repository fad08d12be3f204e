/** What a machine must have for pods to run on it: root, Linux, a container runtime. Packages of Debian are installed where they are missing. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { whyNoBinary } from '../controlplane/binaries.ts';

/** Program or file → Debian's package that has it. */
const PACKAGES: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  conntrack: 'conntrack',
  ip: 'iproute2',
  nsenter: 'util-linux',
  socat: 'socat',
};
const CNI_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin'];

/** In one line; undefined where a cluster can be had. */
export function whyNoCluster(): string | undefined {
  if (process.platform !== 'linux') return 'pods run on Linux only';
  if (process.getuid?.() !== 0) return 'pods need root: run as root, e.g. in a virtual machine or a privileged container';
  const isolated = spawnSync('unshare', ['--net', '--mount', 'true'], { encoding: 'utf8' });
  if (isolated.status !== 0) return `no network namespaces here: ${isolated.error?.message ?? isolated.stderr.trim()}`;
  const missing = missingPackages();
  if (missing.length > 0 && !onPath('apt-get')) return `${missing.join(', ')} missing: install with your package manager`;
  return whyNoBinary('api') ?? whyNoBinary('node') ?? whyNoBinary('helm');
}

/** Does nothing where all is there. */
export function installPackages(): void {
  const missing = missingPackages();
  if (missing.length === 0) return;
  process.stderr.write(`installing ${missing.join(', ')} with apt-get\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...argv: string[]): string => {
    const run = spawnSync('apt-get', ['-q', '-y', ...argv], { encoding: 'utf8', env });
    return run.status === 0 ? '' : (run.error?.message ?? run.stderr.trim());
  };
  // The lists of a fresh machine are empty, those of an old one are stale: both show as a failed install.
  const install = ['install', '--no-install-recommends', ...missing];
  if (apt(...install) === '') return;
  const failure = apt('update') || apt(...install);
  if (failure !== '') throw new Error(`${missing.join(', ')} could not be installed: ${failure}`);
}

/** The folder with the plugins that give pods their network. */
export function cniFolder(): string {
  const found = CNI_FOLDERS.find((folder) => existsSync(`${folder}/ptp`));
  if (found === undefined) throw new Error(`no CNI plugins in ${CNI_FOLDERS.join(' or ')}`);
  return found;
}

function missingPackages(): string[] {
  const programs = Object.entries(PACKAGES).flatMap(([program, name]) => (onPath(program) ? [] : [name]));
  const plugins = CNI_FOLDERS.some((folder) => existsSync(`${folder}/ptp`)) ? [] : ['containernetworking-plugins'];
  return [...new Set([...programs, ...plugins])];
}

function onPath(program: string): boolean {
  return ['/usr/sbin', '/sbin', ...(process.env['PATH'] ?? '').split(':')].some((folder) => existsSync(`${folder}/${program}`));
}
