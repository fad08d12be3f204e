/** A release on a cluster that somebody else made; on ours, as if it were another's, `operations.test.ts` tries the same. */
import { it } from '@jest/globals';

import { judge, tryRelease } from './given.ts';

const LIMIT_MS = 10 * 60_000;
/** `make test-cluster KUBECONFIG=…` sets it; `make test` never touches a cluster that it did not make. */
const GIVEN = process.env['FAIRLEAD_TEST_KUBECONFIG'] ?? '';
const IMAGE = process.env['FAIRLEAD_IMAGE'] ?? 'fairlead:dev';

if (GIVEN === '') {
  it("absent: a release on another's cluster: make test-cluster KUBECONFIG=… FAIRLEAD_IMAGE=… tries one", () => undefined);
} else {
  it(
    `a release of ${IMAGE} comes and goes on the cluster of ${GIVEN}`,
    async () => {
      judge(await tryRelease(GIVEN, IMAGE));
    },
    LIMIT_MS,
  );
}
