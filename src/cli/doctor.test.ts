import { describe, expect, it } from '@jest/globals';
import { faultsOf } from './doctor.ts';

const route = (generation: number, status: string): Parameters<typeof faultsOf>[0][number] => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'LLMRoute',
  metadata: { namespace: 'team', name: 'chat', generation },
  status: { conditions: [{ type: 'Programmed', status, reason: 'Why', message: 'because', observedGeneration: 1 }] },
});

describe('what doctor says of objects', () => {
  it.each([
    [1, 'True', 'ok', /^1 served by every ready pod/],
    [2, 'True', 'warning', /^LLMRoute team\/chat: the operator has not judged its newest version yet \(Programmed\)$/],
    [2, 'False', 'problem', /^LLMRoute team\/chat: Programmed is False, Why: because$/],
  ])('of generation %d, judged at 1 as %s: %s', (generation, status, state, message) => {
    expect(faultsOf([route(generation, status)])).toEqual([
      expect.objectContaining({ state, message: expect.stringMatching(message) }),
    ]);
  });
});
