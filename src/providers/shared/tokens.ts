/** Beyond any real answer; keeps an absurd figure from eating a tenant's limit for good. */
const MAX_TOKENS = 1_000_000_000;

/** 0 for what is no count. */
export function tokenCount(value: unknown): number {
  return typeof value === 'number' && value > 0 ? Math.min(MAX_TOKENS, Math.trunc(value)) : 0;
}
