import { afterAll, beforeAll, describe, it } from '@jest/globals';

import { startCluster, type Cluster } from './cluster.ts';
import { whyNoCluster } from './host.ts';

/** Covers a build from nothing, which `make test` does before. */
const START_LIMIT_MS = 40 * 60_000;

/** Tests on a cluster of their own, which is there before the first and gone after the last; `cluster()` inside of a test or hook. */
export function describeWithCluster(title: string, tests: (cluster: () => Cluster) => void): void {
  const why = whyNoCluster();
  describe(`${title}`, () => {
    if (why !== undefined) {
      it(`absent: ${title}: ${why}`, () => undefined);
      return;
    }
    let running: Cluster | undefined;
    beforeAll(async () => {
      running = await startCluster();
    }, START_LIMIT_MS);
    afterAll(async () => {
      await running?.stop();
    });
    tests(() => {
      if (running === undefined) throw new Error('the cluster did not start');
      return running;
    });
  });
}
