/** Kubernetes' own programs, built from their Go modules: there is no container engine, and no download but Go's module proxy. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { artifactPath, hashOf, madeOnce, type Artifact } from './cache.ts';

const SOURCES = join(import.meta.dirname, 'go');
const HELM = { module: 'helm.sh/helm/v3', version: 'v3.19.5' };

/**
 * api: etcd, kube-apiserver, kube-controller-manager and kubectl; newest: a kube-apiserver of the newest Kubernetes; node:
 * scheduler, kubelet, kube-proxy, CoreDNS; pause: what holds a pod open; helm: the client.
 */
export type BinaryName = 'api' | 'newest' | 'node' | 'pause' | 'helm';

/** What is built from `go/`: the module's folder and the command's below it. */
const COMMANDS = {
  api: { module: 'kubernetes', folder: 'api' },
  node: { module: 'kubernetes', folder: 'node' },
  newest: { module: 'newest', folder: '.' },
} as const;

/** Why a binary cannot be had here, in one line; undefined where it is there or can be built. */
export function whyNoBinary(name: BinaryName): string | undefined {
  if (existsSync(artifactPath(artifact(name))) || goProgram() !== undefined) return undefined;
  return `${name} is built from Go modules, and Go is missing: install it (https://go.dev/dl, 1.24 or newer)`;
}

/** The path of a binary; builds it where no run on this machine has: minutes, told on stderr. */
export function binary(name: BinaryName): Promise<string> {
  return madeOnce(artifact(name));
}

/** Kubernetes' version that a binary is of, e.g. `1.34.4`. */
export function kubernetesVersion(name: keyof typeof COMMANDS): string {
  const text = readFileSync(join(SOURCES, COMMANDS[name].module, 'go.mod'), 'utf8');
  const version = /\bk8s\.io\/kubernetes v([0-9.]+)$/m.exec(text)?.[1];
  if (version === undefined)
    throw new Error(`test/controlplane/go/${COMMANDS[name].module}/go.mod requires no k8s.io/kubernetes`);
  return version;
}

function artifact(name: BinaryName): Artifact {
  if (name === 'helm') {
    const key = hashOf(SOURCES, [], [HELM.module, HELM.version]);
    return { name, key, make: (target) => told(`helm ${HELM.version}`, () => installHelm(target)) };
  }
  if (name === 'pause') {
    const argv = ['build', '-trimpath', '-ldflags', '-s -w'];
    // It is alone in its image: without a C library.
    const make = (target: string): Promise<void> => go([...argv, '-o', target, '.'], join(SOURCES, name), { CGO_ENABLED: '0' });
    return { name, key: hashOf(SOURCES, [`${name}/*`], argv), make };
  }
  const { module, folder } = COMMANDS[name];
  const version = kubernetesVersion(name);
  const patterns = ['component/**', `${module}/go.{mod,sum}`, `${module}/${folder === '.' ? '*' : `${folder}/**`}`];
  const [major, minor] = version.split('.');
  const stamp = Object.entries({ gitVersion: `v${version}`, gitMajor: major, gitMinor: minor })
    .map(([variable, value]) => `-X k8s.io/component-base/version.${variable}=${value}`)
    .join(' ');
  const argv = ['build', '-trimpath', '-ldflags', `-s -w ${stamp}`];
  return {
    name,
    key: hashOf(SOURCES, patterns, argv),
    make: (target) =>
      told(`Kubernetes ${version} (${name})`, () => go([...argv, '-o', target, `./${folder}`], join(SOURCES, module))),
  };
}

/** `go install` decides the file's name itself. */
async function installHelm(target: string): Promise<void> {
  const folder = `${target}.bin`;
  mkdirSync(folder, { recursive: true });
  try {
    await go(['install', '-trimpath', '-ldflags', '-s -w', `${HELM.module}/cmd/helm@${HELM.version}`], SOURCES, {
      GOBIN: folder,
    });
    renameSync(join(folder, 'helm'), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function told(what: string, build: () => Promise<void>): Promise<void> {
  const startedMs = performance.now();
  process.stderr.write(`building ${what} from Go modules, once for this machine: up to ten minutes\n`);
  await build();
  process.stderr.write(`built ${what} in ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
}

async function go(argv: readonly string[], cwd: string, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const program = goProgram();
  if (program === undefined) throw new Error('Go is missing: install it (https://go.dev/dl, 1.24 or newer)');
  const env = { ...process.env, GOFLAGS: '-buildvcs=false', GOWORK: 'off', ...more };
  const child = spawn(program, argv, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-20_000)));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const errors = said.split('\n').filter((line) => !line.startsWith('go: downloading '));
  if (code !== 0) throw new Error(`go ${argv.join(' ')} ended with ${code}:\n${errors.join('\n').trim()}`);
}

let found: string | undefined | null = null;

function goProgram(): string | undefined {
  if (found === null) {
    found = ['go', '/usr/local/go/bin/go'].find((candidate) => {
      const run = spawnSync(candidate, ['version'], { encoding: 'utf8' });
      // Older ones cannot fetch the toolchain that a module asks for.
      return run.status === 0 && Number(/go1\.(\d+)/.exec(run.stdout)?.[1] ?? 0) >= 21;
    });
  }
  return found;
}
