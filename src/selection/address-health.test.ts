import { describe, expect, it } from '@jest/globals';
import { AddressHealth, type Address } from './address-health.ts';
import { EJECT_AFTER_CONSECUTIVE, HealthBook } from './health.ts';
import { LazyExclusion, unhealthy } from './eligible.ts';
import { facts, target } from './testdata/fixtures.ts';

function service(count: number, fallback = false): { signals: AddressHealth<Address>; of: (name: string) => Address } {
  const book = new HealthBook({ random: () => 0 });
  const made = (address: string): Address => ({
    address,
    health: book.signals({ upstreamId: address, credentialId: address, model: 'm' }),
  });
  const addresses = Array.from({ length: count }, (_, index) => made(`pod-${index}`));
  const last = fallback ? made('cluster-ip') : null;
  const signals = new AddressHealth<Address>(0);
  signals.set(addresses, last);
  const of = (name: string): Address => {
    const found = [...addresses, ...(last === null ? [] : [last])].find(({ address }) => address === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  };
  return { signals, of };
}

function fail({ health }: Address, times: number, nowMs: number): void {
  for (let time = 0; time < times; time++) {
    const attempt = health.started(nowMs);
    health.failed(attempt, { kind: 'server_error', message: '' }, 'chat', nowMs);
    health.finished(attempt);
  }
}

const picked = (signals: AddressHealth<Address>, tried: readonly string[] = [], nowMs = 1): string | undefined =>
  signals.pick(tried, 'chat', nowMs)?.address;

describe('the health of a Service', () => {
  it('is that of its best address', () => {
    const { signals, of } = service(2);
    fail(of('pod-0'), EJECT_AFTER_CONSECUTIVE, 1);
    expect(unhealthy(signals, 'chat', 1)).toBeNull();
    expect(signals.health).toBe('Healthy');
    fail(of('pod-1'), EJECT_AFTER_CONSECUTIVE, 2);
    expect(unhealthy(signals, 'chat', 3)).toBe('ejected');
    expect(signals.coolReason).toBe('ServerError');
    // The one that was out first may be tried first, and while it is, the other may be.
    expect(unhealthy(signals, 'chat', 4_001)).toBeNull();
    expect(picked(signals, [], 4_001)).toBe('pod-0');
    of('pod-0').health.started(4_001);
    expect(unhealthy(signals, 'chat', 4_001)).toBe('ejected');
    expect(unhealthy(signals, 'chat', 4_002)).toBeNull();
  });

  it('counts what is under way at all of them', () => {
    const { signals, of } = service(2, true);
    for (const name of ['pod-0', 'pod-1', 'pod-1', 'cluster-ip']) of(name).health.started(1);
    expect(signals.inFlight).toBe(4);
  });

  it('is bad where there is no address, whatever the address of the Service is', () => {
    for (const fallback of [false, true]) {
      const { signals } = service(0, fallback);
      expect(unhealthy(signals, 'chat', 1)).toBe('ejected');
      expect(signals.coolReason).toBe('NoEndpoints');
      expect(new LazyExclusion(0, 'ejected', target('vllm'), signals, facts(), 1).detail).toBe('ejected (NoEndpoints)');
      expect(picked(signals)).toBe(fallback ? 'cluster-ip' : undefined);
    }
  });

  it('takes the address of the Service for one more once all of its pods are ejected', () => {
    const { signals, of } = service(2, true);
    for (const name of ['pod-0', 'pod-1']) fail(of(name), EJECT_AFTER_CONSECUTIVE, 1);
    expect(unhealthy(signals, 'chat', 2)).toBeNull();
    expect(picked(signals)).toBe('cluster-ip');
    fail(of('cluster-ip'), EJECT_AFTER_CONSECUTIVE, 2);
    expect(unhealthy(signals, 'chat', 3)).toBe('ejected');
    expect(signals.isOut(3)).toBe(true);
  });
});

describe('the choice of an address', () => {
  it('goes round among equals, and to the least busy', () => {
    const { signals, of } = service(3);
    expect([1, 2, 3, 4].map(() => picked(signals))).toEqual(['pod-0', 'pod-1', 'pod-2', 'pod-0']);
    of('pod-0').health.started(1);
    of('pod-2').health.started(1);
    expect([1, 2, 3].map(() => picked(signals))).toEqual(['pod-1', 'pod-1', 'pod-1']);
  });

  it('leaves out what has failed this request, and after two asks the address of the Service', () => {
    const { signals } = service(3, true);
    expect(picked(signals, ['pod-0'])).toBe('pod-1');
    expect(picked(signals, ['pod-0', 'pod-1'])).toBe('cluster-ip');
    expect(picked(signals, ['pod-0', 'pod-1', 'cluster-ip'])).toBe('pod-2');
    expect(signals.hasOther(['pod-0', 'pod-1', 'pod-2'], 'chat', 1)).toBe(true);
    expect(signals.hasOther(['pod-0', 'pod-1', 'pod-2', 'cluster-ip'], 'chat', 1)).toBe(false);
  });

  it('comes to an ejected one only where there is nothing else, the one first that will be back first', () => {
    const { signals, of } = service(2);
    fail(of('pod-1'), EJECT_AFTER_CONSECUTIVE, 1);
    expect(picked(signals)).toBe('pod-0');
    expect(picked(signals, ['pod-0'])).toBe('pod-1');
    fail(of('pod-0'), EJECT_AFTER_CONSECUTIVE, 2);
    expect(picked(signals)).toBe('pod-1');
  });
});
