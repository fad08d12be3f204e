/** How fast one pod's word on an upstream is on all others: eight health books over one Redis, in one process. */
import { setTimeout as sleep } from 'node:timers/promises';

import { healthKey, HealthOverRedis } from '../../../src/gateway/health-sharing.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { FleetLimits } from '../../../src/limits/fleet.ts';
import { EJECT_AFTER_CONSECUTIVE, HealthBook } from '../../../src/selection/health.ts';
import { settingsFor } from '../../limits/pods.ts';
import { RedisProcess } from '../../limits/redis-process.ts';

/** From the moment at which one pod ejects an upstream until the last of the others knows. */
export async function health(others: number): Promise<void> {
  const redis = await RedisProcess.start();
  const heardMs: number[] = [];
  const pods = await Promise.all(
    Array.from({ length: others + 1 }, async () => {
      const book = new HealthBook({
        random: Math.random,
        keyOf: healthKey,
        onTransition: ({ told }) => {
          if (told) heardMs.push(performance.now());
        },
      });
      const fleet = new FleetLimits(systemClock, { stateChanged() {}, warned() {}, commandEnded() {}, decidedAlone() {} });
      const sharing = new HealthOverRedis(book, fleet, systemClock, Math.random, () => {});
      fleet.listener = sharing;
      fleet.apply({ namespace: 'bench', name: 'gateway' }, settingsFor(redis.port, 'LocalShare'));
      sharing.follow(true);
      const signals = book.signals({ upstreamId: 'https://llm.example.com/v1#m', credentialId: 'one', model: 'm' });
      return { fleet, sharing, signals };
    }),
  );
  await sleep(1_000);
  const [first] = pods;
  for (let i = 0; i < EJECT_AFTER_CONSECUTIVE; i++) {
    const nowMs = systemClock.nowMs();
    const attempt = first?.signals.started(nowMs) ?? 0;
    first?.signals.failed(attempt, { kind: 'server_error', message: '' }, 'chat', nowMs);
    first?.signals.finished(attempt);
  }
  const ejectedMs = performance.now();
  while (heardMs.length < others) await sleep(1);
  console.log(
    `health: out on all of ${others} other pods ${(Math.max(...heardMs) - ejectedMs).toFixed(1)} ms after the ejection`,
  );
  for (const { fleet, sharing } of pods) {
    sharing.close();
    await fleet.close();
  }
  await redis.kill();
}
