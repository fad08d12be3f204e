import { expect, it } from '@jest/globals';

import type { ListWatchOptions } from '../kube/contract.ts';
import type { KubeObject } from '../kube/objects.ts';
import { Fleet, type KubePod } from './fleet.ts';
import type { StartWatch } from './gather/secrets.ts';

const NAMESPACE = 'fairlead-system';

function pod(name: string, gateway: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { 'fairlead.dev/gateway': gateway } },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

it('counts a pod that was given to another gateway there and no longer here', () => {
  const changed: string[] = [];
  const watches: ListWatchOptions<KubePod>[] = [];
  const watch = (options: ListWatchOptions<KubePod>): unknown => watches.push(options);
  const fleet = new Fleet({
    watch: watch as unknown as StartWatch,
    server: { pods: () => [], progress: () => ({ readyPods: 0, programmedPods: 0, rejected: [] }), configSequence: () => 0 },
    namespaces: [NAMESPACE],
    onChange: (id) => changed.push(id.slice(NAMESPACE.length + 1)),
    onRead: () => {},
    isThere: () => true,
    onError: (error) => {
      throw error;
    },
  });
  const tell = (name: string, object: KubeObject | null): void =>
    watches[0]?.onChange?.(`${NAMESPACE}/${name}`, object === null ? null : watches[0].parse(object));
  const ready = (gateway: string): readonly string[] => [...fleet.readyPods(`${NAMESPACE}/${gateway}`)];

  tell('a', pod('a', 'one'));
  tell('b', pod('b', 'one'));
  tell('a', pod('a', 'two'));
  expect([ready('one'), ready('two')]).toEqual([['b'], ['a']]);
  tell('a', null);
  expect([ready('one'), ready('two')]).toEqual([['b'], []]);
  expect(changed).toEqual(['one', 'one', 'one', 'two', 'two']);
});
