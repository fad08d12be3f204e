import type { PriceOverride, Pricing, Target } from '../routetable/types.ts';
import { listedPrice, sellerOf } from './list.ts';
import { overrideFor } from './override.ts';

/** Names that clients may invent are forgotten beyond this. */
const MAX_REMEMBERED = 1_000;

/** Prices of models that only the client names: the table cannot have them resolved. */
export class PriceBook {
  #overrides: readonly PriceOverride[] = [];
  readonly #remembered = new Map<string, Pricing | null>();

  /** The gateway's own prices, before the built-in ones. */
  override(overrides: readonly PriceOverride[]): void {
    if (overrides === this.#overrides) return;
    this.#overrides = overrides;
    this.#remembered.clear();
  }

  /** null: unknown. `clientModel` counts where the target has no model of its own; of Azure's it is a deployment of any model. */
  of(target: Target, clientModel: string): Pricing | null {
    if (target.pricing !== null || target.model !== null) return target.pricing;
    const key = `${target.provider} ${target.baseUrl} ${clientModel}`;
    let found = this.#remembered.get(key);
    if (found === undefined) {
      found = this.#lookUp(target, clientModel);
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
      this.#remembered.set(key, found);
    }
    return found;
  }

  #lookUp({ provider, baseUrl }: Target, model: string): Pricing | null {
    const override = overrideFor(this.#overrides, provider, model);
    if (override !== null) return override.pricing;
    const seller = provider === 'AzureOpenAI' ? null : sellerOf(provider, baseUrl);
    return seller === null ? null : (listedPrice(seller, model)?.pricing ?? null);
  }
}
