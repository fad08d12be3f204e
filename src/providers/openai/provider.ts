import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Provider } from '../provider.ts';
import { chatDialect } from './chat-dialect.ts';
import { OPENAI_STYLE } from './chat-request.ts';
import { isOpenAIOperation, OPERATION_PATHS, openAIExchange, overChat } from './exchange.ts';
import { OPENAI_FAILURES } from './failure.ts';
import { OPENAI_HEADROOM } from './headroom.ts';

/** What its own API has no place for. */
export const OPENAI_LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'topK',
  'fileUrls',
  'toolResultImages',
  'cacheMarkers',
  'assistantImages',
  'toolErrors',
]);

const CHAT = chatDialect(OPENAI_FAILURES, OPENAI_STYLE, OPENAI_LACKS);

/** `baseUrl` ends in the API's version (`https://api.openai.com/v1`). */
export const openAI: Provider = {
  kind: 'OpenAI',
  headroom: OPENAI_HEADROOM,
  exchange(target, operation) {
    if (!isOpenAIOperation(operation)) return overChat(target, operation, CHAT, () => OPERATION_PATHS.chat);
    const path = OPERATION_PATHS[operation];
    return openAIExchange(target, operation, OPENAI_FAILURES, () => path);
  },
};
