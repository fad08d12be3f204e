import { expect, test } from '@jest/globals';

import { formatUsd, parseNanoUsd, picoUsdPerToken } from './money.ts';

test('amounts are whole nano-USD, exactly', () => {
  expect(parseNanoUsd('0.29')).toEqual({ ok: true, value: 290_000_000 });
  expect(parseNanoUsd('500')).toEqual({ ok: true, value: 500_000_000_000 });
  expect(parseNanoUsd('0.000000001')).toEqual({ ok: true, value: 1 });
  expect(parseNanoUsd('9007199')).toEqual({ ok: true, value: 9_007_199_000_000_000 });
});

test('what is no amount, or more than whole numbers hold, is refused with its value', () => {
  expect(parseNanoUsd('-1')).toMatchObject({ ok: false, error: expect.stringContaining('"-1"') });
  expect(parseNanoUsd('1e3')).toMatchObject({ ok: false });
  expect(parseNanoUsd('9007200')).toMatchObject({ ok: false, error: expect.stringContaining('9007199') });
});

test('prices a million tokens are whole pico-USD a token, rounded up', () => {
  expect(picoUsdPerToken('2.5')).toBe(2_500_000);
  expect(picoUsdPerToken('0.075')).toBe(75_000);
  expect(picoUsdPerToken('0.0000001')).toBe(1);
  expect(picoUsdPerToken('0')).toBe(0);
});

test('nano-USD print as dollars without exponent or trailing zeros', () => {
  expect(formatUsd(0)).toBe('0');
  expect(formatUsd(1)).toBe('0.000000001');
  expect(formatUsd(1_500_000_000)).toBe('1.5');
  expect(formatUsd(Number.MAX_SAFE_INTEGER)).toBe('9007199.254740991');
});
