import { describe, expect, it } from '@jest/globals';
import type { AnswerHeaders } from '../provider.ts';
import { MAX_RETRY_AFTER_MS, parseDurationMs, parseHttpDateMs, retryAfterMs } from './retry-after.ts';

const at = (headers: AnswerHeaders, message = '', scope: 'requests' | 'tokens' | 'unknown' = 'unknown'): number | null =>
  retryAfterMs(headers, scope, { message, retryDelayMs: null });

describe('retryAfterMs', () => {
  it.each([
    [{ 'retry-after': '9' }, 9000],
    [{ 'retry-after': '0.25' }, 250],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '7, 9' }, 7000],
    [{ 'retry-after': '1', 'retry-after-ms': '317' }, 317],
    [{ 'retry-after': '1', 'retry-after-ms': 'soon' }, 1000],
    [{ 'retry-after': '30s' }, 30_000],
    [{ 'retry-after': '-1' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': 'NaN' }, null],
    [{ 'retry-after': '' }, null],
    [{ 'retry-after': '86400' }, MAX_RETRY_AFTER_MS],
    [{ 'retry-after': '99999999999999999999' }, null],
    [{}, null],
  ])('%j: %p', (headers, expected) => {
    expect(at(headers)).toBe(expected);
  });

  it('measures a date from the answer’s own date, and takes none without it', () => {
    const date = 'Sun, 28 Feb 2027 23:59:50 GMT';
    expect(at({ 'retry-after': 'Mon, 01 Mar 2027 00:00:05 GMT', date })).toBe(15_000);
    expect(at({ 'retry-after': 'Sun, 28 Feb 2027 23:00:00 GMT', date })).toBe(0);
    expect(at({ 'retry-after': 'Mon, 01 Mar 2027 00:00:05 GMT' })).toBeNull();
  });

  it('reads the reset of the limit that was hit', () => {
    const headers = { 'x-ratelimit-reset-requests': '6m0s', 'x-ratelimit-reset-tokens': '88ms' };
    expect(at(headers, '', 'requests')).toBe(360_000);
    expect(at(headers, '', 'tokens')).toBe(88);
    expect(at(headers, '', 'unknown')).toBeNull();
    expect(at({ 'x-ratelimit-reset-tokens': '12' }, '', 'tokens')).toBe(12_000);
    const date = 'Thu, 01 Jan 2026 00:00:00 GMT';
    expect(at({ 'x-ratelimit-reset': '1767225610', date })).toBe(10_000);
    expect(at({ 'x-ratelimit-reset': '1767225610500', date })).toBe(10_500);
    expect(at({ 'x-ratelimit-reset': '1767225610' })).toBeNull();
  });

  it('believes the message last', () => {
    expect(at({}, 'Rate limit reached. Please try again in 1m2.5s. Visit …')).toBe(62_500);
    expect(at({}, 'Please retry after 9 seconds.')).toBe(9000);
    expect(at({}, 'Please try again in 20 minutes')).toBe(1_200_000);
    expect(at({}, 'Please retry after 86400 seconds.')).toBe(MAX_RETRY_AFTER_MS);
    expect(at({ 'retry-after': '2' }, 'Please retry after 9 seconds.')).toBe(2000);
    expect(at({}, 'Please try again later')).toBeNull();
    expect(retryAfterMs(null, 'unknown', { message: 'retry in 3s', retryDelayMs: null })).toBe(3000);
  });
});

describe('parseDurationMs', () => {
  it.each([
    ['6m0s', 360_000],
    ['2m59.56s', 179_560],
    ['1s', 1000],
    ['88ms', 88],
    ['0s', 0],
    ['1h2m3s', 3_723_000],
    ['1d', 86_400_000],
    ['5 minutes', 300_000],
    ['', null],
    ['s', null],
    ['5', null],
    ['5 months', null],
  ])('%s', (text, expected) => {
    expect(parseDurationMs(text)).toBe(expected);
  });
});

describe('parseHttpDateMs', () => {
  it('agrees with the calendar over 150 years', () => {
    for (let ms = Date.UTC(1951, 0, 1, 1, 2, 3); ms < Date.UTC(2101, 0, 1); ms += 86_400_000 * 13 + 12_345_000) {
      expect(parseHttpDateMs(new Date(ms).toUTCString())).toBe(ms);
    }
  });

  it.each([
    '',
    'soon',
    '2026-01-01T00:00:00Z',
    'Thu, 01 Foo 2026 00:00:00 GMT',
    'Thu, 01 anF 2026 00:00:00 GMT',
    'Thu, 1 Jan 2026 00:00:00 GMT',
  ])('is not %p', (text) => {
    expect(parseHttpDateMs(text)).toBeNull();
  });
});
