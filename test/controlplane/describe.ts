import { afterAll, beforeAll, describe, it } from '@jest/globals';

import { whyNoBinary } from './binaries.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions, type KubernetesRelease } from './control-plane.ts';

/** Covers a build from nothing, which `make test` does before. */
const START_LIMIT_MS = 40 * 60_000;

/**
 * Tests on a real API server of their own, which is there before the first and gone after the last; `plane()` inside of a test or
 * hook. Where the machine has nothing to build one with, one test says what is absent.
 */
export function describeWithControlPlane(
  title: string,
  tests: (plane: () => ControlPlane) => void,
  options: ControlPlaneOptions = {},
): void {
  const why = whyNoBinary('api') ?? (options.release === 'newest' ? whyNoBinary('newest') : undefined);
  describe(`${title}`, () => {
    if (why !== undefined) {
      it(`absent: ${title}: ${why}`, () => undefined);
      return;
    }
    let running: ControlPlane | undefined;
    beforeAll(async () => {
      running = await startControlPlane(options);
    }, START_LIMIT_MS);
    afterAll(async () => {
      await running?.stop();
    });
    tests(() => {
      if (running === undefined) throw new Error('the control plane did not start');
      return running;
    });
  });
}

const RELEASES: readonly KubernetesRelease[] = ['oldest', 'newest'];

/** The same tests on the oldest release of Kubernetes that we serve and on the newest there is. */
export function describeOnEveryRelease(title: string, tests: (plane: () => ControlPlane) => void): void {
  for (const release of RELEASES) describeWithControlPlane(`${title} (${release})`, tests, { release });
}
