import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CALENDAR_PERIODS, isTimeZone, periodAt } from './calendar.ts';

const HOUR_MS = 3_600_000;
const at = (text: string): number => Date.parse(text);
const iso = ({ startMs, endMs }: { startMs: number; endMs: number }): readonly [string, string] => [
  new Date(startMs).toISOString().replace('.000', ''),
  new Date(endMs).toISOString().replace('.000', ''),
];

const ZONES = [
  'UTC',
  'Europe/Rome',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Havana',
  'Asia/Kathmandu',
  'Asia/Beirut',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
];

describe('a period of the calendar', () => {
  it.each([
    [
      'a day of summer time has 24 hours',
      'Day',
      'Europe/Rome',
      '2026-07-10T22:00:00Z',
      '2026-07-10T22:00:00Z',
      '2026-07-11T22:00:00Z',
    ],
    ['clocks go forward: 23 hours', 'Day', 'Europe/Rome', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z'],
    ['clocks go back: 25 hours', 'Day', 'Europe/Rome', '2026-10-25T00:30:00Z', '2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z'],
    ['the last millisecond', 'Day', 'UTC', '2026-01-31T23:59:59.999Z', '2026-01-31T00:00:00Z', '2026-02-01T00:00:00Z'],
    [
      'a midnight that clocks leave out',
      'Day',
      'America/Sao_Paulo',
      '2018-11-04T12:00:00Z',
      '2018-11-04T03:00:00Z',
      '2018-11-05T02:00:00Z',
    ],
    [
      'a midnight that clocks show twice',
      'Day',
      'America/Havana',
      '2025-11-02T12:00:00Z',
      '2025-11-02T04:00:00Z',
      '2025-11-03T05:00:00Z',
    ],
    [
      'clocks go back over midnight',
      'Day',
      'America/Sao_Paulo',
      '2018-02-18T02:30:00Z',
      '2018-02-17T02:00:00Z',
      '2018-02-18T03:00:00Z',
    ],
    [
      'a date that its zone left out',
      'Day',
      'Pacific/Apia',
      '2011-12-30T10:00:00Z',
      '2011-12-30T10:00:00Z',
      '2011-12-31T10:00:00Z',
    ],
    ['weeks begin on Monday', 'Week', 'UTC', '2026-11-22T23:59:59Z', '2026-11-16T00:00:00Z', '2026-11-23T00:00:00Z'],
    ['on a Monday', 'Week', 'UTC', '2026-11-23T00:00:00Z', '2026-11-23T00:00:00Z', '2026-11-30T00:00:00Z'],
    ['February of a leap year', 'Month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z'],
    [
      'a month with a change of clocks',
      'Month',
      'America/New_York',
      '2026-03-31T12:00:00Z',
      '2026-03-01T05:00:00Z',
      '2026-04-01T04:00:00Z',
    ],
    ['December', 'Month', 'Asia/Kathmandu', '2026-12-31T18:14:59Z', '2026-11-30T18:15:00Z', '2026-12-31T18:15:00Z'],
    ['a year', 'Year', 'Europe/Rome', '2026-06-01T00:00:00Z', '2025-12-31T23:00:00Z', '2026-12-31T23:00:00Z'],
    [
      'an hour of a zone at :45',
      'Hour',
      'Asia/Kathmandu',
      '2026-01-01T00:20:00Z',
      '2026-01-01T00:15:00Z',
      '2026-01-01T01:15:00Z',
    ],
    [
      'an hour that is shown twice is two',
      'Hour',
      'Europe/Rome',
      '2026-10-25T01:30:00Z',
      '2026-10-25T01:00:00Z',
      '2026-10-25T02:00:00Z',
    ],
    [
      'clocks that change by half an hour',
      'Hour',
      'Australia/Lord_Howe',
      '2026-04-04T15:15:00Z',
      '2026-04-04T15:00:00Z',
      '2026-04-04T15:30:00Z',
    ],
  ] as const)('%s', (_, period, timeZone, moment, start, end) => {
    expect(iso(periodAt({ period, timeZone }, at(moment)))).toEqual([start, end]);
  });

  const lengths = {
    Hour: [0, 1],
    Day: [22, 26],
    Week: [7 * 24 - 2, 7 * 24 + 2],
    Month: [28 * 24 - 2, 31 * 24 + 2],
    Year: [8759, 8786],
  };

  it('holds its moment, and the next begins where it ends', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.constantFrom(...CALENDAR_PERIODS),
        fc.integer({ min: at('2012-01-02T00:00:00Z'), max: at('2037-12-31T00:00:00Z') }),
        (timeZone, period, momentMs) => {
          const calendar = { period, timeZone };
          const found = periodAt(calendar, momentMs);
          expect(found.startMs).toBeLessThanOrEqual(momentMs);
          expect(found.endMs).toBeGreaterThan(momentMs);
          expect(periodAt(calendar, found.startMs)).toEqual(found);
          expect(periodAt(calendar, found.endMs - 1)).toEqual(found);
          expect(periodAt(calendar, found.endMs).startMs).toBe(found.endMs);
          const hours = (found.endMs - found.startMs) / HOUR_MS;
          expect(hours).toBeGreaterThan((lengths[period][0] ?? 0) - 0.001);
          expect(hours).toBeLessThanOrEqual(lengths[period][1] ?? 0);
        },
      ),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 1_000) },
    );
  });

  it('is cut where the clocks show another date', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ZONES),
        fc.integer({ min: at('2012-01-02T00:00:00Z'), max: at('2037-12-31T00:00:00Z') }),
        (timeZone, momentMs) => {
          const { startMs } = periodAt({ period: 'Day', timeZone }, momentMs);
          const date = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
          expect(date.format(startMs) > date.format(startMs - 1)).toBe(true);
        },
      ),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
    );
  });
});

describe('isTimeZone', () => {
  it.each(['Europe/Rome', 'UTC', 'Etc/GMT+3'])('knows %s', (name) => expect(isTimeZone(name)).toBe(true));
  it.each(['Europe/Atlantis', 'Rome', ''])('does not know %p', (name) => expect(isTimeZone(name)).toBe(false));
});
