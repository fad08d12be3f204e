import type { Provider } from '../provider.ts';
import { OPERATION_PATHS, openAIExchange } from './exchange.ts';
import { OPENAI_FAILURES } from './failure.ts';

/** `baseUrl` ends in the API's version (`https://api.openai.com/v1`). */
export const openAI: Provider = {
  kind: 'OpenAI',
  exchange(target, operation) {
    const path = OPERATION_PATHS[operation];
    return openAIExchange(target, operation, OPENAI_FAILURES, () => path);
  },
};
