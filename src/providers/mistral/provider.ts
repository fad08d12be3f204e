import type { Feature } from '../../dialects/neutral/conversation.ts';
import { chatDialect } from '../openai/chat-dialect.ts';
import { isOpenAIOperation, OPERATION_PATHS, openAIExchange, overChat } from '../openai/exchange.ts';
import { COMPATIBLE_FAILURES } from '../openai-compatible/failure.ts';
import type { Exchange, Provider } from '../provider.ts';
import { adaptChat, adaptEmbeddings } from './adapt.ts';
import { MISTRAL_HEADROOM } from './headroom.ts';

/** https://docs.mistral.ai/api/endpoint/chat */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'topK',
  'logprobs',
  'files',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'assistantImages',
  'toolErrors',
]);

const CHAT = chatDialect(
  COMPATIBLE_FAILURES,
  { maxTokens: 'max_tokens', seed: 'random_seed', required: 'any', streamOptions: false, cacheMarkers: false, thoughts: null },
  LACKS,
);

/** OpenAI's dialect but for a few names; it refuses what it does not know. `baseUrl` ends in `/v1`. */
export const mistral: Provider = {
  kind: 'Mistral',
  headroom: MISTRAL_HEADROOM,
  exchange(target, operation) {
    // It has neither of the two.
    if (!isOpenAIOperation(operation) || operation === 'responses' || operation === 'completions')
      return overChat(target, operation, CHAT, () => OPERATION_PATHS.chat);
    // Its files and batches are not of OpenAI's form: https://docs.mistral.ai/api/endpoint/batch
    if (operation === 'files' || operation === 'batches') return null;
    const path = OPERATION_PATHS[operation];
    const exchange: Exchange = openAIExchange(target, operation, COMPATIBLE_FAILURES, () => path);
    if (operation === 'embeddings') return { ...exchange, adapt: ({ json }) => adaptEmbeddings(json) };
    return operation === 'chat' ? { ...exchange, adapt: ({ json }) => adaptChat(json) } : exchange;
  },
};
