import { describe, expect, it } from '@jest/globals';

import type { KubeObject } from '../../kube/objects.ts';
import { World } from '../testdata/world.ts';
import { Gather } from './gather.ts';

function gathering(over: { secretNamespaces?: readonly string[]; keyNamespaces?: readonly string[] } = {}): {
  world: World;
  gather: Gather;
} {
  const world = new World();
  const gather = new Gather({
    watch: world.watch,
    client: world.client,
    timers: world.timers,
    gatewayNamespaces: ['fairlead-system'],
    secretNamespaces: over.secretNamespaces ?? [],
    keyNamespaces: over.keyNamespaces ?? [],
    onChange: () => world.changes++,
    onSeen: () => {},
    onError: (_, what) => world.errors.push(what),
  });
  return { world, gather };
}

const SETTLED = 100;

function route(generation: number, secret: string, uid = 'u'): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMRoute',
    metadata: { name: 'chat', namespace: 'team-a', uid, generation, resourceVersion: String(generation) },
    spec: {
      modelNames: ['chat'],
      models: [
        { name: 'main', provider: { type: 'OpenAI' }, auth: { type: 'APIKey', apiKey: { secretKeyRef: { name: secret } } } },
      ],
      rules: [{ name: 'default', targets: [{ model: 'main' }] }],
    },
  };
}

function secret(namespace: string, name: string, value: string, over: Partial<KubeObject['metadata']> = {}): KubeObject {
  const data = { 'api-key': Buffer.from(value).toString('base64') };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, resourceVersion: value, ...over }, data };
}

function gateway(namespace: string, label = 'fairlead.dev/api-key'): KubeObject {
  return {
    apiVersion: 'fairlead.dev/v1alpha1',
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace, uid: namespace, generation: 1 },
    spec: { clientAuth: { apiKeySelector: { matchLabels: { [label]: 'true' } } } },
  };
}

describe('Gather', () => {
  it('gives a route only together with what it names, and the one before it meanwhile', async () => {
    const { world, gather } = gathering();
    world.hold(secret('team-a', 'first', 'k1'));
    world.tell(route(1, 'first'));
    expect(gather.snapshot().routes).toEqual([]);
    expect(gather.missing('LLMRoute', 'team-a/chat')).toEqual([{ kind: 'Secret', namespace: 'team-a', name: 'first' }]);
    expect(gather.synced).toBe(false);
    await world.timers.run(SETTLED);
    expect(gather.snapshot().routes).toHaveLength(1);
    expect(gather.snapshot().secrets[0]?.data['api-key']?.reveal()).toBe('k1');
    expect(gather.synced).toBe(true);

    world.fail('Secret/team-a/second', 'unavailable');
    world.tell(route(2, 'second'));
    await world.timers.run(SETTLED);
    expect(gather.snapshot().routes[0]?.metadata.generation).toBe(1);
    world.hold(secret('team-a', 'second', 'k2'));
    await world.timers.run(5_000);
    expect(gather.snapshot().routes[0]?.metadata.generation).toBe(2);
    expect(gather.snapshot().secrets.map(({ metadata }) => metadata.name)).toEqual(['second']);
    gather.stop();
  });

  it('tells of an object that it fails to read, and goes on with all others', () => {
    const { world, gather } = gathering({ secretNamespaces: ['team-a'] });
    const failing = Object.defineProperty(route(1, 'first'), 'spec', {
      enumerable: true,
      get: () => {
        throw new Error('planted');
      },
    });
    world.tell(failing);
    world.tell(gateway('fairlead-system'));
    expect(world.errors).toEqual(['LLMRoute team-a/chat']);
    expect(gather.entry('LLMRoute', 'team-a/chat')?.refused?.reason).toBe('ParseFailed');
    expect(gather.snapshot().gateways).toHaveLength(1);
    expect(gather.snapshot().routes).toEqual([]);
    gather.stop();
  });

  it.each([
    ['client keys', { keyNamespaces: ['team-gone'] }],
    ['Secrets', { secretNamespaces: ['team-gone'] }],
  ])('waits for the %s of a namespace where there is one, and not where it was deleted', (_, over) => {
    const { world, gather } = gathering(over);
    world.unread.add('Secret team-gone');
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-gone', resourceVersion: '1' } };
    world.tell(namespace);
    world.tell(gateway('fairlead-system'));
    expect(gather.synced).toBe(false);
    world.remove('Namespace', 'team-gone');
    expect([gather.synced, gather.snapshot().gateways.length]).toEqual([true, 1]);
    gather.stop();
  });

  it('gives the same lists until something changes', async () => {
    const { world, gather } = gathering();
    world.hold(secret('team-a', 'first', 'k1'));
    world.tell(route(1, 'first'));
    await world.timers.run(SETTLED);
    const before = gather.snapshot();
    await world.timers.run(20_000);
    world.tell({ ...route(1, 'first'), status: { observedGeneration: 1 } });
    const after = gather.snapshot();
    expect(after.routes).toBe(before.routes);
    expect(after.secrets).toBe(before.secrets);
    gather.stop();
  });

  it('tells a Secret that is missing from one that may not be read', async () => {
    const { world, gather } = gathering();
    world.fail('Secret/team-a/first', 'forbidden');
    world.tell(route(1, 'first'));
    await world.timers.run(SETTLED);
    expect(gather.snapshot().forbiddenSecrets).toEqual(['team-a/first']);
    world.fail('Secret/team-a/first', 'not_found');
    await world.timers.run(6_000);
    expect(gather.snapshot().forbiddenSecrets).toEqual([]);
    expect(gather.snapshot().routes).toHaveLength(1);
    gather.stop();
  });

  it('takes a changed Secret within 5 s', async () => {
    const { world, gather } = gathering();
    world.hold(secret('team-a', 'first', 'k1'));
    world.tell(route(1, 'first'));
    await world.timers.run(SETTLED);
    world.hold(secret('team-a', 'first', 'k2'));
    await world.timers.run(5_100);
    expect(gather.snapshot().secrets[0]?.data['api-key']?.reveal()).toBe('k2');
    gather.stop();
  });

  it('follows client keys in the namespaces of gateways and where a value says, by the selector of each gateway', async () => {
    const { world, gather } = gathering({ keyNamespaces: ['team-b'] });
    world.tell(gateway('fairlead-system'));
    expect(gather.synced).toBe(true);
    expect(world.selectors).toEqual(['fairlead-system fairlead.dev/api-key=true', 'team-b fairlead.dev/api-key=true']);
    const labels = { 'fairlead.dev/api-key': 'true' };
    for (const namespace of ['fairlead-system', 'team-a', 'team-b']) world.tell(secret(namespace, 'alice', 'x', { labels }));
    expect(gather.snapshot().secrets.map(({ metadata }) => metadata.namespace)).toEqual(['fairlead-system', 'team-b']);

    world.tell({ ...gateway('fairlead-system', 'other'), metadata: { ...gateway('fairlead-system').metadata, generation: 2 } });
    gather.snapshot();
    gather.snapshot();
    expect(world.selectors).toEqual(['fairlead-system other=true', 'team-b other=true']);
    gather.stop();
  });

  it('makes no client key of a Secret only because a route names it', async () => {
    const { world, gather } = gathering();
    world.hold(secret('team-a', 'first', 'k1', { labels: { 'fairlead.dev/api-key': 'true' } }));
    world.tell(route(1, 'first'));
    await world.timers.run(SETTLED);
    expect(gather.snapshot().secrets.map(({ metadata }) => metadata.labels)).toEqual([{}]);
    gather.stop();
  });

  it('runs no gateway of another namespace', () => {
    const { world, gather } = gathering();
    world.tell(gateway('team-a'));
    expect(gather.snapshot().gateways).toEqual([]);
    expect(gather.entry('LLMGateway', 'team-a/default')?.object).not.toBeNull();
    gather.stop();
  });

  it('gives quotas, and the last good one for an edit that cannot be read', () => {
    const { world, gather } = gathering();
    const quota = (generation: number, limit: number): KubeObject => ({
      apiVersion: 'fairlead.dev/v1alpha1',
      kind: 'LLMQuota',
      metadata: { name: 'fair', namespace: 'fairlead-system', uid: 'u', generation },
      spec: {
        targetRefs: [{ kind: 'LLMGateway', name: 'default' }],
        limits: [{ name: 'all', unit: 'Requests', limit, window: '1m' }],
      },
    });
    expect(gather.snapshot().quotas).toEqual([]);
    world.tell(quota(1, 5));
    const { quotas } = gather.snapshot();
    expect(quotas?.map(({ spec }) => spec.limits[0]?.limit)).toEqual([5]);
    world.tell(quota(2, 0));
    expect(gather.snapshot().quotas).toBe(quotas);
    expect(gather.entry('LLMQuota', 'fairlead-system/fair')?.refused?.issues[0]?.path).toBe('spec.limits[0].limit');
    gather.stop();
  });

  it('asks for no Secret by name where it watches the namespace', async () => {
    const { world, gather } = gathering({ secretNamespaces: ['team-a'] });
    world.tell(route(1, 'first'));
    await world.timers.run(SETTLED);
    expect(gather.namesRead).toBe(0);
    expect(gather.snapshot().routes).toHaveLength(1);
    world.tell(secret('team-a', 'first', 'k1'));
    expect(gather.snapshot().secrets).toHaveLength(1);
    gather.stop();
  });

  it('takes a ReferenceGrant once, whichever version tells it, and drops one that it cannot read', () => {
    const { world, gather } = gathering();
    const spec = {
      from: [{ group: 'fairlead.dev', kind: 'LLMRoute', namespace: 'team-a' }],
      to: [{ group: 'fairlead.dev', kind: 'LLMBackend' }],
    };
    const grant = (over: object): KubeObject => ({
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { name: 'g', namespace: 'platform' },
      spec: { ...spec, ...over },
    });
    world.tell(grant({}));
    expect(gather.snapshot().referenceGrants).toHaveLength(1);
    world.tell(grant({ except: ['team-a'] }));
    expect(gather.snapshot().referenceGrants).toEqual([]);
    expect(world.errors).toContain('ReferenceGrant platform/g');
    gather.stop();
  });
});
