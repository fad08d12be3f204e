/** What a model costs and what it can: as its own fields say, else the gateway's ConfigMap, else the lists that are built in. */
import type { ConfigMap } from '../api/core.ts';
import { parsePriceList, type ListedPricing, type PriceListEntry } from '../api/price-list.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import type { BackendSpec } from '../api/v1alpha1/model.ts';
import { issue, type Issue } from '../lib/issue.ts';
import { parseNanoUsd, picoUsdPerToken } from '../lib/money.ts';
import { listedPrice, sellerOf } from '../prices/list.ts';
import { modelFacts } from '../prices/models.ts';
import { overrideFor, type Override } from '../prices/override.ts';
import type { PriceOverride, PriceTier, Pricing, Target } from '../routetable/types.ts';
import type { Read } from './memo.ts';
import { configMapValue } from './references.ts';
import type { Upstream } from './upstream.ts';

interface ListedModel extends Override {
  readonly pricing: Pricing | null;
  readonly capabilities: BackendSpec['capabilities'];
}

export interface GatewayPrices {
  readonly models: readonly ListedModel[];
  /** At the gateway's field; what they are about is not among the models. */
  readonly issues: readonly Issue[];
}

export const NO_PRICES: GatewayPrices = { models: [], issues: [] };
const MAX_ISSUES = 8;

/** By ConfigMap and key: thousands of models look into one list. */
const read = new WeakMap<ConfigMap, Map<string, GatewayPrices>>();

export function gatewayPrices({ metadata: { namespace }, spec: { prices } }: LLMGateway, look: Read): GatewayPrices {
  if (prices === undefined) return NO_PRICES;
  const { configMapRef: ref } = prices;
  const path = 'spec.prices.configMapRef';
  const found = configMapValue(look, namespace, ref, path);
  if (!found.ok) return { models: [], issues: [found.error] };
  const { map, value } = found.value;
  const lists = read.get(map) ?? new Map<string, GatewayPrices>();
  read.set(map, lists);
  let list = lists.get(ref.key);
  if (list === undefined) {
    const where = `key ${JSON.stringify(ref.key)} of ConfigMap ${namespace}/${ref.name}`;
    lists.set(ref.key, (list = compileList(value, where, path)));
  }
  return list;
}

function compileList(source: string, where: string, path: string): GatewayPrices {
  const { entries, issues } = parsePriceList(source);
  const told = issues
    .slice(0, MAX_ISSUES)
    .map((found) => issue(path, 'ArtifactInvalid', `${where}: ${found.path === '' ? 'it' : found.path} ${found.message}`));
  if (issues.length > told.length)
    told.push(issue(path, 'ArtifactInvalid', `${where}: and ${issues.length - told.length} more like these`));
  return { models: entries.map(compileEntry), issues: told };
}

function compileEntry({ provider, model, pricing, capabilities }: PriceListEntry): ListedModel {
  const wildcard = model.endsWith('*');
  return {
    provider: provider ?? null,
    model: { value: wildcard ? model.slice(0, -1) : model, wildcard },
    pricing: pricing === undefined ? null : compileListed(pricing),
    capabilities,
  };
}

function compileListed({ request, longContext = [], ...base }: ListedPricing): Pricing {
  const requestNanoUsd = request === undefined ? null : parseNanoUsd(request);
  return {
    source: 'ConfigMap',
    tiers: [
      tierOf(0, base),
      ...[...longContext]
        .sort((a, b) => a.aboveInputTokens - b.aboveInputTokens)
        .map(({ aboveInputTokens, ...prices }) => tierOf(aboveInputTokens + 1, prices)),
    ],
    requestNanoUsd: requestNanoUsd?.ok === true ? requestNanoUsd.value : 0,
  };
}

function tierOf(fromInputTokens: number, prices: Omit<ListedPricing, 'request' | 'longContext'>): PriceTier {
  const input = picoUsdPerToken(prices.input);
  const output = picoUsdPerToken(prices.output);
  const or = (price: string | undefined, otherwise: number): number => (price === undefined ? otherwise : picoUsdPerToken(price));
  const written = or(prices.cacheWrite, input);
  return {
    fromInputTokens,
    inputPicoUsd: input,
    cachedInputPicoUsd: or(prices.cachedInput, input),
    cacheWritePicoUsd: written,
    cacheWriteHourPicoUsd: or(prices.cacheWriteHour, written),
    outputPicoUsd: output,
    reasoningPicoUsd: or(prices.reasoning, output),
  };
}

/** Of the ConfigMap's prices what the data plane needs: for targets whose model the client names. */
export function overridesOf({ models }: GatewayPrices): readonly PriceOverride[] {
  return models.flatMap(({ provider, model, pricing }) => (pricing === null ? [] : [{ provider, model, pricing }]));
}

/** `prices`: those of the gateway that the model is compiled for. */
export function priceModel(
  spec: BackendSpec,
  upstream: Upstream,
  prices: GatewayPrices,
): Pick<Target, 'pricing' | 'capabilities'> {
  const { provider, model } = upstream;
  // A deployment of Azure's bears whatever name; which model it is must be told.
  const told = provider === 'AzureOpenAI' ? (spec.provider.azureOpenAI?.model ?? null) : model;
  const override =
    (model === null ? null : overrideFor(prices.models, provider, model)) ??
    (told === null ? null : overrideFor(prices.models, provider, told));
  const seller = told === null ? null : sellerOf(provider, upstream.baseUrl);
  const listed = seller === null || told === null ? null : listedPrice(seller, told);
  const facts = seller === null || told === null ? null : modelFacts(seller, told);
  const own = spec.capabilities;
  const theirs = override?.capabilities;
  return {
    pricing:
      spec.pricing === undefined
        ? (override?.pricing ?? listed?.pricing ?? null)
        : { source: 'Model', tiers: [tierOf(0, spec.pricing)], requestNanoUsd: 0 },
    capabilities: {
      tools: own?.tools ?? theirs?.tools ?? facts?.tools ?? null,
      jsonSchema: own?.jsonSchema ?? theirs?.jsonSchema ?? facts?.jsonSchema ?? null,
      vision: own?.vision ?? theirs?.vision ?? facts?.vision ?? null,
      contextTokens: own?.contextTokens ?? theirs?.contextTokens ?? listed?.contextTokens ?? contextOf(facts) ?? null,
      maxOutputTokens: own?.maxOutputTokens ?? theirs?.maxOutputTokens ?? facts?.maxOutputTokens ?? null,
    },
  };
}

/** Input alone is listed, which some providers count beside the output: who has room for both must not be left out. */
function contextOf(facts: ReturnType<typeof modelFacts>): number | null {
  return facts === null || facts.inputTokens === null ? null : facts.inputTokens + (facts.maxOutputTokens ?? 0);
}
