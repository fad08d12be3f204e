/**
 * What a cluster takes of the machine: a network namespace, three ranges of addresses, a control group, a folder. Each running
 * cluster has a number of its own, from which all of these follow; what a run that was killed has left is removed by the next.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { hasCode } from '../controlplane/cache.ts';
import type { Network } from '../controlplane/control-plane.ts';

const CLAIMS = '/run/fairlead-test';
const MOST = 32;

export interface Place {
  readonly number: number;
  readonly folder: string;
  readonly network: Network;
  readonly podPrefix: string;
  /** The control group that everything in pods is in, from the root of each hierarchy. */
  readonly cgroup: string;
}

interface Claim {
  /** Of the process whose end is the cluster's end; null: it runs until somebody takes it down. */
  readonly owner: number | null;
  /** Who asked for it: `make cluster-down` takes down those of its own checkout. */
  readonly checkout: string;
}

const claimFile = (number: number): string => join(CLAIMS, String(number), 'claim.json');

/** `lasting`: it outlives this process. */
export function takePlace(checkout: string, lasting: boolean): Place {
  mkdirSync(CLAIMS, { recursive: true });
  for (const number of claimed()) if (isAbandoned(number)) leavePlace(placeOf(number));
  for (let number = 1; number <= MOST; number++) {
    if (!claim(number, { owner: lasting ? null : process.pid, checkout })) continue;
    const place = placeOf(number);
    try {
      mkdirSync(place.folder, { recursive: true });
      makeNetwork(place);
      return place;
    } catch (error) {
      leavePlace(place);
      throw error;
    }
  }
  throw new Error(`${MOST} clusters run on this machine already: make cluster-down, or remove ${CLAIMS}`);
}

/** The lasting clusters of a checkout. */
export function lastingPlaces(checkout: string): Place[] {
  return claimed()
    .filter((number) => {
      const held = readClaim(number);
      return held?.owner === null && held.checkout === checkout;
    })
    .map(placeOf);
}

function placeOf(number: number): Place {
  const namespace = `fairlead-${number}`;
  return {
    number,
    folder: join(tmpdir(), namespace),
    network: {
      address: `10.214.${number}.1`,
      // `ip netns exec` would hide the control groups.
      enter: ['nsenter', `--net=/run/netns/${namespace}`],
      servicePrefix: `10.215.${number}`,
    },
    podPrefix: `10.213.${number}`,
    cgroup: `/${namespace}`,
  };
}

function claimed(): number[] {
  return existsSync(CLAIMS) ? readdirSync(CLAIMS).map(Number).filter(Number.isInteger) : [];
}

/** Making a folder is what only one of many can do. */
function claim(number: number, content: Claim): boolean {
  try {
    mkdirSync(join(CLAIMS, String(number)));
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
  writeFileSync(claimFile(number), JSON.stringify(content));
  return true;
}

function readClaim(number: number): Claim | undefined {
  // Between the folder and the file another run is just claiming it.
  return existsSync(claimFile(number)) ? (JSON.parse(readFileSync(claimFile(number), 'utf8')) as Claim) : undefined;
}

function isAbandoned(number: number): boolean {
  const held = readClaim(number);
  return held !== undefined && held.owner !== null && !existsSync(`/proc/${held.owner}`);
}

function makeNetwork({ number, network, podPrefix }: Place): void {
  const namespace = `fairlead-${number}`;
  const outside = `fl${number}-host`;
  const inside = (...argv: string[]): void => run(...network.enter, 'ip', ...argv);
  run('ip', 'netns', 'add', namespace);
  inside('link', 'set', 'lo', 'up');
  run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', 'node0', 'netns', namespace);
  run('ip', 'addr', 'add', `10.214.${number}.254/24`, 'dev', outside);
  run('ip', 'link', 'set', outside, 'up');
  inside('addr', 'add', `${network.address}/24`, 'dev', 'node0');
  inside('link', 'set', 'node0', 'up');
  inside('route', 'add', 'default', 'via', `10.214.${number}.254`);
  // Tests reach pods and Services from outside.
  for (const prefix of [podPrefix, network.servicePrefix]) run('ip', 'route', 'add', `${prefix}.0/24`, 'via', network.address);
  run(...network.enter, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
}

/** Ends what still runs in the pods, and gives everything back. Its programs have ended before, or are killed here. */
export function leavePlace(place: Place): void {
  const { number, folder } = place;
  const namespaces = podNamespaces(folder);
  for (const pid of processesOf(folder, place.cgroup)) kill(pid);
  for (const mount of mountsBelow(folder)) spawnSync('umount', ['--lazy', mount]);
  for (const namespace of [...namespaces, `fairlead-${number}`]) spawnSync('ip', ['netns', 'delete', namespace]);
  spawnSync('ip', ['link', 'delete', `fl${number}-host`]);
  rmSync(folder, { recursive: true, force: true });
  for (const hierarchy of cgroupHierarchies()) removeCgroup(join(hierarchy, place.cgroup));
  rmSync(join(CLAIMS, String(number)), { recursive: true, force: true });
}

/** Of a pod's network: containerd has written it down for the runtime. */
function podNamespaces(folder: string): string[] {
  const tasks = join(folder, 'containerd/state/io.containerd.runtime.v2.task/k8s.io');
  if (!existsSync(tasks)) return [];
  const found = readdirSync(tasks).flatMap((task) => {
    const file = join(tasks, task, 'config.json');
    return existsSync(file) ? (/"\/(?:var\/)?run\/netns\/(cni-[^"]+)"/.exec(readFileSync(file, 'utf8'))?.[1] ?? []) : [];
  });
  return [...new Set(found)];
}

/** Programs and shims name the folder; what runs in pods is in the control group. */
function processesOf(folder: string, cgroup: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .filter((pid) => {
      try {
        const named = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${folder}/`);
        return named || readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`:${cgroup}/`);
      } catch (error) {
        // It has ended meanwhile.
        if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return false;
        throw error;
      }
    });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/** The innermost first. */
function mountsBelow(folder: string): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
    .reverse();
}

export function cgroupHierarchies(): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.filter((line) => / cgroup2? /.test(line)).map((line) => line.split(' ')[1] ?? '');
}

function removeCgroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  try {
    rmdirSync(path);
  } catch (error) {
    // A process that was killed just now is not gone yet: an empty group that stays does no harm.
    if (!hasCode(error, 'EBUSY')) throw error;
  }
}

function run(command = '', ...argv: readonly string[]): void {
  const done = spawnSync(command, argv, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${command} ${argv.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
}
