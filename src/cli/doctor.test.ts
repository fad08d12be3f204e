import { describe, expect, it } from '@jest/globals';
import { faultsOf, keyFindings } from './doctor.ts';

const route = (generation: number, status: string): Parameters<typeof faultsOf>[0][number] => ({
  apiVersion: 'fairlead.dev/v1alpha1',
  kind: 'LLMRoute',
  metadata: { namespace: 'team', name: 'chat', generation },
  status: { conditions: [{ type: 'Programmed', status, reason: 'Why', message: 'because', observedGeneration: 1 }] },
});

describe('what doctor says of client keys', () => {
  const key = (name: string, values: Readonly<Record<string, string>>): Parameters<typeof keyFindings>[0][number] => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'team', name },
    data: Object.fromEntries(Object.entries(values).map(([field, value]) => [field, Buffer.from(value).toString('base64')])),
  });
  const sha256 = 'a'.repeat(64);

  it('is which of them open nothing, and why', () => {
    const keys = [
      key('good', { sha256 }),
      key('late', { sha256, expires: '2026-12-31T23:59:59Z' }),
      key('odd', { sha256, expires: '2028-01-01' }),
    ];
    expect(keyFindings(keys, Date.UTC(2027, 0, 1)).map(({ state, message }) => `${state} ${message}`)).toEqual([
      'ok 3 keys',
      'warning team/late has expired',
      expect.stringMatching(/^warning team\/odd cannot be read/),
    ]);
  });
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
