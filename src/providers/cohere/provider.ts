import type { Feature } from '../../dialects/neutral/conversation.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { SseFrames } from '../shared/frames.ts';
import { translated } from '../shared/translate.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { CohereStream, readCohere } from './answer.ts';
import { COHERE_RULES } from './failure.ts';
import { writeCohere } from './request.ts';

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
  'hints',
]);

const DIALECT: UpstreamDialect = {
  lacks: LACKS,
  errors: COHERE_RULES,
  streamType: 'text/event-stream',
  frames: () => new SseFrames(),
  write: writeCohere,
  read: readCohere,
  stream: (sink, origin) => new CohereStream(sink, origin),
};

/** `baseUrl` ends in the API's version (`https://api.cohere.com/v2`). */
export const cohere: Provider = {
  kind: 'Cohere',
  exchange(target, operation) {
    const headers = requestHeaders(target, target.credential?.value.reveal() ?? '');
    return translated({ target, operation, upstream: DIALECT, path: () => '/chat', headers });
  },
};
