import { expect, it } from '@jest/globals';
import fc from 'fast-check';

import { installCrds } from '../controlplane/crds.ts';
import { describeWithControlPlane } from '../controlplane/describe.ts';
import { mutatedObjects } from './mutate.ts';
import { opinions, verdictDifferences } from './verdict.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1_000);

describeWithControlPlane(
  'an API server and our parser',
  (plane) => {
    it('take and refuse the same of objects that somebody got wrong, and give the same defaults', async () => {
      await installCrds(plane());
      const counts = { taken: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(mutatedObjects, async (object) => {
          const both = await opinions(plane(), object);
          if (both === undefined) throw new Error('a fixture of an unknown kind');
          counts[both.server.accepted ? 'taken' : 'refused']++;
          expect(verdictDifferences(both)).toEqual([]);
        }),
        { numRuns: RUNS },
      );
      expect(Math.min(counts.taken, counts.refused)).toBeGreaterThan(RUNS / 20);
    });
  },
  { controllers: false, apiServerFlags: ['--disable-admission-plugins=NamespaceLifecycle,ServiceAccount'] },
);
