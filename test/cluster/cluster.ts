/** A real Kubernetes with pods on this machine, as root and without a container engine. A node is ready after about ten seconds. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { binary } from '../controlplane/binaries.ts';
import { startControlPlane, type ControlPlane } from '../controlplane/control-plane.ts';
import { installPackages } from './host.ts';
import { startNode, type ClusterNode } from './node.ts';
import { leavePlace, takePlace, type Place } from './place.ts';

export const CHECKOUT = join(import.meta.dirname, '..', '..');

export interface Cluster {
  readonly plane: ControlPlane;
  readonly node: ClusterNode;
  readonly place: Place;
  kubectl(argv: readonly string[], input?: string): Promise<string>;
  /** Runs helm as administrator; fails with what it said where its exit code is not 0. */
  helm(argv: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

/** `lasting`: it runs on when this process ends. */
export async function startCluster({ lasting = false } = {}): Promise<Cluster> {
  installPackages();
  const binaries = { node: await binary('node'), pause: await binary('pause') };
  const helm = await binary('helm');
  await binary('api');
  const place = takePlace(CHECKOUT, lasting);
  let plane: ControlPlane | undefined;
  try {
    plane = await startControlPlane({ network: place.network, folder: place.folder, detached: lasting });
    const node = await startNode({ place, plane, binaries, detached: lasting });
    const running = plane;
    return {
      plane: running,
      node,
      place,
      kubectl: (argv, input) => running.kubectl(argv, input),
      helm: (argv) => runHelm(helm, running.kubeconfig, argv),
      async stop() {
        await node.stop();
        await running.stop();
        leavePlace(place);
      },
    };
  } catch (error) {
    await plane?.stop();
    leavePlace(place);
    throw error;
  }
}

export async function runHelm(helm: string, kubeconfig: string, argv: readonly string[]): Promise<string> {
  const child = spawn(helm, [`--kubeconfig=${kubeconfig}`, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.errors += text));
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`helm ${argv.join(' ')} ended with ${code}: ${said.errors}${said.out}`);
  return said.out;
}
