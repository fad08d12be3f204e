import type { Feature } from '../../dialects/neutral/conversation.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { embeddingsExchange } from '../shared/embeddings.ts';
import { SseFrames } from '../shared/frames.ts';
import { translated } from '../shared/translate.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { CohereStream, readCohere } from './answer.ts';
import { cohereEmbeddings } from './embeddings.ts';
import { COHERE_RULES } from './failure.ts';
import { writeCohere } from './request.ts';
import { COHERE_HEADROOM } from './headroom.ts';

const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'logprobs',
  'toolChoiceNamed',
  'parallelToolCalls',
  'files',
  'fileUrls',
  'audio',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'assistantImages',
  'toolErrors',
]);

const DIALECT: UpstreamDialect = {
  lacks: LACKS,
  thoughts: null,
  errors: COHERE_RULES,
  bounds: [['max_tokens']],
  answersAt: null,
  streamType: 'text/event-stream',
  frames: () => new SseFrames(),
  write: writeCohere,
  read: readCohere,
  stream: (sink, origin) => new CohereStream(sink, origin),
};

/** `baseUrl` ends in the API's version (`https://api.cohere.com/v2`). */
export const cohere: Provider = {
  kind: 'Cohere',
  headroom: COHERE_HEADROOM,
  exchange(target, operation) {
    const headers = requestHeaders(target, target.credential?.value.reveal() ?? '');
    if (operation === 'embeddings') return embeddingsExchange(target, headers, cohereEmbeddings);
    return translated({ target, operation, upstream: DIALECT, path: () => '/chat', headers });
  },
};
