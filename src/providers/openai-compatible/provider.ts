import { OPERATION_PATHS, openAIExchange } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { COMPATIBLE_FAILURES } from './failure.ts';

/** Whoever speaks OpenAI's dialect below `baseUrl`. What a server does not have, it says itself (404). */
export const openAICompatible: Provider = {
  kind: 'OpenAICompatible',
  exchange(target, operation) {
    const path = OPERATION_PATHS[operation];
    return openAIExchange(target, operation, COMPATIBLE_FAILURES, () => path);
  },
};
