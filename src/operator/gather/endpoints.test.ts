import { describe, expect, it } from '@jest/globals';
import type { ListWatchOptions, ListWatchView } from '../../kube/contract.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { EndpointBook } from './endpoints.ts';

interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
}

/** The watches that are running, by namespace. */
class Watches {
  readonly running = new Map<string, ListWatchOptions<unknown>>();
  changes = 0;
  readonly book = new EndpointBook({
    watch: <T>(options: ListWatchOptions<T>): ListWatchView<T> => {
      const namespace = options.namespace ?? '';
      this.running.set(namespace, options);
      return {
        store: new Map(),
        synced: true,
        state: 'watching',
        lastFailure: null,
        lastContactMs: 0,
        whenSynced: () => Promise.resolve(),
        stop: () => this.running.delete(namespace),
      };
    },
    onChange: () => this.changes++,
    onError: (error) => {
      throw error;
    },
  });

  slice(id: string, object: KubeObject | null): void {
    const options = this.running.get(id.slice(0, id.indexOf('/')));
    options?.onChange?.(id, object === null ? null : options.parse(object));
  }

  addresses(service: string): readonly (readonly string[])[] | undefined {
    const [namespace, name] = service.split('/');
    return this.book
      .list()
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
      ?.ports.map(({ addresses }) => addresses);
  }
}

function service(spec: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'a', name: 'vllm' }, spec };
}

const VLLM = service({
  clusterIP: '10.96.0.7',
  ipFamilies: ['IPv4'],
  ports: [
    { name: 'http', port: 80 },
    { name: 'other', port: 81 },
  ],
});

function slice(name: string, endpoints: readonly Endpoint[], over: object = {}, of = 'vllm'): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'a', name, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [
      { name: 'http', port: 8000 },
      { name: 'other', port: 8001 },
    ],
    endpoints,
    ...over,
  };
}

const READY = { ready: true, serving: true, terminating: false };
const LEAVING = { ready: false, serving: true, terminating: true };
const STARTING = { ready: false, serving: false, terminating: false };

function following(object: KubeObject = VLLM): Watches {
  const watches = new Watches();
  watches.book.acquire('a');
  watches.book.setService('a/vllm', object);
  return watches;
}

describe('the addresses behind a Service', () => {
  it('are those of its ready pods in all its slices, by the name of the port', () => {
    const watches = following();
    watches.slice('a/one', slice('one', [{ addresses: ['10.1.0.2'], conditions: READY }, { addresses: ['10.1.0.1'] }]));
    watches.slice('a/two', slice('two', [{ addresses: ['10.1.0.3', '10.1.9.9'], conditions: READY }]));
    watches.slice('a/foreign', slice('foreign', [{ addresses: ['10.1.0.4'], conditions: READY }], {}, 'others'));
    expect(watches.addresses('a/vllm')).toEqual([
      ['10.1.0.1:8000', '10.1.0.2:8000', '10.1.0.3:8000'],
      ['10.1.0.1:8001', '10.1.0.2:8001', '10.1.0.3:8001'],
    ]);
    expect(watches.book.list()[0]?.ports.map(({ fallback }) => fallback)).toEqual(['10.96.0.7:80', '10.96.0.7:81']);
  });

  it('are those that leave and still serve only where none is ready', () => {
    const watches = following();
    const pods = (first: Endpoint['conditions']): KubeObject =>
      slice('one', [
        { addresses: ['10.1.0.1'], conditions: first ?? READY },
        { addresses: ['10.1.0.2'], conditions: LEAVING },
        { addresses: ['10.1.0.3'], conditions: STARTING },
      ]);
    watches.slice('a/one', pods(READY));
    expect(watches.addresses('a/vllm')?.[0]).toEqual(['10.1.0.1:8000']);
    watches.slice('a/one', pods(STARTING));
    expect(watches.addresses('a/vllm')?.[0]).toEqual(['10.1.0.2:8000']);
    watches.slice('a/one', slice('one', [{ addresses: ['10.1.0.3'], conditions: STARTING }]));
    expect(watches.addresses('a/vllm')?.[0]).toEqual([]);
  });

  it('of both families are one: that of the Service first', () => {
    const watches = following(service({ clusterIP: 'fd00::7', ipFamilies: ['IPv6', 'IPv4'], ports: [{ port: 80 }] }));
    const one = { ports: [{ name: '', port: 8000 }] };
    watches.slice('a/four', slice('four', [{ addresses: ['10.1.0.1'] }], one));
    expect(watches.addresses('a/vllm')).toEqual([['10.1.0.1:8000']]);
    watches.slice('a/six', slice('six', [{ addresses: ['fd00::1'] }], { ...one, addressType: 'IPv6' }));
    expect(watches.addresses('a/vllm')).toEqual([['[fd00::1]:8000']]);
    expect(watches.book.list()[0]?.ports[0]?.fallback).toBe('[fd00::7]:80');
  });

  it('of a headless Service have no address of the Service behind them, and names that are no addresses are none', () => {
    const watches = following(service({ clusterIP: 'None', ipFamilies: ['IPv4'], ports: [{ name: 'http', port: 80 }] }));
    watches.slice('a/one', slice('one', [{ addresses: ['10.1.0.1'] }]));
    watches.slice('a/fqdn', slice('fqdn', [{ addresses: ['evil.example'] }], { addressType: 'FQDN' }));
    expect(watches.book.list()[0]?.ports).toEqual([{ port: 80, addresses: ['10.1.0.1:8000'], fallback: null }]);
  });

  it.each(['127.0.0.1', '0.0.0.0', '169.254.169.254', '224.0.0.1', '::1', '::', 'fe80::1', 'ff02::1', '::ffff:127.0.0.1'])(
    'are not the node itself or its neighbours: %s',
    (address) => {
      const addressType = address.includes(':') ? 'IPv6' : 'IPv4';
      const watches = following(service({ clusterIP: 'None', ipFamilies: [addressType], ports: [{ name: 'http', port: 80 }] }));
      watches.slice('a/one', slice('one', [{ addresses: [address] }], { addressType }));
      expect(watches.addresses('a/vllm')).toEqual([[]]);
    },
  );

  it('are none of an ExternalName, even where slices are left from before', () => {
    const watches = following();
    watches.slice('a/one', slice('one', [{ addresses: ['10.1.0.1'] }]));
    watches.book.setService('a/vllm', service({ type: 'ExternalName', externalName: 'evil.example', ports: [{ port: 80 }] }));
    expect(watches.book.list()).toEqual([]);
  });

  it('follow a slice that is relabelled or deleted, and tell what is news only', () => {
    const watches = following();
    const pods = [{ addresses: ['10.1.0.1'], conditions: READY }];
    watches.slice('a/one', slice('one', pods));
    const before = watches.book.list();
    const { changes } = watches;
    watches.slice('a/one', slice('one', pods));
    watches.slice('a/foreign', slice('foreign', pods, {}, 'others'));
    watches.book.setService('a/vllm', VLLM);
    expect(watches.changes).toBe(changes);
    expect(watches.book.list()).toBe(before);

    watches.slice('a/one', slice('one', pods, {}, 'others'));
    expect(watches.addresses('a/vllm')?.[0]).toEqual([]);
    watches.slice('a/one', slice('one', pods));
    expect(watches.addresses('a/vllm')?.[0]).toEqual(['10.1.0.1:8000']);
    watches.slice('a/one', null);
    expect(watches.addresses('a/vllm')?.[0]).toEqual([]);
    expect(watches.changes).toBe(changes + 3);
  });

  it('are followed in a namespace as long as somebody names a Service there', () => {
    const watches = following();
    watches.book.acquire('a');
    watches.slice('a/one', slice('one', [{ addresses: ['10.1.0.1'] }]));
    watches.book.release('a');
    expect(watches.addresses('a/vllm')?.[0]).toEqual(['10.1.0.1:8000']);
    watches.book.release('a');
    expect([...watches.running.keys()]).toEqual([]);
    expect(watches.book.isKnown('a')).toBe(false);
    watches.book.acquire('a');
    expect(watches.addresses('a/vllm')?.[0]).toEqual([]);
  });
});
