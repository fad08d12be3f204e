/** The list that is built in: prices and context windows by provider and by the provider's name of a model. */
import { picoUsdOf } from '../lib/money.ts';
import type { PriceTier, Pricing, ProviderKind } from '../routetable/types.ts';
import { isNamed, type Names } from './match.ts';
import { bareName } from './names.ts';
import list from './price-list.generated.json' with { type: 'json' };

export interface ListedPrice {
  readonly pricing: Pricing;
  /** Input and output together; null: the list does not say. */
  readonly contextTokens: number | null;
}

/** Longer names are nobody's, and are not looked up. */
const MAX_NAME_CHARS = 256;

/** Who serves a target, by the list's name; null: nobody whom it knows. OpenAICompatible ones are known by their host. */
export function sellerOf(kind: ProviderKind, baseUrl: string): string | null {
  const known = SELLERS[kind];
  if (known !== undefined) return known;
  for (const { provider, at } of BASE_URLS) if (at.test(baseUrl)) return provider;
  return null;
}

const SELLERS: Readonly<Partial<Record<ProviderKind, string>>> = {
  OpenAI: 'openai',
  AzureOpenAI: 'azure',
  Anthropic: 'anthropic',
  Gemini: 'google',
  VertexAI: 'google',
  Bedrock: 'aws',
  Mistral: 'mistral',
  Cohere: 'cohere',
};

/** null: not in the list. `model`: as the provider calls it, a path or an ARN around it included. */
export function listedPrice(seller: string, model: string): ListedPrice | null {
  if (model.length > MAX_NAME_CHARS) return null;
  const name = bareName(model);
  const provider = BY_NAME.get(seller);
  // What is not text has prices of its own, and a usage does not tell it apart.
  if (provider === undefined || /\b(audio|realtime|live|tts|image|video)\b/.test(name)) return null;
  for (const { models } of [provider, ...provider.also.flatMap((id) => BY_NAME.get(id) ?? [])]) {
    const found = models.find(({ is }) => isNamed(is, name));
    if (found !== undefined) return { pricing: pricingOf(found), contextTokens: found.ctx ?? null };
  }
  return null;
}

/** Per tier: from how many input tokens on, then input, output, cached, written, written for an hour, reasoning. */
export type TierRow = readonly (number | null)[];

export interface ListedModel {
  readonly is: Names;
  readonly ctx?: number;
  /** USD a million tokens. */
  readonly usd: readonly TierRow[];
  /** USD a thousand requests. */
  readonly kreq?: number;
}

interface ListedProvider {
  readonly provider: string;
  /** Its base URLs, as a pattern. */
  readonly at: string;
  /** Whose prices it takes for models that it does not list. */
  readonly also: readonly string[];
  readonly models: readonly ListedModel[];
}

const PROVIDERS = list.providers as readonly ListedProvider[];
const BY_NAME = new Map(PROVIDERS.map((provider) => [provider.provider, provider]));
// Anchored: a URL that only contains a provider's is not the provider's.
const BASE_URLS = PROVIDERS.map(({ provider, at }) => ({ provider, at: new RegExp(`^(?:${at})`) }));

function pricingOf({ usd, kreq }: ListedModel): Pricing {
  return { source: 'BuiltIn', tiers: usd.map(tierOf), requestNanoUsd: Math.round((kreq ?? 0) * 1e6) };
}

function tierOf([from, input, output, cached, written, writtenForAnHour, reasoning]: TierRow): PriceTier {
  const inputUsd = input ?? 0;
  const outputUsd = output ?? 0;
  const writtenUsd = written ?? inputUsd;
  return {
    fromInputTokens: from ?? 0,
    inputPicoUsd: picoUsdOf(inputUsd),
    cachedInputPicoUsd: picoUsdOf(cached ?? inputUsd),
    cacheWritePicoUsd: picoUsdOf(writtenUsd),
    cacheWriteHourPicoUsd: picoUsdOf(writtenForAnHour ?? writtenUsd),
    outputPicoUsd: picoUsdOf(outputUsd),
    reasoningPicoUsd: picoUsdOf(reasoning ?? outputUsd),
  };
}
