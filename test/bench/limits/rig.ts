/** The load, the mock upstream and the built gateway of test/bench, for the benchmarks of limits. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import type { Bench } from '../measure.ts';
import { gatewayUnderTest } from '../peers/gateways.ts';
import { Helper } from '../processes.ts';
import { startServer, type Server } from '../server.ts';
import { CHAT_PATH, ROUTE_MODEL } from '../workload.ts';
import { HOT_KEYS } from './keys.ts';

const BENCH = resolve(import.meta.dirname, '..');

export interface Rig {
  readonly bench: Bench;
  /** The mock upstream itself. */
  readonly direct: Server;
  readonly dir: string;
  close(): Promise<void>;
}

export async function startRig(): Promise<Rig> {
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-bench-limits-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const upstream = await Helper.start(join(BENCH, 'upstream.ts'), 'upstream');
  const load = await Helper.start(join(BENCH, 'load.ts'), 'load');
  const { port } = upstream.hello as { port: number };
  return {
    bench: { load: load.helper, upstream: upstream.helper, progress: (line) => console.error(line) },
    direct: {
      name: 'direct',
      target: { port, path: CHAT_PATH, headers: {}, model: ROUTE_MODEL },
      process: null,
      adminPort: null,
    },
    dir,
    close: async () => {
      await Promise.all([load.helper.stop(), upstream.helper.stop()]);
    },
  };
}

/** `settings`: those of test/bench/gateway. */
export async function startGateway(rig: Rig, name: string, settings: Readonly<Record<string, string>>): Promise<Server> {
  const file = join(BENCH, 'gateway');
  const peer = gatewayUnderTest(file, '', { KEYS: String(HOT_KEYS.length), ...settings });
  return startServer(name, peer, file, { dir: rig.dir, upstreamPort: rig.direct.target.port });
}
