/**
 * One pod of the history check: a process with the gateway's limiter, a clock of its own that is minutes off, and a file in which
 * it writes down what it admitted and when, before it says so to anybody.
 */
import { writeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../src/lib/clock.ts';
import { FleetLimits } from '../../src/limits/fleet.ts';
import type { Decision } from '../../src/limits/limiter.ts';
import type { Burst, Schedule } from './schedule.ts';
import { Random } from './schedule.ts';

const [port, file, skew] = process.argv.slice(2);
const skewMs = Number(skew);
const log = openSync(file ?? '', 'a');

/** Milliseconds that all processes of this machine share. */
function trueMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const clock: Clock = { nowMs: () => trueMs() + skewMs, wallMs: () => Date.now() + skewMs };
const fleet = new FleetLimits(clock, { stateChanged() {}, warned() {}, commandEnded() {}, decidedAlone() {} });
fleet.apply(
  { namespace: 'check', name: 'history' },
  {
    mode: 'Standalone',
    address: { nodes: [{ host: '127.0.0.1', port: Number(port) }], tls: false, username: null, password: null, db: 0 },
    masterName: null,
    onUnavailable: 'FailClosed',
  },
);

let requests = 0;

async function demand(schedule: Schedule, burst: Burst, index: number): Promise<void> {
  const random = new Random(schedule.number * 1_000 + index);
  await sleep(burst.atMs);
  const under: Promise<void>[] = [];
  for (let i = 0; i < burst.requests; i++) {
    const tokens = random.whole(1, 300);
    under.push(request(schedule, tokens, random.whole(0, tokens), random.whole(0, 200), random.next() < 0.1));
    if (burst.gapMs > 0) await sleep(burst.gapMs);
  }
  await Promise.all(under);
}

async function request(schedule: Schedule, tokens: number, used: number, holdMs: number, unused: boolean): Promise<void> {
  const id = `${process.pid}-${++requests}`;
  const before = trueMs();
  const decision: Decision = await fleet.limiter.reserve({
    routeId: `check/schedule-${schedule.number}`,
    limits: schedule.limits,
    apiKeyId: 'key',
    tenant: 'tenant',
    model: 'model',
    header: () => undefined,
    tokens,
  });
  if (!decision.ok) {
    writeSync(log, `R ${schedule.number} ${id} ${decision.reason}\n`);
    return;
  }
  writeSync(log, `A ${schedule.number} ${id} ${before} ${trueMs()} ${tokens}\n`);
  decision.onRevoked(() => {
    writeSync(log, `E ${schedule.number} ${id} ${trueMs()} ${used}\n`);
    decision.settle(used);
  });
  await sleep(holdMs);
  // First written, so that nobody can have the place before it is known to be free.
  if (unused) {
    writeSync(log, `U ${schedule.number} ${id} ${trueMs()} 0\n`);
    decision.release();
  } else {
    writeSync(log, `E ${schedule.number} ${id} ${trueMs()} ${used}\n`);
    decision.settle(used);
  }
}

process.on('message', (message: { readonly schedule: Schedule; readonly pod: number; readonly startMs: number }) => {
  const { schedule, pod } = message;
  const wait = message.startMs - Date.now();
  const mine = schedule.bursts.flatMap((burst, index) =>
    burst.pod === pod && burst.atMs + wait > 0 ? [demand(schedule, { ...burst, atMs: burst.atMs + wait }, index)] : [],
  );
  Promise.all(mine).then(
    () => process.send?.({ done: schedule.number }),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.send?.({ ready: true });
