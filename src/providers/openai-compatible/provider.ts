import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Operation } from '../../lib/operation.ts';
import { chatDialect } from '../openai/chat-dialect.ts';
import { OPENAI_STYLE } from '../openai/chat-request.ts';
import { isOpenAIOperation, OPERATION_PATHS, openAIExchange, overChat, requestHeaders } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { ollamaEmbeddings } from '../ollama/embeddings.ts';
import { embeddingsExchange } from '../shared/embeddings.ts';
import { ollamaDialect } from '../ollama/dialect.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { COMPATIBLE_FAILURES } from './failure.ts';
import { serves, vendorAt } from './vendors.ts';
import { COMPATIBLE_HEADROOM } from './headroom.ts';

/** Of the common part; a server that lacks more says so itself. */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'fileUrls',
  'toolResultImages',
  'cacheMarkers',
  'assistantImages',
  'toolErrors',
]);

const LACKS_BUT_MARKERS: ReadonlySet<Feature> = new Set([...LACKS].filter((feature) => feature !== 'cacheMarkers'));

/** Older servers know only the older name of the bound. */
function chatAt(baseUrl: string): UpstreamDialect {
  const vendor = vendorAt(baseUrl);
  const cacheMarkers = vendor?.cacheMarkers === true;
  const style = { ...OPENAI_STYLE, maxTokens: 'max_tokens' as const, thoughts: vendor?.thoughts ?? null, cacheMarkers };
  return chatDialect(COMPATIBLE_FAILURES, style, cacheMarkers ? LACKS_BUT_MARKERS : LACKS);
}

const TRANSLATED: ReadonlySet<Operation> = new Set<Operation>(['chat', 'completions', 'responses', 'messages']);

function isTranslated(operation: Operation): boolean {
  return TRANSLATED.has(operation);
}

/** Whoever speaks OpenAI's dialect below `baseUrl`. What a server does not have, it says itself (404). */
export const openAICompatible: Provider = {
  kind: 'OpenAICompatible',
  headroom: COMPATIBLE_HEADROOM,
  exchange(target, operation) {
    // Ollama's own API is below `/api`, where its OpenAI one is below `/v1`.
    if (target.baseUrl.endsWith('/api') && isTranslated(operation))
      return overChat(target, operation, ollamaDialect, () => '/chat');
    if (target.baseUrl.endsWith('/api') && operation === 'embeddings')
      return embeddingsExchange(target, requestHeaders(target, target.credential?.value.reveal() ?? ''), ollamaEmbeddings);
    if (target.baseUrl.endsWith('/api') && (operation === 'files' || operation === 'batches')) return null;
    if (!isOpenAIOperation(operation) || !serves(target.baseUrl, operation))
      return overChat(target, operation, chatAt(target.baseUrl), () => OPERATION_PATHS.chat);
    const path = OPERATION_PATHS[operation];
    return openAIExchange(target, operation, COMPATIBLE_FAILURES, () => path);
  },
};
