import type { HeadroomHeader } from '../provider.ts';
import { OPENAI_FORM } from '../shared/headroom.ts';

/** Whoever is at the address says what it has; names that only one of them has mean the same at all. */
export const COMPATIBLE_HEADROOM: readonly HeadroomHeader[] = [
  // Groq, xAI, Fireworks, vLLM behind a gateway; https://console.groq.com/docs/rate-limits#rate-limit-headers
  ...OPENAI_FORM,
  // Together by the second, OpenRouter: https://docs.together.ai/docs/rate-limits, https://openrouter.ai/docs/api/reference/limits
  { unit: 'requests', remaining: 'x-ratelimit-remaining', reset: 'x-ratelimit-reset' },
  // Cerebras: https://inference-docs.cerebras.ai/support/rate-limits#rate-limit-headers
  { unit: 'requests', remaining: 'x-ratelimit-remaining-requests-day', reset: 'x-ratelimit-reset-requests-day' },
  { unit: 'tokens', remaining: 'x-ratelimit-remaining-tokens-minute', reset: 'x-ratelimit-reset-tokens-minute' },
];
