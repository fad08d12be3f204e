import { describe, expect, it } from '@jest/globals';

import { issue } from '../../lib/issue.ts';
import type { Entry } from '../gather/book.ts';
import { Wishes, type WishSources } from './wishes.ts';

function wishesFor(entry: Entry<never>): Wishes {
  const nothing: Omit<WishSources, 'entry'> = {
    compiled: () => null,
    missing: () => [],
    isRun: () => true,
    gatewayNamespaces: ['fairlead-system'],
    evidence: {
      progress: () => ({ readyPods: 0, programmedPods: 0, rejected: [] }),
      quota: () => [],
      outage: () => null,
      limitStore: () => null,
    },
    counts: () => ({ ready: 0, current: 0 }),
    refusedSettings: () => [],
    rendered: () => null,
    leftOut: () => [],
    settled: () => true,
  };
  return new Wishes({ ...nothing, entry: () => entry });
}

describe('Wishes', () => {
  it('tells of an object that could not be read at all, what failed and what is served meanwhile', () => {
    const entry: Entry<never> = {
      id: 'team-a/chat',
      uid: 'u',
      resourceVersion: '7',
      generation: 4,
      status: undefined,
      object: null,
      fingerprint: '',
      refused: {
        reason: 'ParseFailed',
        issues: [issue('', 'ParseFailed', 'this operator failed to read it')],
        fault: new Error('sk-secret'),
        generation: 4,
        keptGeneration: 3,
      },
    };
    const wish = wishesFor(entry).of('LLMRoute', 'team-a/chat', { resourceVersion: '7', status: undefined });
    expect(wish?.stage).toBe('decided');
    expect(wish?.desired.observedGeneration).toBe(4);
    expect(wish?.desired.conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`)).toEqual([
      'Accepted=False ParseFailed',
      'Programmed=False Pending',
      'Ready=False NotAccepted',
    ]);
    expect(wish?.desired.conditions[0]?.message).toBe(
      'this operator failed to read it; generation 3, the last valid one, is served on',
    );
  });
});
