#!/usr/bin/env -S node --max-semi-space-size=8
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { VERSION } from '../../src/cli/version.ts';
import { connectKube } from '../../src/kube/api-client.ts';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import { systemTimers } from '../../src/lib/timers.ts';
import { readConfig } from '../../src/operator/config.ts';
import { Operator } from '../../src/operator/operator.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { OperatorMetrics } from '../../src/telemetry/operator-metrics.ts';

// Of what thousands of routes are compiled to nearly all lives long: a heap that may double before it is looked through only costs memory.
setFlagsFromString('--heap-growing-percent=25');
// V8 goes by the clock whether to compact: where CPU is scarce it never would, and edits leave a heap of twice what is in it.
setFlagsFromString('--optimize-for-size');
const STDOUT = 1;
const config = readConfig(process.env);
if (!config.ok) {
  process.stderr.write(`${config.error}\n`);
  process.exit(2);
}
const metrics = new OperatorMetrics();
const log = createLog({
  level: config.value.logLevel,
  clock: systemTimers,
  fd: STDOUT,
  onDropped: (lines) => metrics.logDropped.add(lines),
  onError: () => metrics.logErrors.add(1),
});
// Unique to this process, so that each start is a transition of the Lease.
const name = config.value.pod ?? hostname();
const identity = `${name}_${randomBytes(6).toString('hex')}`;

try {
  const client = connectKube(loadKubeConfig({ env: process.env, clock: systemTimers }), {
    timers: systemTimers,
    reporter: { controller: 'fairlead.dev/operator', instance: name },
  });
  const operator = new Operator({
    config: config.value,
    client,
    timers: systemTimers,
    random: Math.random,
    log: log.logger,
    metrics,
    version: VERSION,
    identity,
  });
  const { adminPort } = await operator.start();
  log.logger.info({ version: VERSION, adminPort, identity }, 'the operator has started');
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.logger.info({ signal }, 'the operator ends: it gives the Lease back');
    operator
      .stop()
      .catch((error: unknown) => log.logger.error({ err: error }, 'the end was not clean'))
      .finally(() => {
        log.flushSync();
        process.exit(0);
      });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
} catch (error) {
  log.logger.fatal({ err: error }, 'the operator cannot start');
  log.flushSync();
  process.exit(1);
}
