import { describe, expect, it } from '@jest/globals';
import type { Failure, FailureKind } from '../lib/failure.ts';
import type { Operation } from '../lib/operation.ts';
import { unhealthy } from './eligible.ts';
import { HealthBook, type HealthTransition, type TargetHealth } from './health.ts';
import { target } from './testdata/fixtures.ts';

const BROKEN: Failure = { kind: 'server_error', message: '' };
const MODEL = { upstreamId: 'up', credentialId: 'up#1', model: 'gpt' };

/** A book whose ejections have their full length (`random` 1), with what it has told. */
function opened(random = 1): { book: HealthBook; told: HealthTransition[] } {
  const told: HealthTransition[] = [];
  return { book: new HealthBook({ random: () => random, onTransition: (transition) => told.push(transition) }), told };
}

function limited(retryAfterMs: number | null): Failure {
  return { kind: 'rate_limited', scope: 'requests', retryAfterMs, message: '' };
}

/** One whole attempt; null: it succeeds. */
function attempt(of: TargetHealth, failure: Failure | null, nowMs: number, operation: Operation = 'chat'): void {
  const number = of.started(nowMs);
  if (failure === null) of.succeeded(number, operation, nowMs);
  else of.failed(number, failure, operation, nowMs);
  of.finished(number);
}

function fail(of: TargetHealth, times: number, nowMs: number, failure = BROKEN): void {
  for (let i = 0; i < times; i++) attempt(of, failure, nowMs);
}

const out = (of: TargetHealth, nowMs: number, operation: Operation = 'chat'): string | null => unhealthy(of, operation, nowMs);

describe('ejection', () => {
  const faults: Failure[] = [
    BROKEN,
    { kind: 'overloaded', retryAfterMs: null, message: '' },
    { kind: 'timeout', phase: 'first_token', message: '' },
    { kind: 'network', connecting: true, message: '' },
    { kind: 'malformed', message: '' },
    { kind: 'stream_broken', sentBytes: 0, message: '' },
  ];
  it.each(faults)('comes after five $kind in a row, not after four', (failure) => {
    const { book } = opened();
    const health = book.signals(MODEL);
    fail(health, 4, 0, failure);
    expect(out(health, 0)).toBe(null);
    attempt(health, null, 0);
    fail(health, 4, 0, failure);
    expect(out(health, 0)).toBe(null);
    fail(health, 1, 0, failure);
    expect(out(health, 0)).toBe('ejected');
  });

  it('comes at half of at least twenty outcomes within ten seconds', () => {
    const alternate = (pairs: number, everyMs: number): string | null => {
      const health = opened().book.signals(MODEL);
      let nowMs = 0;
      for (let i = 0; i < pairs; i++) {
        attempt(health, null, nowMs);
        attempt(health, BROKEN, nowMs);
        nowMs += everyMs;
      }
      return out(health, nowMs);
    };
    expect(alternate(9, 10)).toBe(null);
    expect(alternate(10, 10)).toBe('ejected');
    expect(alternate(100, 2_000)).toBe(null);
  });

  const silent: FailureKind[] = [
    ...([
      'content_filtered',
      'refusal',
      'context_exceeded',
      'payload_too_large',
      'invalid_request',
      'conflict',
      'client_gone',
    ] as const),
  ];
  it.each(silent)('%s says nothing about health', (kind) => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    const failure = { kind, phase: 'prompt', categories: [], message: '' } as Failure;
    fail(health, 4, 0);
    fail(health, 100, 0, failure);
    expect([out(health, 0), told]).toEqual([null, []]);
    fail(health, 1, 0);
    expect(out(health, 0)).toBe('ejected');
  });

  it('lasts 5 s, up to a fifth less by jitter', () => {
    for (const [random, untilMs] of [
      [1, 5_000],
      [0, 4_000],
    ] as const) {
      const health = opened(random).book.signals(MODEL);
      fail(health, 5, 0);
      expect([out(health, untilMs - 1), out(health, untilMs)]).toEqual(['ejected', null]);
    }
  });

  it('lets one probe out at a time; its failure doubles the time, up to 300 s; its success closes', () => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    fail(health, 5, 0);
    const lengths: number[] = [];
    let nowMs = health.coolUntilMs;
    for (let i = 0; i < 8; i++) {
      const probe = health.started(nowMs);
      expect(out(health, nowMs)).toBe('probing');
      health.failed(probe, BROKEN, 'chat', nowMs);
      health.finished(probe);
      lengths.push(health.coolUntilMs - nowMs);
      nowMs = health.coolUntilMs;
    }
    expect(lengths).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]);
    attempt(health, null, nowMs);
    expect([out(health, nowMs), health.health, health.inFlight]).toEqual([null, 'Healthy', 0]);
    expect(told.map(({ from, to, reason }) => [from, to, reason])).toEqual([
      ['Healthy', 'Ejected', 'ServerError'],
      ...lengths.map(() => ['Ejected', 'Ejected', 'ServerError']),
      ['Ejected', 'Healthy', 'ServerError'],
    ]);
  });

  it('hands the probe on where it ends without a verdict', () => {
    const health = opened().book.signals(MODEL);
    fail(health, 5, 0);
    attempt(health, { kind: 'client_gone', message: '' }, 5_000);
    expect(out(health, 5_000)).toBe(null);
    const [probe, other] = [health.started(5_000), health.started(5_000)];
    health.finished(other);
    expect(out(health, 5_000)).toBe('probing');
    health.finished(probe);
    expect(out(health, 5_000)).toBe(null);
  });

  it('does not take the outcome of a request from before for the probe’s', () => {
    const health = opened().book.signals(MODEL);
    const [early, late] = [health.started(0), health.started(0)];
    fail(health, 5, 0);
    health.succeeded(early, 'chat', 1);
    expect(out(health, 1)).toBe('ejected');
    const probe = health.started(5_000);
    health.succeeded(early, 'chat', 5_001);
    health.failed(late, BROKEN, 'chat', 5_001);
    expect(out(health, 5_001)).toBe('probing');
    health.succeeded(probe, 'chat', 5_002);
    for (let i = 0; i < 9; i++) health.failed(late, BROKEN, 'chat', 5_003);
    expect(out(health, 5_003)).toBe(null);
  });

  it('ends with the first success of a request that was sent in panic, and does not grow by such failures', () => {
    const health = opened().book.signals(MODEL);
    fail(health, 5, 0);
    fail(health, 50, 1_000);
    expect(health.coolUntilMs).toBe(5_000);
    const slow = Array.from({ length: 9 }, () => health.started(1_000));
    attempt(health, null, 2_000);
    expect(out(health, 2_000)).toBe(null);
    for (const number of slow) health.failed(number, BROKEN, 'chat', 2_001);
    expect(out(health, 2_001)).toBe(null);
  });

  it('begins its counts anew after a recovery', () => {
    const health = opened().book.signals(MODEL);
    for (let i = 0; i < 10; i++) for (const failure of [null, BROKEN]) attempt(health, failure, 0);
    attempt(health, null, 0);
    for (let i = 0; i < 19; i++) attempt(health, null, 1);
    attempt(health, BROKEN, 1);
    expect(out(health, 1)).toBe(null);
  });

  it('goes on growing where the upstream flaps, and starts afresh after a good minute', () => {
    const health = opened().book.signals(MODEL);
    fail(health, 5, 0);
    attempt(health, null, 5_000);
    fail(health, 5, 6_000);
    expect(health.coolUntilMs).toBe(16_000);
    attempt(health, null, 16_000);
    fail(health, 5, 76_000);
    expect(health.coolUntilMs).toBe(81_000);
  });
});

describe('time outs', () => {
  it('obeys retry-after, an hour at most, whatever succeeds meanwhile', () => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    attempt(health, limited(20_000), 0);
    attempt(health, null, 1_000);
    expect([out(health, 19_999), out(health, 20_000)]).toEqual(['coolingDown', null]);
    expect(told).toEqual([
      {
        upstreamId: 'up',
        credentialId: 'up#1',
        from: 'Healthy',
        to: 'CoolingDown',
        reason: 'RateLimited',
        operation: null,
        forMs: 20_000,
        told: false,
      },
    ]);
    attempt(health, limited(7_200_000), 20_000);
    expect(health.coolUntilMs).toBe(3_620_000);
    attempt(health, limited(1), 20_001);
    expect(health.coolUntilMs).toBe(3_620_000);
  });

  it('leave a target unproven for ten seconds, or until it succeeds', () => {
    const { book } = opened();
    const health = book.signals(MODEL);
    const unproven = (nowMs: number): boolean => health.unproven('chat', nowMs);
    attempt(health, limited(2_000), 0);
    expect([0, 1_999, 2_000, 11_999, 12_000].map(unproven)).toEqual([false, false, true, true, false]);
    attempt(health, null, 2_000);
    expect(unproven(2_000)).toBe(false);
    attempt(health, { kind: 'not_found', message: '' }, 3_000, 'embeddings');
    expect([health.unproven('embeddings', 33_000), unproven(33_000)]).toEqual([true, false]);
  });

  it('grows from 1 s where there is no retry-after, not by answers that come while it runs, and afresh after a success', () => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    fail(health, 10, 0, limited(null));
    expect(health.coolUntilMs).toBe(1_000);
    attempt(health, limited(null), 1_000);
    attempt(health, limited(0), 3_000);
    expect(health.coolUntilMs).toBe(7_000);
    attempt(health, null, 7_000);
    attempt(health, limited(null), 8_000);
    expect(health.coolUntilMs).toBe(9_000);
    expect(told.map(({ to }) => to)).toEqual(['CoolingDown', 'CoolingDown', 'CoolingDown', 'Healthy', 'CoolingDown']);
  });

  it('keeps a rate limit to its credential, and an ejection to the upstream', () => {
    const { book } = opened();
    const one = book.signals(MODEL);
    const two = book.signals({ ...MODEL, credentialId: 'up#2' });
    attempt(one, limited(null), 0);
    expect([out(one, 0), out(two, 0)]).toEqual(['coolingDown', null]);
    fail(one, 5, 0);
    expect([out(one, 0), out(two, 0), two.inFlight]).toEqual(['ejected', 'ejected', 0]);
  });

  it('gives used-up quota 60 s, or what the provider says', () => {
    const health = opened().book.signals(MODEL);
    attempt(health, { kind: 'quota_exhausted', retryAfterMs: null, message: '' }, 0);
    expect([health.coolUntilMs, health.coolReason]).toEqual([60_000, 'QuotaExhausted']);
    attempt(health, { kind: 'quota_exhausted', retryAfterMs: 90_000, message: '' }, 0);
    expect(health.coolUntilMs).toBe(90_000);
  });

  it('obeys the retry-after of an overload, which counts as a fault besides', () => {
    const health = opened().book.signals(MODEL);
    fail(health, 4, 0, { kind: 'overloaded', retryAfterMs: 8_000, message: '' });
    expect([health.health, out(health, 7_999), out(health, 8_000)]).toEqual(['Healthy', 'coolingDown', null]);
    fail(health, 1, 0);
    expect([health.health, health.coolUntilMs]).toEqual(['Ejected', 8_000]);
  });

  it.each(['auth', 'permission'] as const)('%s cools the target for 30 s, growing, until a later request succeeds', (kind) => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    const before = health.started(0);
    fail(health, 9, 0, { kind, message: '' });
    health.succeeded(before, 'chat', 1);
    expect([health.coolUntilMs, health.coolReason]).toEqual([30_000, 'Auth']);
    attempt(health, { kind, message: '' }, 30_000);
    expect(health.coolUntilMs).toBe(90_000);
    attempt(health, null, 31_000);
    expect(out(health, 31_000)).toBe(null);
    expect(told.map(({ to }) => to)).toEqual(['CoolingDown', 'CoolingDown', 'Healthy']);
  });

  it('not_found takes one operation out, the others go on', () => {
    const { book, told } = opened();
    const health = book.signals(MODEL);
    attempt(health, { kind: 'not_found', message: '' }, 0, 'embeddings');
    expect([out(health, 0, 'embeddings'), out(health, 0, 'chat')]).toEqual(['coolingDown', null]);
    attempt(health, null, 1, 'chat');
    expect([out(health, 29_999, 'embeddings'), out(health, 30_000, 'embeddings')]).toEqual(['coolingDown', null]);
    attempt(health, null, 30_000, 'embeddings');
    expect(told.map(({ to, operation }) => [to, operation])).toEqual([
      ['CoolingDown', 'embeddings'],
      ['Healthy', 'embeddings'],
    ]);
  });

  it('no client can take an upstream out by naming a model that it lacks, where the name goes through', () => {
    const { book, told } = opened();
    const health = book.signals({ ...MODEL, model: null });
    fail(health, 50, 0, { kind: 'not_found', message: '' });
    fail(health, 50, 0, { kind: 'permission', message: '' });
    expect([out(health, 0), told]).toEqual([null, []]);
    fail(health, 1, 0, { kind: 'auth', message: '' });
    expect(out(health, 0)).toBe('coolingDown');
  });
});

describe('the book', () => {
  it('is one object for all targets of an upstream and credential', () => {
    const { book } = opened();
    expect(book.signals(target('a'))).toBe(book.signals(target('a')));
    expect(book.signals(target('a'))).not.toBe(book.signals(target('b')));
  });

  it('counts what is under way', () => {
    const health = opened().book.signals(MODEL);
    const [first, second] = [health.started(0), health.started(0)];
    expect(health.inFlight).toBe(2);
    health.finished(first);
    health.finished(second);
    expect(health.inFlight).toBe(0);
  });

  it('forgets what no table names, but not while calls are under way', () => {
    const { book } = opened();
    const kept = book.signals(target('kept'));
    const idle = book.signals(target('idle'));
    const busy = book.signals(target('busy'));
    const call = busy.started(0);
    book.prune(new Set([kept.credentialId]));
    expect([...book.targets()]).toEqual([kept, busy]);
    expect(book.signals(target('idle'))).not.toBe(idle);
    busy.finished(call);
    book.prune(new Set([kept.credentialId]));
    expect([...book.targets()]).toEqual([kept]);
  });
});
