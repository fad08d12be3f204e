import { expect, it } from '@jest/globals';
import { addLimitHeaders } from './answers.ts';

function resetText(resetMs: number): string | undefined {
  const headers: string[] = [];
  addLimitHeaders(headers, { requests: { limit: 10, remaining: 9, resetMs } });
  return headers[5];
}

it('writes the time to a reset as OpenAI does, to the next hundredth of a second below a minute', () => {
  expect([0, 0.2, 88, 60_000, 60_001, 3_600_000].map(resetText)).toEqual(['0ms', '1ms', '88ms', '1m0s', '1m1s', '60m0s']);
  const all = Array.from({ length: 59_000 }, (_, i) => 1_000 + i);
  expect(all.filter((ms) => resetText(ms) !== `${Math.ceil(ms / 10) / 100}s`)).toEqual([]);
});
