/** What a provider counts of a caller, each with a limit of its own. */
export const HEADROOM_UNITS = ['requests', 'tokens', 'inputTokens', 'outputTokens'] as const;

export type HeadroomUnit = (typeof HEADROOM_UNITS)[number];
