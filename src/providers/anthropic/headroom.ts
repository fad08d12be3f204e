import type { HeadroomHeader } from '../provider.ts';

/** https://docs.claude.com/en/api/rate-limits#response-headers; resets are times of RFC 3339; fixture anthropic/messages-json-stop */
export const ANTHROPIC_HEADROOM: readonly HeadroomHeader[] = [
  { unit: 'requests', remaining: 'anthropic-ratelimit-requests-remaining', reset: 'anthropic-ratelimit-requests-reset' },
  { unit: 'tokens', remaining: 'anthropic-ratelimit-tokens-remaining', reset: 'anthropic-ratelimit-tokens-reset' },
  {
    unit: 'inputTokens',
    remaining: 'anthropic-ratelimit-input-tokens-remaining',
    reset: 'anthropic-ratelimit-input-tokens-reset',
  },
  {
    unit: 'outputTokens',
    remaining: 'anthropic-ratelimit-output-tokens-remaining',
    reset: 'anthropic-ratelimit-output-tokens-reset',
  },
];
