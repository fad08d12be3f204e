/** An operator's half of the delivery and gateway pods, in this process, over real TLS and real files. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { GatewayPod, type PodOptions } from '../../../src/gateway/pod.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { type AuthorityState, issueServing, planAuthority } from '../../../src/operator/delivery/authority.ts';
import type { PodState, TokenReview } from '../../../src/operator/delivery/delivery.ts';
import { HttpsTableServer } from '../../../src/operator/delivery/table-server.ts';
import { packPart, sharesOf, snapshotFile } from '../../../src/routetable/snapshot-pack.ts';
import { GATEWAY } from '../../../src/routetable/testdata/tables.ts';
import type { TableOrder } from '../../../src/routetable/stream-messages.ts';
import type { RouteTable } from '../../../src/routetable/types.ts';
import type { Log } from '../../../src/telemetry/log.ts';
import { freePort } from '../../controlplane/ports.ts';
import { onCleanUp } from './clean-up.ts';
import { seededRandom } from './gateway.ts';

export const GATEWAY_ID = `${GATEWAY.namespace}/${GATEWAY.name}`;
/** Short, and still so long that a loaded machine does not miss three of them: that is silence to a pod. */
const HEARTBEAT_MS = 1_000;

/** Files and addresses that pods have, however many operators come and go behind them. */
export class Site {
  readonly directory: string;
  readonly authority: AuthorityState;
  /** What a token says; a pod's is its name unless a test writes another. */
  readonly tokens = new Map<string, TokenReview>();
  port = 0;

  private constructor(directory: string, authority: AuthorityState) {
    this.directory = directory;
    this.authority = authority;
  }

  static async create(): Promise<Site> {
    const directory = await mkdtemp(join(tmpdir(), 'delivery-'));
    onCleanUp(() => rm(directory, { recursive: true }));
    const { state, bundlePem } = planAuthority(null, null, Date.now());
    const site = new Site(directory, state);
    await site.trust(bundlePem);
    return site;
  }

  async trust(bundlePem: string): Promise<void> {
    await writeFile(join(this.directory, 'ca.crt'), bundlePem);
  }

  /** A replica of the operator. `port`: that of one before it, as a Service keeps its address. */
  async operator(port?: number, authority = this.authority, clock: Clock = systemClock): Promise<Operator> {
    const faults: unknown[] = [];
    const refused: string[] = [];
    const reviews = { count: 0 };
    const server = new HttpsTableServer({
      clock,
      random: seededRandom(2),
      heartbeatMs: HEARTBEAT_MS,
      reviewToken: async (token) => {
        reviews.count++;
        return this.tokens.get(token) ?? { ok: false, reason: 'the token is not known' };
      },
      onFault: (error) => faults.push(error),
      onRefused: (why) => refused.push(why),
    });
    server.useCertificate(issueServing(authority.current, ['localhost'], Date.now()));
    this.port = await server.listen(port ?? (await freePort()), '127.0.0.1');
    let closing: Promise<void> | null = null;
    const close = async (): Promise<void> => (closing ??= server.close());
    onCleanUp(async () => {
      await close();
      if (faults.length > 0) throw new AggregateError(faults, 'the table server had faults of its own');
    });
    return { server, port: this.port, refused, reviews, close };
  }

  async snapshot(table: RouteTable, order: TableOrder, writtenMs = Date.now()): Promise<void> {
    const directory = join(this.directory, 'snapshot');
    await mkdir(directory, { recursive: true });
    for (const share of sharesOf(table)) {
      const { bytes } = await packPart(share, order, writtenMs);
      await writeFile(join(directory, snapshotFile(share.part)), bytes);
    }
  }

  async pod(name: string, options: Partial<PodOptions> & { gateway?: string; token?: string } = {}): Promise<Pod> {
    const token = options.token ?? `token-${name}`;
    const identity = { namespace: GATEWAY.namespace, name, uid: `uid-${name}`, gateway: options.gateway ?? GATEWAY_ID };
    if (options.token === undefined) this.tokens.set(token, { ok: true, pod: identity });
    const tokenFile = join(this.directory, `${name}.token`);
    await writeFile(tokenFile, `${token}\n`);
    const lines: string[] = [];
    const pod = new GatewayPod({
      url: new URL(`https://localhost:${this.port}`),
      caFile: join(this.directory, 'ca.crt'),
      tokenFile,
      snapshotDir: join(this.directory, 'snapshot'),
      version: '0.1.0',
      clock: systemClock,
      random: seededRandom(3),
      log: logTo(lines),
      proxy: null,
      host: '127.0.0.1',
      port: 0,
      adminPort: 0,
      onFatal: (error) => lines.push(String(error)),
      ...options,
      timing: { backoffMs: 5, backoffMaxMs: 50, verifyAfterMs: 0, ...options.timing },
    });
    let stopping: Promise<void> | null = null;
    const stop = async (): Promise<void> => (stopping ??= pod.stop());
    onCleanUp(stop);
    const { adminPort } = await pod.start();
    return { pod, adminPort, tokenFile, lines, stop };
  }
}

export interface Operator {
  readonly server: HttpsTableServer;
  readonly port: number;
  readonly refused: string[];
  readonly reviews: { count: number };
  close(): Promise<void>;
}

export interface Pod {
  readonly pod: GatewayPod;
  readonly adminPort: number;
  readonly tokenFile: string;
  /** Its log. */
  readonly lines: string[];
  stop(): Promise<void>;
}

export function tables(table: RouteTable): ReadonlyMap<string, RouteTable> {
  return new Map([[`${table.gateway.namespace}/${table.gateway.name}`, table]]);
}

export async function readyz({ adminPort }: Pod): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
  return { status: answer.status, text: await answer.text() };
}

/** What the pod serves now: the flavour of each route, by id. */
export function served({ pod }: Pod): Readonly<Record<string, string | null>> {
  const routes = pod.gateway.table?.table.routes ?? [];
  return Object.fromEntries(routes.map(({ id, targets }) => [id, targets[0]?.model ?? null]));
}

/** Looks again and again; a test that waits in vain says what for, shortly before its own timeout ends it. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 100_000;
  while (performance.now() < endMs) {
    if (await holds()) return;
    await sleep(5);
  }
  throw new Error(`in vain: ${what}`);
}

export function podOf({ server }: Operator, name: string): PodState | undefined {
  return server.pods(GATEWAY_ID).find((pod) => pod.name === name);
}

function logTo(lines: string[]): Log {
  const logger = pino({ level: 'trace', base: null }, { write: (line: string) => lines.push(line) });
  return { logger, request: () => {}, flush: async () => {}, flushSync: () => {}, close: async () => {} };
}
