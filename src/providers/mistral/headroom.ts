import type { HeadroomHeader } from '../provider.ts';

/** As its answers have it: by the minute, and until when is not told; before, by size. Fixtures mistral/chat-json-stop, mistral/chat-sse-stop */
export const MISTRAL_HEADROOM: readonly HeadroomHeader[] = [
  { unit: 'requests', remaining: 'x-ratelimit-remaining-req-minute', reset: null },
  { unit: 'tokens', remaining: 'x-ratelimit-remaining-tokens-minute', reset: null },
  { unit: 'tokens', remaining: 'ratelimitbysize-remaining', reset: 'ratelimitbysize-reset' },
];
