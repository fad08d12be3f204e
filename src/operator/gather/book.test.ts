import { describe, expect, it } from '@jest/globals';

import type { LLMRoute } from '../../api/v1alpha1/llmroute.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { ObjectBook } from './book.ts';

const SPEC = {
  modelNames: ['chat'],
  models: [{ name: 'main', provider: { type: 'OpenAI' }, auth: { type: 'None' } }],
  rules: [{ name: 'default', targets: [{ model: 'main' }] }],
};

function route(over: { spec?: unknown; metadata?: Partial<KubeObject['metadata']>; status?: unknown } = {}): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: 'team-a', uid: 'u1', resourceVersion: '1', generation: 1, ...over.metadata },
    spec: over.spec ?? SPEC,
    status: over.status,
  };
}

function book(): ObjectBook<LLMRoute> {
  return new ObjectBook<LLMRoute>('LLMRoute', { metadata: 'OwnAnnotations', keepLastGood: true });
}

describe('ObjectBook', () => {
  it('gives the very same object and list while only status and foreign metadata change', () => {
    const routes = book();
    expect(routes.put(route())).toBe(true);
    const list = routes.list();
    const annotations = { 'Not.Ours/of-any shape': 'x' };
    expect(
      routes.put(route({ status: { whatever: ['a newer operator wrote'] }, metadata: { resourceVersion: '2', annotations } })),
    ).toBe(false);
    expect(routes.list()).toBe(list);
    expect(routes.get('team-a/chat')).toMatchObject({ resourceVersion: '2', status: { whatever: ['a newer operator wrote'] } });
  });

  it('sees a spec that differs under the same generation, as after a restore of etcd', () => {
    const routes = book();
    routes.put(route());
    expect(routes.put(route({ spec: { ...SPEC, modelNames: ['other'] } }))).toBe(true);
    expect(routes.list()[0]?.spec.modelNames).toEqual(['other']);
  });

  it('keeps the last good version of what it cannot read, and says which', () => {
    const routes = book();
    routes.put(route());
    expect(routes.put(route({ spec: { ...SPEC, novelty: true }, metadata: { generation: 2, resourceVersion: '2' } }))).toBe(true);
    expect(routes.list()[0]?.metadata.generation).toBe(1);
    expect(routes.get('team-a/chat')?.refused).toMatchObject({
      generation: 2,
      keptGeneration: 1,
      issues: [{ path: 'spec.novelty' }],
    });
    routes.put(route({ metadata: { generation: 3 } }));
    expect(routes.get('team-a/chat')?.refused).toBeNull();
  });

  it('has nothing to serve for what was never valid, nor for a successor of the same name', () => {
    const routes = book();
    routes.put(route({ spec: { novelty: true } }));
    expect(routes.list()).toEqual([]);
    expect(routes.get('team-a/chat')?.refused?.keptGeneration).toBeNull();
    routes.put(route({ metadata: { generation: 2 } }));
    routes.put(route({ spec: { novelty: true }, metadata: { uid: 'u2' } }));
    expect(routes.list()).toEqual([]);
  });

  it('keeps the last good version of what it fails on, says so without repeating what was thrown, and tries again', () => {
    const failing = (generation: number): KubeObject =>
      Object.defineProperty(route({ metadata: { generation } }), 'spec', {
        enumerable: true,
        get: () => {
          throw new Error('planted: sk-secret');
        },
      });
    const routes = book();
    expect(routes.put(failing(1))).toBe(true);
    expect(routes.list()).toEqual([]);
    routes.put(route({ metadata: { generation: 2 } }));
    expect(routes.put(failing(3))).toBe(true);
    expect(routes.list()[0]?.metadata.generation).toBe(2);
    const refused = routes.get('team-a/chat')?.refused;
    expect(refused).toMatchObject({ reason: 'ParseFailed', generation: 3, keptGeneration: 2, fault: expect.any(Error) });
    expect(JSON.stringify(refused?.issues)).not.toContain('sk-secret');
    routes.put(route({ metadata: { generation: 3 } }));
    expect(routes.get('team-a/chat')).toMatchObject({ refused: null, object: { metadata: { generation: 3 } } });
  });

  it('forgets what is removed', () => {
    const routes = book();
    routes.put(route());
    expect(routes.accept('team-a/chat', null)).toBe(true);
    expect(routes.accept('team-a/chat', null)).toBe(false);
    expect(routes.list()).toEqual([]);
  });
});
