/** Redis as it is run where one process is not enough: a master with a replica and its sentinels, and a Cluster. All real processes. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../controlplane/ports.ts';
import { eventually } from './pods.ts';
import { RedisProcess } from './redis-process.ts';

/** A replica has all from the start, not five seconds later. */
export const REPLICATES_AT_ONCE = ['--repl-diskless-sync-delay', '0'];
const SENTINELS = 3;
const MASTERS = 3;
const SLOTS = 16_384;
/** Of a Cluster's nodes and of sentinels: who is silent for so long is down. */
const DOWN_AFTER_MS = 700;
/** Until a test kills one: on a busy machine a node is silent for longer, and none is to be taken for dead that is not. */
const PATIENT_MS = 60_000;

export class SentinelGroup {
  static readonly masterName = 'main';
  readonly master: RedisProcess;
  readonly replica: RedisProcess;
  readonly sentinels: readonly RedisProcess[];
  readonly #directory: string;

  private constructor(master: RedisProcess, replica: RedisProcess, sentinels: readonly RedisProcess[], directory: string) {
    this.master = master;
    this.replica = replica;
    this.sentinels = sentinels;
    this.#directory = directory;
  }

  static async start(): Promise<SentinelGroup> {
    const master = await RedisProcess.start(...REPLICATES_AT_ONCE);
    const replica = await RedisProcess.start(...REPLICATES_AT_ONCE, '--replicaof', `127.0.0.1 ${master.port}`);
    await eventually(async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'));
    const directory = await mkdtemp(join(tmpdir(), 'sentinels-'));
    const name = SentinelGroup.masterName;
    const sentinels = await Promise.all(
      Array.from({ length: SENTINELS }, async (_, i) => {
        const file = join(directory, `${i}.conf`);
        await writeFile(
          file,
          [
            `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
            `sentinel down-after-milliseconds ${name} ${PATIENT_MS}`,
            `sentinel failover-timeout ${name} 3000`,
            '',
          ].join('\n'),
        );
        return RedisProcess.sentinel(file);
      }),
    );
    await Promise.all(
      sentinels.map(async (sentinel) =>
        eventually(async () => {
          // Else they look for replicas and for each other every ten seconds.
          await sentinel.command('SENTINEL', 'DEBUG', 'INFO-PERIOD', '300', 'PUBLISH-PERIOD', '300');
          const info = await sentinel.command('INFO', 'sentinel');
          return info.includes(`slaves=1,sentinels=${SENTINELS}`);
        }),
      ),
    );
    return new SentinelGroup(master, replica, sentinels, directory);
  }

  get nodes(): { readonly host: string; readonly port: number }[] {
    return this.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  async killMaster(): Promise<void> {
    await this.master.kill();
    for (const sentinel of this.sentinels) {
      const { masterName } = SentinelGroup;
      await sentinel.command('SENTINEL', 'SET', masterName, 'down-after-milliseconds', String(DOWN_AFTER_MS));
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.master, this.replica, ...this.sentinels].map(async (each) => each.kill()));
    await rm(this.#directory, { recursive: true });
  }
}

export class ClusterGroup {
  /** Each with a third of the slots. */
  readonly masters: readonly RedisProcess[];
  /** By index of its master. */
  readonly replicas: readonly RedisProcess[];
  readonly #directory: string;

  private constructor(masters: readonly RedisProcess[], replicas: readonly RedisProcess[], directory: string) {
    this.masters = masters;
    this.replicas = replicas;
    this.#directory = directory;
  }

  static async start(): Promise<ClusterGroup> {
    const directory = await mkdtemp(join(tmpdir(), 'cluster-'));
    const node = async (_: unknown, i: number): Promise<RedisProcess> =>
      RedisProcess.start(...REPLICATES_AT_ONCE, ...(await clusterNode(directory, String(i))));
    const all = await Promise.all(Array.from({ length: 2 * MASTERS }, node));
    const masters = all.slice(0, MASTERS);
    const replicas = all.slice(MASTERS);
    const [first] = masters;
    if (first === undefined) throw new Error('a cluster has a master');
    for (const [i, each] of all.entries()) await each.command('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
    for (const [i, master] of masters.entries()) {
      const from = Math.floor((i * SLOTS) / MASTERS);
      const to = Math.floor(((i + 1) * SLOTS) / MASTERS) - 1;
      await master.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
    }
    for (const { port, busPort } of all.slice(1)) {
      await first.command('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort));
    }
    await everywhere(all, `cluster_known_nodes:${all.length}`);
    for (const [i, replica] of replicas.entries()) {
      const id = (await masters[i]?.command('CLUSTER', 'MYID'))?.split('\r\n')[1] ?? '';
      await eventually(async () => (await replica.command('CLUSTER', 'REPLICATE', id)).startsWith('+OK'));
    }
    await everywhere(all, 'cluster_state:ok');
    for (const replica of replicas) {
      await eventually(async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'));
    }
    const group = new ClusterGroup(masters, replicas, directory);
    await group.#silenceIsDeath(PATIENT_MS);
    return group;
  }

  get nodes(): { readonly host: string; readonly port: number }[] {
    return this.masters.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** The first. */
  async killMaster(): Promise<void> {
    await this.masters[0]?.kill();
    await this.#silenceIsDeath(DOWN_AFTER_MS);
  }

  async #silenceIsDeath(afterMs: number): Promise<void> {
    for (const node of [...this.masters, ...this.replicas]) {
      if (node.alive) await node.command('CONFIG', 'SET', 'cluster-node-timeout', String(afterMs));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.masters, ...this.replicas].map(async (each) => each.kill()));
    await rm(this.#directory, { recursive: true });
  }
}

/** Options of a node; `directory` is where it keeps what it knows of the others. */
export async function clusterNode(directory: string, name: string): Promise<string[]> {
  return [
    ...['--cluster-enabled', 'yes', '--cluster-config-file', join(directory, `nodes-${name}.conf`)],
    ...['--cluster-port', String(await freePort()), '--cluster-node-timeout', String(DOWN_AFTER_MS)],
    ...['--cluster-replica-validity-factor', '0'],
  ];
}

async function everywhere(nodes: readonly RedisProcess[], line: string): Promise<void> {
  for (const node of nodes) await eventually(async () => (await node.command('CLUSTER', 'INFO')).includes(line));
}
