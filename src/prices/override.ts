/** A user's own prices, before those that are built in. */
import type { ModelName, ProviderKind } from '../routetable/types.ts';

export interface Override {
  /** null: whoever serves it. */
  readonly provider: ProviderKind | null;
  readonly model: ModelName;
}

/** The exact name before the longest beginning; of two that are equal the one that names the provider, then the first. */
export function overrideFor<T extends Override>(overrides: readonly T[], provider: ProviderKind, model: string): T | null {
  let found: T | null = null;
  let best = -1;
  for (const override of overrides) {
    if (override.provider !== null && override.provider !== provider) continue;
    const { value, wildcard } = override.model;
    if (wildcard ? !model.startsWith(value) : model !== value) continue;
    const rank = (wildcard ? value.length : Number.MAX_SAFE_INTEGER / 4) * 2 + (override.provider === null ? 0 : 1);
    if (rank > best) {
      found = override;
      best = rank;
    }
  }
  return found;
}
