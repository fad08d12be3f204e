import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Operation } from '../../lib/operation.ts';
import { chatDialect } from '../openai/chat-dialect.ts';
import { OPENAI_STYLE } from '../openai/chat-request.ts';
import { isOpenAIOperation, OPERATION_PATHS, openAIExchange, overChat } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { ollamaDialect } from '../ollama/dialect.ts';
import { COMPATIBLE_FAILURES } from './failure.ts';
import { serves } from './vendors.ts';

/** Of the common part; a server that lacks more says so itself. */
const LACKS: ReadonlySet<Feature> = new Set<Feature>(['fileUrls', 'toolResultImages', 'cacheMarkers', 'hints']);

/** Older servers know only the older name. */
const CHAT = chatDialect(COMPATIBLE_FAILURES, { ...OPENAI_STYLE, maxTokens: 'max_tokens' }, LACKS);

const TRANSLATED: ReadonlySet<Operation> = new Set<Operation>(['chat', 'completions', 'responses', 'messages']);

function isTranslated(operation: Operation): boolean {
  return TRANSLATED.has(operation);
}

/** Whoever speaks OpenAI's dialect below `baseUrl`. What a server does not have, it says itself (404). */
export const openAICompatible: Provider = {
  kind: 'OpenAICompatible',
  exchange(target, operation) {
    // Ollama's own API is below `/api`, where its OpenAI one is below `/v1`.
    if (target.baseUrl.endsWith('/api') && isTranslated(operation))
      return overChat(target, operation, ollamaDialect, () => '/chat');
    if (!isOpenAIOperation(operation) || !serves(target.baseUrl, operation))
      return overChat(target, operation, CHAT, () => OPERATION_PATHS.chat);
    const path = OPERATION_PATHS[operation];
    return openAIExchange(target, operation, COMPATIBLE_FAILURES, () => path);
  },
};
