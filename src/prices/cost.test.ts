import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import type { Usage } from '../lib/usage.ts';
import type { PriceTier, Pricing } from '../routetable/types.ts';
import { costNanoUsd, maxCostNanoUsd } from './cost.ts';

const LONG: PriceTier = {
  fromInputTokens: 200_001,
  inputPicoUsd: 6_000_000,
  cachedInputPicoUsd: 600_000,
  cacheWritePicoUsd: 7_500_000,
  cacheWriteHourPicoUsd: 12_000_000,
  outputPicoUsd: 22_500_000,
  reasoningPicoUsd: 22_500_000,
};
const SHORT: PriceTier = {
  fromInputTokens: 0,
  inputPicoUsd: 3_000_000,
  cachedInputPicoUsd: 300_000,
  cacheWritePicoUsd: 3_750_000,
  cacheWriteHourPicoUsd: 6_000_000,
  outputPicoUsd: 15_000_000,
  reasoningPicoUsd: 20_000_000,
};
const PRICING: Pricing = { source: 'BuiltIn', tiers: [SHORT, LONG], requestNanoUsd: 0 };

function used(usage: Partial<Usage>): Usage {
  return { inputTokens: 0, outputTokens: 0, cachedInputTokens: 0, reasoningTokens: 0, estimated: false, ...usage };
}

test('fresh, cached, written and thought tokens have their own prices', () => {
  const usage = used({
    inputTokens: 1_000,
    cachedInputTokens: 400,
    cacheWriteTokens: 300,
    cacheWriteHourTokens: 100,
    outputTokens: 50,
    reasoningTokens: 20,
  });
  // 300 fresh, 400 cached, 200 written, 100 written for an hour, 30 told, 20 thought.
  expect(costNanoUsd(PRICING, usage)).toBe(300 * 3_000 + 400 * 300 + 200 * 3_750 + 100 * 6_000 + 30 * 15_000 + 20 * 20_000);
});

test('a long prompt is priced by its tier as a whole, output included', () => {
  expect(costNanoUsd(PRICING, used({ inputTokens: 200_000, outputTokens: 10 }))).toBe(200_000 * 3_000 + 10 * 15_000);
  expect(costNanoUsd(PRICING, used({ inputTokens: 200_001, outputTokens: 10 }))).toBe(200_001 * 6_000 + 10 * 22_500);
});

test('a price of a request is added to that of its tokens', () => {
  expect(costNanoUsd({ ...PRICING, requestNanoUsd: 5_000_000 }, used({ inputTokens: 1 }))).toBe(5_003_000);
});

test('no usage within a bound costs more than the bound', () => {
  const tokens = fc.nat({ max: 400_000 });
  const price = fc.nat({ max: 100_000_000 });
  const tier = (fromInputTokens: number): fc.Arbitrary<PriceTier> =>
    fc.record({
      fromInputTokens: fc.constant(fromInputTokens),
      inputPicoUsd: price,
      cachedInputPicoUsd: price,
      cacheWritePicoUsd: price,
      cacheWriteHourPicoUsd: price,
      outputPicoUsd: price,
      reasoningPicoUsd: price,
    });
  const usage = fc.record({
    inputTokens: tokens,
    outputTokens: tokens,
    cachedInputTokens: tokens,
    cacheWriteTokens: tokens,
    cacheWriteHourTokens: tokens,
    reasoningTokens: tokens,
    estimated: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.tuple(tier(0), tier(128_000), tier(200_000)),
      price,
      usage,
      tokens,
      tokens,
      (tiers, request, at, more, longer) => {
        const pricing: Pricing = { source: 'Model', tiers, requestNanoUsd: request };
        const bound = { inputTokens: at.inputTokens + more, outputTokens: at.outputTokens + longer };
        const cost = costNanoUsd(pricing, at);
        expect(Number.isSafeInteger(cost)).toBe(true);
        expect(maxCostNanoUsd(pricing, bound)).toBeGreaterThanOrEqual(cost);
      },
    ),
  );
});
