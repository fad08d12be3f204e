import type { Feature } from '../../dialects/neutral/conversation.ts';
import { SseFrames } from '../shared/frames.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { GenerateStream, readGenerated } from './answer.ts';
import { GEMINI_RULES } from './failure.ts';
import { writeGenerate } from './request.ts';

/** Its own caches are objects of their own, and likelihoods come in a form that chat has no place for. */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'logprobs',
  'parallelToolCalls',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'hints',
]);

export const geminiDialect: UpstreamDialect = {
  lacks: LACKS,
  errors: GEMINI_RULES,
  streamType: 'text/event-stream',
  frames: () => new SseFrames(),
  write: writeGenerate,
  read: readGenerated,
  stream: (sink, origin) => new GenerateStream(sink, origin),
};
