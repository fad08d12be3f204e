/**
 * How long a gateway takes from the start of its process to `/readyz` 200 by the snapshot, no operator being there:
 * `node test/bench/cold-start.ts [ROUTES…]` (default 500 5000). Prints one line of JSON for each number. Target: 500 in 1,000 ms.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { compile } from '../../src/compile/compile.ts';
import { fleet, FLEET_OPTIONS } from '../../src/compile/testdata/fleet.ts';
import { GATEWAY_ENV } from '../../src/lib/pod.ts';
import { planAuthority } from '../../src/operator/delivery/authority.ts';
import { packPart, sharesOf, snapshotFile } from '../../src/routetable/snapshot-pack.ts';
import { freePort } from './processes.ts';

const STARTS = 7;
const POLL_MS = 2;
const GIVE_UP_MS = 30_000;
const MAIN = join(import.meta.dirname, '..', '..', 'dist/cmd/gateway/main.js');

/** What a pod would have mounted. Returns the sum of the parts' sizes. */
async function writePod(folder: string, routes: number): Promise<number> {
  const [table] = compile(fleet(routes), FLEET_OPTIONS).tables.values();
  if (table === undefined) throw new Error('the fleet has no gateway');
  mkdirSync(join(folder, 'snapshot'));
  let bytes = 0;
  for (const share of sharesOf(table)) {
    const packed = await packPart(share, { epoch: 1, sequence: 1 }, Date.now());
    bytes += packed.bytes.length;
    writeFileSync(join(folder, 'snapshot', snapshotFile(share.part)), packed.bytes);
  }
  writeFileSync(join(folder, 'ca.crt'), planAuthority(null, null, Date.now()).bundlePem);
  writeFileSync(join(folder, 'token'), 'none');
  return bytes;
}

async function startOnce(folder: string): Promise<number> {
  const [port, adminPort, nobody] = [await freePort(), await freePort(), await freePort()];
  const startMs = performance.now();
  const child = spawn(process.execPath, ['--max-semi-space-size=8', MAIN], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      [GATEWAY_ENV.operatorUrl]: `https://localhost:${nobody}`,
      [GATEWAY_ENV.caFile]: join(folder, 'ca.crt'),
      [GATEWAY_ENV.tokenFile]: join(folder, 'token'),
      [GATEWAY_ENV.snapshotDir]: join(folder, 'snapshot'),
      [GATEWAY_ENV.port]: String(port),
      [GATEWAY_ENV.adminPort]: String(adminPort),
    },
  });
  try {
    while (performance.now() - startMs < GIVE_UP_MS) {
      const status = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
        (answer) => answer.status,
        () => 0,
      );
      if (status === 200) return performance.now() - startMs;
      await sleep(POLL_MS);
    }
    throw new Error('the gateway did not become ready');
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

const sizes = process.argv.slice(2).map(Number);
for (const routes of sizes.length > 0 ? sizes : [500, 5_000]) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-cold-start-'));
  try {
    const snapshotKiB = Math.round((await writePod(folder, routes)) / 1_024);
    const times: number[] = [];
    for (let start = 0; start < STARTS; start++) times.push(Math.round(await startOnce(folder)));
    times.sort((a, b) => a - b);
    console.log(JSON.stringify({ routes, snapshotKiB, medianMs: times[STARTS >> 1], maxMs: times.at(-1) }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
