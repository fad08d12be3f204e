import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CALENDAR_PERIODS, periodAt } from '../lib/calendar.ts';
import { ManualClock } from '../lib/clock.ts';
import type { Limit } from '../routetable/types.ts';
import { LocalLimiter } from './local.ts';
import type { LimitedRequest, Rejection, Reservation } from './limiter.ts';

const HOUR_MS = 3_600_000;

function request(limits: readonly Limit[], tokens = 1): LimitedRequest {
  return { routeId: 'team-a/chat', limits, apiKeyId: 'key', tenant: 'team-a', model: 'chat', header: () => undefined, tokens };
}

function admitted(decision: Reservation | Rejection): Reservation {
  if (!decision.ok) throw new Error(`refused by ${decision.limitName}`);
  return decision;
}

describe('a limit by the calendar', () => {
  const daily = (limit: number, timeZone = 'Europe/Rome'): Limit => ({
    name: 'daily',
    per: [],
    unit: 'Requests',
    limit,
    windowMs: null,
    calendar: { period: 'Day', timeZone },
  });

  it.each([
    ['of 24 hours', '2026-11-24T23:00:00Z', 24],
    ['of 23, when clocks go forward', '2026-03-28T23:00:00Z', 23],
    ['of 25, when clocks go back', '2026-10-24T22:00:00Z', 25],
  ])('counts a day %s and begins anew at its end, to the millisecond', (_, beginsAt, hours) => {
    const clock = new ManualClock(Date.parse(beginsAt));
    const limiter = new LocalLimiter(clock);
    const limits = [daily(2)];
    admitted(limiter.reserve(request(limits)));
    clock.advance(hours * HOUR_MS - 1);
    admitted(limiter.reserve(request(limits)));
    expect(limiter.reserve(request(limits))).toMatchObject({ ok: false, limitName: 'daily', retryAfterMs: 1 });
    clock.advance(1);
    expect(admitted(limiter.reserve(request(limits))).remaining.requests).toEqual({
      limit: 2,
      remaining: 1,
      resetMs: 24 * HOUR_MS,
    });
  });

  it('owes in the period in which it was reserved, and in no other', () => {
    const clock = new ManualClock(Date.parse('2026-01-31T22:59:59Z'));
    const limiter = new LocalLimiter(clock);
    const limits: Limit[] = [{ ...daily(100), unit: 'Tokens', calendar: { period: 'Month', timeZone: 'Europe/Rome' } }];
    const before = admitted(limiter.reserve(request(limits, 60)));
    clock.advance(1_000);
    const after = admitted(limiter.reserve(request(limits, 100)));
    before.settle(10);
    expect(after.remaining.tokens?.remaining).toBe(0);
    after.release();
    expect(after.remaining.tokens?.remaining).toBe(100);
  });

  it('forgets a period that is over', () => {
    const clock = new ManualClock(Date.parse('2026-01-01T00:00:00Z'));
    const limiter = new LocalLimiter(clock);
    const limits = [daily(5, 'UTC')];
    for (let day = 0; day < 30; day++) {
      admitted(limiter.reserve(request(limits))).settle(1);
      clock.advance(24 * HOUR_MS);
    }
    expect(limiter.size).toBeLessThanOrEqual(2);
  });

  it('is used to its last unit in each period, and never beyond', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('Europe/Rome', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu'),
        fc.constantFrom(...CALENDAR_PERIODS),
        fc.integer({ min: Date.parse('2011-12-01T00:00:00Z'), max: Date.parse('2030-01-01T00:00:00Z') }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.integer({ min: 0, max: 30 * HOUR_MS }), { minLength: 20, maxLength: 60 }),
        (timeZone, period, startMs, limit, steps) => {
          const calendar = { period, timeZone };
          const clock = new ManualClock(startMs);
          const limiter = new LocalLimiter(clock);
          const limits: Limit[] = [{ name: 'budget', per: [], unit: 'Requests', limit, windowMs: null, calendar }];
          const used = new Map<number, number>();
          for (const step of steps) {
            clock.advance(step);
            const { startMs: of, endMs } = periodAt(calendar, clock.wallMs());
            const decision = limiter.reserve(request(limits));
            const before = used.get(of) ?? 0;
            expect(decision.ok).toBe(before < limit);
            if (decision.ok) used.set(of, before + 1);
            else expect(decision.retryAfterMs).toBe(endMs - clock.wallMs());
          }
        },
      ),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
    );
  });
});
