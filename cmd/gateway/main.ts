#!/usr/bin/env -S node --max-semi-space-size=8
// The data plane of a pod. Everything it is told comes by its environment (src/lib/pod.ts) and from the operator.
import '../../src/lib/fast-strings.ts';
import { VERSION } from '../../src/cli/version.ts';
import { GatewayPod } from '../../src/gateway/pod.ts';
import { optimizeEarly } from '../../src/lib/optimize-early.ts';
import { readPodEnvironment } from '../../src/gateway/pod-environment.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { proxyFromEnvironment } from '../../src/upstream/connections.ts';

optimizeEarly();
const environment = readPodEnvironment(process.env);
if (!environment.ok) {
  process.stderr.write(`${environment.error}\n`);
  process.exit(2);
}

const log = createLog({
  level: 'info',
  clock: systemClock,
  fd: 1,
  onDropped: (lines) => pod.gateway.metrics.logDropped.add(lines),
  onError: () => pod.gateway.metrics.logErrors.add(1),
});

function fatal(error: unknown): never {
  log.logger.fatal({ err: error }, 'the gateway cannot serve');
  log.flushSync();
  process.exit(1);
}

const pod = new GatewayPod({
  ...environment.value,
  version: VERSION,
  clock: systemClock,
  random: Math.random,
  log,
  proxy: proxyFromEnvironment(process.env),
  onFatal: fatal,
});

let stopping = false;
function stop(): void {
  // A second signal does not wait for what is under way.
  if (stopping) process.exit(1);
  stopping = true;
  pod.stop().then(() => process.exit(0), fatal);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

try {
  const { adminPort } = await pod.start();
  log.logger.info({ version: VERSION, adminPort, operator: environment.value.url.href }, 'gateway started');
} catch (error) {
  fatal(error);
}
