import { describe, expect, it } from '@jest/globals';
import type { Limit } from '../../src/routetable/types.ts';
import { Fleet } from './fleet.ts';
import { type Admission, judge } from './history.ts';
import { redisAbsent } from './redis-process.ts';
import { type PodKind, TOKEN_NANO_USD, scheduleOf } from './schedule.ts';

/** The short form of `make test-limits`. */
const SCHEDULES: Readonly<Record<PodKind, number>> = { limiter: 4, gateway: 1 };

/** Eight processes start for each. */
const HANGS_MS = 600_000;

const requests: Limit = { name: 'requests', per: [], unit: 'Requests', limit: 2, windowMs: 1_000 };
const tokens: Limit = { name: 'tokens', per: [], unit: 'Tokens', limit: 10, windowMs: 1_000 };
const slots: Limit = { name: 'slots', per: [], unit: 'Concurrency', limit: 1, windowMs: null };

function at(beforeMs: number, more: Partial<Admission> = {}): Admission {
  return { beforeMs, afterMs: beforeMs + 1, tokens: 5, used: true, endMs: beforeMs + 100, ...more };
}

const excesses = (limits: readonly Limit[], admissions: readonly Admission[]) => judge(limits, admissions).excesses;

describe('the judge of histories', () => {
  it('finds one request too many in a span that no calendar begins', () => {
    expect(excesses([requests], [at(900), at(1_500), at(1_890)])).toMatchObject([{ admitted: 3, atMs: 1_891 }]);
    expect(excesses([requests], [at(900), at(1_500), at(1_901)])).toEqual([]);
  });

  it('gives the benefit of the doubt only where the moment is in doubt', () => {
    expect(excesses([requests], [at(900, { afterMs: 1_200 }), at(1_500), at(1_901)])).toEqual([]);
  });

  it('counts what was used, not what was given back', () => {
    expect(excesses([tokens], [at(1), at(2), at(3, { used: false })])).toEqual([]);
    expect(excesses([tokens], [at(1), at(2), at(3, { tokens: 1 })])).toMatchObject([{ admitted: 11 }]);
    const usd: Limit = { ...tokens, unit: 'USD', limit: 10 * TOKEN_NANO_USD };
    expect(excesses([usd], [at(1), at(2), at(3, { used: false })])).toEqual([]);
    expect(excesses([usd], [at(1), at(2), at(3, { tokens: 1 })])).toMatchObject([{ admitted: 11 * TOKEN_NANO_USD }]);
    const hour: Limit = { ...usd, windowMs: null, calendar: { period: 'Hour', timeZone: 'UTC' } };
    const later = 3_600_000;
    expect(excesses([hour], [at(1), at(later - 2), at(later), at(later + 1)])).toEqual([]);
    expect(excesses([hour], [at(1), at(later - 9), at(later - 5)])).toMatchObject([{ admitted: 15 * TOKEN_NANO_USD }]);
  });

  it('finds two where one may be under way', () => {
    expect(excesses([slots], [at(0), at(100)])).toEqual([]);
    expect(excesses([slots], [at(0), at(98)])).toMatchObject([{ admitted: 2 }]);
  });
});

describe('the judge of histories in which Redis lost something', () => {
  const crowded = (fromMs: number): Admission[] => [at(fromMs), at(fromMs + 1), at(fromMs + 2)];
  const loss = { fromMs: 5_000, toMs: 5_100, back: false };
  const broken = (admissions: readonly Admission[], back = false): boolean =>
    judge([requests], admissions, [{ ...loss, back }]).excesses.length > 0;

  it('allows one limit more, and no more, to spans that touch it', () => {
    expect(broken(crowded(5_050))).toBe(false);
    expect(broken([...crowded(5_050), at(5_060)])).toBe(false);
    expect(broken([...crowded(5_050), at(5_060), at(5_070)])).toBe(true);
    expect(judge([requests], [...crowded(5_050), at(5_060)], [loss]).fullest).toBe(2);
  });

  it('allows nothing more before it, nor after the leases of before', () => {
    expect(broken(crowded(4_990))).toBe(true);
    expect(broken(crowded(6_300))).toBe(false);
    expect(broken(crowded(6_400))).toBe(true);
  });

  it('allows a clock that was set back nothing but the period that comes again', () => {
    expect(broken(crowded(5_050), true)).toBe(true);
    const hour: Limit = { ...requests, windowMs: null, calendar: { period: 'Hour', timeZone: 'UTC' } };
    expect(judge([hour], crowded(4_000), [{ ...loss, back: true }]).excesses).toEqual([]);
  });

  it('finds periods by the date', () => {
    const hour: Limit = { ...requests, windowMs: null, calendar: { period: 'Hour', timeZone: 'UTC' } };
    const wallAheadMs = 3_600_000 - 1_002;
    expect(judge([hour], [at(1_000), at(1_000), at(1_002), at(1_004)], [], wallAheadMs).excesses).toEqual([]);
    expect(judge([hour], [at(1_000), at(1_000), at(1_002), at(1_004)]).excesses).toHaveLength(1);
  });
});

describe('eight pods and one Redis, deaths, pauses, clocks minutes apart, lost answers and a Redis that forgets', () => {
  if (redisAbsent === null) {
    const holds = async (kind: PodKind): Promise<void> => {
      const first = 1 + (Date.now() % 1_000_000);
      const fleet = await Fleet.start(kind, first);
      try {
        let admitted = 0;
        for (let number = first; number < first + SCHEDULES[kind]; number++) {
          const outcome = await fleet.run(scheduleOf(number, kind));
          expect({ number, excesses: outcome.excesses }).toEqual({ number, excesses: [] });
          admitted += outcome.admitted;
        }
        expect(admitted).toBeGreaterThan(0);
      } finally {
        await fleet.close();
      }
    };
    it.each(['limiter', 'gateway'] as const)('each a %s, admit no more than the limits in any window', holds, HANGS_MS);
  } else {
    it(`absent: the history of limits: ${redisAbsent}`, () => undefined);
  }
});
