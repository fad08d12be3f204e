/** The built-in price list, from @pydantic/genai-prices: a line a model, so that an update can be read as a diff. */
import { findProvider, TieredPrices, type ModelInfo, type ModelPrice } from '@pydantic/genai-prices';
import type { ListedModel, TierRow } from '../../src/prices/list.ts';

/** When the package's version was taken: of prices that changed over time those of this day are listed. Goes with package.json. */
const LISTED_ON = '2026-11-24';

/** Everybody of the package whom a route can call; others (editors, resellers without an API of their own) are left out. */
const PROVIDERS = [
  'anthropic',
  'arcee',
  'avian',
  'aws',
  'azure',
  'baseten',
  'cerebras',
  'cloudflare',
  'cohere',
  'deepseek',
  'doubleword',
  'fireworks',
  'google',
  'groq',
  'minimax',
  'mistral',
  'moonshotai',
  'novita',
  'openai',
  'openrouter',
  'ovhcloud',
  'perplexity',
  'together',
  'voyageai',
  'x-ai',
  'zai',
  'zhipuai',
];

/** Who sells something else than text beside it: what a usage counts as tokens then has several prices, so the cost is not known. */
const OTHER_OUTPUT = ['output_audio_mtok', 'output_image_mtok', 'output_video_mtok', 'audio_hours', 'input_audio_hours'];

/** JSON, with a line for each model. */
export function renderPriceList(): string {
  const providers = PROVIDERS.map((id) => {
    const provider = findProvider({ providerId: id });
    if (provider === undefined) throw new Error(`@pydantic/genai-prices has no provider ${id} any more`);
    const head = { provider: id, at: provider.api_pattern, also: provider.fallback_model_providers ?? [] };
    const models = provider.models.flatMap(listedModel).map((model) => JSON.stringify(model));
    return `${JSON.stringify(head).slice(0, -1)},"models":[\n${models.join(',\n')}\n]}`;
  });
  const source = JSON.stringify('@pydantic/genai-prices (MIT), by `make generate`');
  return `{"source":${source},"listedOn":"${LISTED_ON}","providers":[\n${providers.join(',\n')}\n]}\n`;
}

function listedModel(model: ModelInfo): readonly ListedModel[] {
  const prices = pricesOn(model.prices);
  if (prices === null || OTHER_OUTPUT.some((key) => prices[key] !== undefined)) return [];
  const tiers = tiersOf(prices);
  if (tiers === null) return [];
  const request = prices['requests_kcount'];
  return [
    {
      is: model.match,
      ...(model.context_window === undefined ? {} : { ctx: model.context_window }),
      usd: tiers,
      ...(typeof request === 'number' ? { kreq: request } : {}),
    },
  ];
}

/** Of prices that depend on the date, the last that has begun; of those on the time of day, the dearest. */
function pricesOn(prices: ModelInfo['prices']): ModelPrice | null {
  if (!Array.isArray(prices)) return prices;
  let found: ModelPrice | null = null;
  for (const { constraint, prices: candidate } of prices) {
    if (constraint?.type === 'start_date' && constraint.start_date > LISTED_ON) continue;
    if (constraint?.type === 'time_of_date' && found !== null && base(candidate, 'output_mtok') < base(found, 'output_mtok'))
      continue;
    found = candidate;
  }
  return found;
}

function base(prices: ModelPrice, key: string): number {
  const price = prices[key];
  return price instanceof TieredPrices ? price.base : (price ?? 0);
}

const KINDS = [
  'input_mtok',
  'output_mtok',
  'cache_read_mtok',
  'cache_write_mtok',
  'cache_write_1h_mtok',
  'output_reasoning_mtok',
] as const;

/** Per tier: from how many input tokens on, then USD a million tokens by KINDS; null: as the list says where it is absent. */
function tiersOf(prices: ModelPrice): readonly TierRow[] | null {
  // Embeddings have no output; whatever else has no price of its input has an unknown one.
  if (prices['input_mtok'] === undefined) return null;
  const starts = new Set([0]);
  for (const kind of KINDS) {
    const price = prices[kind];
    if (typeof price === 'object') for (const { start } of price.tiers) starts.add(start + 1);
  }
  return [...starts]
    .sort((a, b) => a - b)
    .map((from) => {
      const row: (number | null)[] = [from, ...KINDS.map((kind) => priceFrom(prices[kind], from))];
      while (row.length > 2 && row.at(-1) === null) row.pop();
      return row;
    });
}

function priceFrom(price: ModelPrice[string], from: number): number | null {
  if (price === undefined) return null;
  if (typeof price === 'number') return price;
  let found = price.base;
  for (const tier of price.tiers) if (tier.start < from) found = tier.price;
  return found;
}
