import type { HeadroomHeader } from '../provider.ts';

/** Of trial keys, by the minute: https://docs.cohere.com/docs/rate-limits */
export const COHERE_HEADROOM: readonly HeadroomHeader[] = [
  { unit: 'requests', remaining: 'x-trial-endpoint-call-remaining', reset: null },
];
