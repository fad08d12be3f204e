import { describe, expect, it } from '@jest/globals';
import type { Limit } from '../../src/routetable/types.ts';
import { Fleet } from './fleet.ts';
import { type Admission, excesses } from './history.ts';
import { redisAbsent } from './redis-process.ts';
import { scheduleOf } from './schedule.ts';

/** The short form of `make test-limits`. */
const SCHEDULES = 4;

const requests: Limit = { name: 'requests', per: [], unit: 'Requests', limit: 2, windowMs: 1_000 };
const tokens: Limit = { name: 'tokens', per: [], unit: 'Tokens', limit: 10, windowMs: 1_000 };
const slots: Limit = { name: 'slots', per: [], unit: 'Concurrency', limit: 1, windowMs: null };

function at(beforeMs: number, more: Partial<Admission> = {}): Admission {
  return { beforeMs, afterMs: beforeMs + 1, tokens: 5, used: true, endMs: beforeMs + 100, ...more };
}

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
  });

  it('finds two where one may be under way', () => {
    expect(excesses([slots], [at(0), at(100)])).toEqual([]);
    expect(excesses([slots], [at(0), at(98)])).toMatchObject([{ admitted: 2 }]);
  });
});

describe('eight pods and one Redis, deaths, pauses, clocks minutes apart and lost answers', () => {
  if (redisAbsent === null) {
    it(`admit no more than the limits in any window, over ${SCHEDULES} random schedules`, async () => {
      const first = 1 + (Date.now() % 1_000_000);
      const fleet = await Fleet.start(first);
      try {
        let admitted = 0;
        for (let number = first; number < first + SCHEDULES; number++) {
          const outcome = await fleet.run(scheduleOf(number));
          expect({ number, excesses: outcome.excesses }).toEqual({ number, excesses: [] });
          admitted += outcome.admitted;
        }
        expect(admitted).toBeGreaterThan(0);
      } finally {
        await fleet.close();
      }
    });
  } else {
    it(`absent: the history of limits: ${redisAbsent}`, () => undefined);
  }
});
