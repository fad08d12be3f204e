import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../lib/clock.ts';
import type { Limit, LimitScope } from '../routetable/types.ts';
import { LocalLimiter, NO_LIMITS } from './local.ts';
import type { LimitedRequest, Rejection, Reservation } from './limiter.ts';

const MINUTE = 60_000;

function limit(name: string, unit: Limit['unit'], max: number, per: readonly LimitScope[] = [], windowMs = MINUTE): Limit {
  return { name, per, unit, limit: max, windowMs: unit === 'Concurrency' ? null : windowMs };
}

type Request = LimitedRequest & { readonly headers?: Readonly<Record<string, string>> };

function request(limits: readonly Limit[], given: Partial<Omit<Request, 'header' | 'limits'>> = {}): LimitedRequest {
  const headers = given.headers ?? {};
  return {
    routeId: 'team-a/chat',
    apiKeyId: 'team-a/key',
    tenant: 'team-a',
    model: 'chat',
    tokens: 0,
    ...given,
    limits,
    header: (name) => headers[name],
  };
}

function expectAdmitted(outcome: Reservation | Rejection): Reservation {
  if (!outcome.ok) throw new Error(`rejected by ${outcome.limitName}`);
  return outcome;
}

function expectRejected(outcome: Reservation | Rejection): Rejection {
  if (outcome.ok) throw new Error('admitted');
  return outcome;
}

describe('settle and release', () => {
  it('gives back what was not used, and only that', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limits = [limit('tpm', 'Tokens', 100), limit('rpm', 'Requests', 10)];
    const first = expectAdmitted(limiter.reserve(request(limits, { tokens: 80 })));
    expect(first.remaining).toEqual({
      tokens: { limit: 100, remaining: 20, resetMs: expect.any(Number) },
      requests: { limit: 10, remaining: 9, resetMs: expect.any(Number) },
    });
    clock.advance(5_000);
    first.settle(30);
    expect(first.remaining.tokens?.remaining).toBe(70);
    expect(first.remaining.requests?.remaining).toBe(9);
    first.settle(0);
    first.release();
    expect(first.remaining.tokens?.remaining).toBe(70);
    const second = expectAdmitted(limiter.reserve(request(limits, { tokens: 70 })));
    second.release();
    second.settle(70);
    expect(second.remaining.tokens?.remaining).toBe(70);
    expect(second.remaining.requests?.remaining).toBe(9);
  });

  it('refunds the time at which it was taken, not the time of the refund', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limits = [limit('tpm', 'Tokens', 100)];
    const first = expectAdmitted(limiter.reserve(request(limits, { tokens: 100 })));
    clock.advance(50_000);
    first.settle(0);
    expectAdmitted(limiter.reserve(request(limits, { tokens: 100 })));
    clock.advance(15_000);
    expectRejected(limiter.reserve(request(limits, { tokens: 1 })));
  });

  it('owes an overrun for a window from when it became known', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limits = [limit('tpm', 'Tokens', 100)];
    const reservation = expectAdmitted(limiter.reserve(request(limits, { tokens: 10 })));
    // Longer than the window, past the look at idle counters: the debt must not be lost with the counter.
    clock.advance(3 * MINUTE);
    expectAdmitted(limiter.reserve(request(limits, { tokens: 1 }))).release();
    reservation.settle(500);
    const refused = expectRejected(limiter.reserve(request(limits, { tokens: 1 })));
    expect(refused).toMatchObject({ limitName: 'tpm', scope: [], unit: 'Tokens', limit: 100, impossible: false });
    expect(refused.remaining.tokens?.remaining).toBe(0);
    expect(refused.retryAfterMs).toBeGreaterThan(MINUTE);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(MINUTE * (1 + 1 / 64) + 1);
  });

  it('keeps the estimate where the usage is no number', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const reservation = expectAdmitted(limiter.reserve(request([limit('tpm', 'Tokens', 100)], { tokens: 10.2 })));
    reservation.settle(Number.NaN);
    expect(reservation.remaining.tokens?.remaining).toBe(89);
  });

  it('frees concurrency at once', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = [limit('inflight', 'Concurrency', 1)];
    const first = expectAdmitted(limiter.reserve(request(limits)));
    expect(expectRejected(limiter.reserve(request(limits)))).toMatchObject({
      unit: 'Concurrency',
      retryAfterMs: 1_000,
      remaining: {},
    });
    first.settle(0);
    expectAdmitted(limiter.reserve(request(limits))).release();
    expectAdmitted(limiter.reserve(request(limits)));
  });

  it('takes nothing from the other limits when one refuses', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = [limit('rpm', 'Requests', 10), limit('tpm', 'Tokens', 100), limit('inflight', 'Concurrency', 5)];
    for (let i = 0; i < 20; i++) {
      expect(expectRejected(limiter.reserve(request(limits, { tokens: 101 })))).toMatchObject({
        limitName: 'tpm',
        impossible: true,
      });
    }
    expect(expectAdmitted(limiter.reserve(request(limits, { tokens: 100 }))).remaining).toMatchObject({
      requests: { remaining: 9 },
      tokens: { remaining: 0 },
    });
  });

  it('names the limit that keeps a request out longest', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = [
      limit('second', 'Requests', 1, [], 1_000),
      limit('day', 'Requests', 1, [], 24 * 60 * MINUTE),
      limit('minute', 'Requests', 1),
    ];
    expectAdmitted(limiter.reserve(request(limits)));
    const refused = expectRejected(limiter.reserve(request(limits)));
    expect(refused.limitName).toBe('day');
    expect(refused.retryAfterMs).toBeGreaterThan(24 * 60 * MINUTE);
  });
});

describe('scopes', () => {
  const one = (per: LimitScope[]): readonly Limit[] => [limit('one', 'Requests', 1, per)];
  const header: LimitScope = { kind: 'Header', name: 'x-user', maxValues: 2 };

  it.each<[string, LimitScope[], Partial<Request>, boolean]>([
    ['no scope is one counter', [], { apiKeyId: 'x', tenant: 'x', model: 'x' }, false],
    ['another route', [], { routeId: 'team-b/chat' }, true],
    ['another key', [{ kind: 'APIKey' }], { apiKeyId: 'x' }, true],
    ['the same key', [{ kind: 'APIKey' }], { model: 'x' }, false],
    ['another tenant', [{ kind: 'Tenant' }], { tenant: 'x' }, true],
    ['another model', [{ kind: 'Tenant' }, { kind: 'Model' }], { model: 'x' }, true],
    ['another tenant, same model', [{ kind: 'Tenant' }, { kind: 'Model' }], { tenant: 'x' }, true],
    ['another header', [header], { headers: { 'x-user': 'b' } }, true],
    ['an absent header is a value', [header], {}, false],
    ['another header of another model', [{ kind: 'Model' }, header], { headers: { 'x-user': 'b' } }, true],
    ['route is the default', [{ kind: 'Route' }], { apiKeyId: 'x' }, false],
  ])('%s', (_, per, other, counted) => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = one(per);
    expectAdmitted(limiter.reserve(request(limits)));
    expect(limiter.reserve(request(limits, other)).ok).toBe(counted);
  });

  it('counts header values beyond maxValues together, in each tenant by itself', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = one([header, { kind: 'Tenant' }]);
    const from = (user: string, tenant = 'a'): boolean =>
      limiter.reserve(request(limits, { tenant, headers: { 'x-user': user } })).ok;
    expect([from('1'), from('2'), from('3'), from('4'), from('5')]).toEqual([true, true, true, false, false]);
    expect([from('1', 'b'), from('2', 'b')]).toEqual([true, true]);
  });

  it('never lets a value that comes out of the overflow exceed its limit', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limits = [limit('rpm', 'Requests', 3, [header])];
    const from = (user: string): boolean => {
      const decision = limiter.reserve(request(limits, { headers: { 'x-user': user } }));
      if (decision.ok) decision.settle(0);
      return decision.ok;
    };
    from('1');
    from('2');
    clock.advance(50_000);
    expect([from('3'), from('3'), from('3'), from('3')]).toEqual([true, true, true, false]);
    // 1 and 2 idle out, 3 gets a counter of its own, within the same minute.
    clock.advance(12_000);
    for (let i = 0; i < 10; i++) from('3');
    expect(from('3')).toBe(false);
    clock.advance(50_000);
    expect(from('3')).toBe(true);
  });

  it('never lets concurrency out of the overflow exceed its limit', () => {
    const limiter = new LocalLimiter(new ManualClock());
    const limits = [limit('inflight', 'Concurrency', 2, [{ ...header, maxValues: 1 }])];
    const from = (user: string): Reservation | Rejection => limiter.reserve(request(limits, { headers: { 'x-user': user } }));
    const first = expectAdmitted(from('1'));
    const overflowed = [expectAdmitted(from('2')), expectAdmitted(from('2'))];
    first.release();
    for (let i = 0; i < 5; i++) expectRejected(from('2'));
    overflowed[0]?.release();
    expectAdmitted(from('2'));
    expectRejected(from('2'));
    overflowed[1]?.release();
    expectAdmitted(from('2'));
    expectRejected(from('2'));
  });
});

describe('memory', () => {
  const perUser = [limit('rpm', 'Requests', 10_000, [{ kind: 'Header', name: 'x-user', maxValues: 1_000_000 }])];

  it('is bounded whatever clients invent, and given back when they are idle', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock, 500);
    for (let i = 0; i < 2_000; i++)
      expectAdmitted(limiter.reserve(request(perUser, { headers: { 'x-user': `${i}` } }))).settle(0);
    expect(limiter.size).toBe(501);
    expectAdmitted(limiter.reserve(request(perUser, { headers: { 'x-user': 'x'.repeat(10_000) } }))).release();
    expect(limiter.size).toBe(501);
    clock.advance(2 * MINUTE);
    const plain = [limit('plain', 'Requests', 1_000)];
    for (let i = 0; i < 600; i++) expectAdmitted(limiter.reserve(request(plain))).settle(0);
    expect(limiter.size).toBe(1);
  });

  it('is given back where every request that invents a value is refused', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const limits = [...perUser, limit('tpm', 'Tokens', 1)];
    const refuse = (user: string): Rejection =>
      expectRejected(limiter.reserve(request(limits, { tokens: 2, headers: { 'x-user': user } })));
    for (let i = 0; i < 1_000; i++) refuse(`${i}`);
    clock.advance(2 * MINUTE);
    for (let i = 1_000; i < 2_000; i++) refuse(`${i}`);
    expect(limiter.size).toBe(1_001);
  });

  it('is given back where many requests with invented values come before the first of them ends', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const round = (first: number): void => {
      const underWay = Array.from({ length: 1_000 }, (_, i) =>
        expectAdmitted(limiter.reserve(request(perUser, { headers: { 'x-user': `${first + i}` } }))),
      );
      for (const reservation of underWay) reservation.settle(0);
    };
    round(0);
    clock.advance(2 * MINUTE);
    round(1_000);
    expect(limiter.size).toBe(1_000);
  });

  it('keeps what was counted over a table load, also when the number changes', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    for (let i = 0; i < 3; i++) limiter.reserve(request([limit('rpm', 'Requests', 3)]));
    expectRejected(limiter.reserve(request([limit('rpm', 'Requests', 3)])));
    const raised = expectAdmitted(limiter.reserve(request([limit('rpm', 'Requests', 5)])));
    expect(raised.remaining.requests?.remaining).toBe(1);
    expectRejected(limiter.reserve(request([limit('rpm', 'Requests', 2)])));
  });

  it('finds the same counter again after it was forgotten', () => {
    const clock = new ManualClock();
    const limiter = new LocalLimiter(clock);
    const before = [limit('rpm', 'Requests', 1)];
    const after = [limit('rpm', 'Requests', 1)];
    expectAdmitted(limiter.reserve(request(before))).settle(0);
    clock.advance(3 * MINUTE);
    expectAdmitted(limiter.reserve(request([limit('other', 'Requests', 1)]))).settle(0);
    expect(limiter.size).toBe(1);
    expectAdmitted(limiter.reserve(request(after)));
    expectRejected(limiter.reserve(request(before)));
  });
});

it('NO_LIMITS says nothing and keeps nothing', () => {
  const limiter = new LocalLimiter(new ManualClock());
  const reservation = limiter.reserve(request([]));
  expect(reservation).toBe(NO_LIMITS);
  NO_LIMITS.settle(5);
  NO_LIMITS.release();
  expect(NO_LIMITS.remaining).toEqual({});
});
