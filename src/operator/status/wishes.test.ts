import { describe, expect, it } from '@jest/globals';

import { type ApiObject, parseObject } from '../../api/parse.ts';
import { compile, createCompileMemo } from '../../compile/compile.ts';
import { snapshotOf } from '../../compile/snapshot.ts';
import { CERTIFICATE_PEM, PRIVATE_KEY_PEM } from '../../compile/testdata/certificate.ts';
import { issue } from '../../lib/issue.ts';
import type { Entry } from '../gather/book.ts';
import type { OwnObject } from '../gather/gather.ts';
import { Wishes, type WishSources } from './wishes.ts';

function wishesFor(entry: Entry<OwnObject>, over: Partial<WishSources> = {}): Wishes {
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
  return new Wishes({ ...nothing, entry: () => entry, ...over });
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

  it('tells of a route that pods serve though the certificate of its LLMGateway is gone', () => {
    const object = (value: unknown): ApiObject => {
      const parsed = parseObject(value);
      if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
      return parsed.value;
    };
    const gateway = object({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMGateway',
      metadata: { name: 'g', namespace: 'n', annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
      spec: { listener: { tls: { secretRef: { name: 'tls' } } } },
    });
    const route = object({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMRoute',
      metadata: { name: 'chat', namespace: 'n', generation: 1 },
      spec: {
        modelNames: ['chat'],
        models: [{ name: 'm', provider: { type: 'OpenAI' }, auth: { type: 'None' } }],
        rules: [{ name: 'default', targets: [{ model: 'm' }] }],
      },
    });
    const data = { 'tls.crt': CERTIFICATE_PEM, 'tls.key': PRIVATE_KEY_PEM };
    const certificate = object({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tls', namespace: 'n' }, stringData: data });
    const memo = createCompileMemo();
    const options = { resolveService: 'Cluster', loopbackAllowed: false } as const;
    compile(snapshotOf([gateway, certificate]), options, memo);
    const compiled = compile(snapshotOf([gateway, route]), options, memo);
    if (route.kind !== 'LLMRoute') throw new Error(route.kind);
    const seen = {
      id: 'n/chat',
      uid: 'u',
      resourceVersion: '1',
      generation: 1,
      status: undefined,
      fingerprint: '',
      refused: null,
    };
    const wishes = wishesFor(
      { ...seen, object: route },
      {
        compiled: () => compiled,
        evidence: {
          progress: () => ({ readyPods: 2, programmedPods: 2, rejected: [] }),
          quota: () => [],
          outage: () => null,
          limitStore: () => null,
        },
      },
    );
    const { desired } = wishes.of('LLMRoute', 'n/chat', { resourceVersion: '1', status: undefined }) ?? {};
    expect(desired?.conditions.find(({ type }) => type === 'Programmed')).toMatchObject({ status: 'True' });
  });
});
