import type { Feature } from '../../dialects/neutral/conversation.ts';
import { chatDialect } from '../openai/chat-dialect.ts';
import { isOpenAIOperation, OPERATION_PATHS, openAIExchange, overChat } from '../openai/exchange.ts';
import { COMPATIBLE_FAILURES } from '../openai-compatible/failure.ts';
import type { Exchange, Provider } from '../provider.ts';
import { adaptChat } from './adapt.ts';

/** https://docs.mistral.ai/api/endpoint/chat */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'topK',
  'logprobs',
  'files',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'hints',
]);

const CHAT = chatDialect(
  COMPATIBLE_FAILURES,
  { maxTokens: 'max_tokens', seed: 'random_seed', required: 'any', streamOptions: false, cacheMarkers: false },
  LACKS,
);

/** OpenAI's dialect but for a few names; it refuses what it does not know. `baseUrl` ends in `/v1`. */
export const mistral: Provider = {
  kind: 'Mistral',
  exchange(target, operation) {
    // It has neither of the two.
    if (!isOpenAIOperation(operation) || operation === 'responses' || operation === 'completions')
      return overChat(target, operation, CHAT, () => OPERATION_PATHS.chat);
    const path = OPERATION_PATHS[operation];
    const exchange: Exchange = openAIExchange(target, operation, COMPATIBLE_FAILURES, () => path);
    return operation === 'chat' ? { ...exchange, adapt: adaptChat } : exchange;
  },
};
