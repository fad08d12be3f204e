/** What tokens cost at a price: before a call at most, after it in fact. Nano-USD in whole numbers. */
import type { Usage } from '../lib/usage.ts';
import type { PriceTier, Pricing } from '../routetable/types.ts';

const PICO_PER_NANO = 1_000;

/** Of what was used, to the nearest nano-USD. Parts of a usage that are more than its whole are taken for the whole. */
export function costNanoUsd(pricing: Pricing, usage: Usage): number {
  const tier = tierOf(pricing, usage.inputTokens);
  if (tier === undefined) return pricing.requestNanoUsd;
  const cached = Math.min(usage.cachedInputTokens, usage.inputTokens);
  const written = Math.min(usage.cacheWriteTokens ?? 0, usage.inputTokens - cached);
  const writtenForAnHour = Math.min(usage.cacheWriteHourTokens ?? 0, written);
  const reasoning = Math.min(usage.reasoningTokens, usage.outputTokens);
  const picoUsd =
    (usage.inputTokens - cached - written) * tier.inputPicoUsd +
    cached * tier.cachedInputPicoUsd +
    (written - writtenForAnHour) * tier.cacheWritePicoUsd +
    writtenForAnHour * tier.cacheWriteHourPicoUsd +
    (usage.outputTokens - reasoning) * tier.outputPicoUsd +
    reasoning * tier.reasoningPicoUsd;
  return whole(pricing.requestNanoUsd + Math.round(picoUsd / PICO_PER_NANO));
}

/** What a call can have used at most. */
export interface TokenBound {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Never less than `costNanoUsd` of any usage within the bound, wherever its input was cached and whatever tier it ends in. */
export function maxCostNanoUsd(pricing: Pricing, { inputTokens, outputTokens }: TokenBound): number {
  let picoUsd = 0;
  for (const tier of pricing.tiers) {
    if (tier.fromInputTokens > inputTokens) break;
    const input = Math.max(tier.inputPicoUsd, tier.cachedInputPicoUsd, tier.cacheWritePicoUsd, tier.cacheWriteHourPicoUsd);
    const output = Math.max(tier.outputPicoUsd, tier.reasoningPicoUsd);
    picoUsd = Math.max(picoUsd, inputTokens * input + outputTokens * output);
  }
  return whole(pricing.requestNanoUsd + Math.ceil(picoUsd / PICO_PER_NANO));
}

function tierOf({ tiers }: Pricing, inputTokens: number): PriceTier | undefined {
  let found = tiers[0];
  for (const tier of tiers) if (tier.fromInputTokens <= inputTokens) found = tier;
  return found;
}

function whole(nanoUsd: number): number {
  return Math.min(nanoUsd, Number.MAX_SAFE_INTEGER);
}
