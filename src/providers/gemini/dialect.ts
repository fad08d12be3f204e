import type { Feature } from '../../dialects/neutral/conversation.ts';
import { SseFrames } from '../shared/frames.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { GenerateStream, readGenerated } from './answer.ts';
import { GEMINI_RULES } from './failure.ts';
import { writeGenerate } from './request.ts';

/** Its own caches are objects of their own. */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'parallelToolCalls',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'imageDetail',
  'strictTools',
]);

export const geminiDialect: UpstreamDialect = {
  lacks: LACKS,
  thoughts: 'gemini',
  errors: GEMINI_RULES,
  bounds: [['generationConfig', 'maxOutputTokens']],
  answersAt: ['generationConfig', 'candidateCount'],
  streamType: 'text/event-stream',
  frames: () => new SseFrames(),
  write: writeGenerate,
  read: readGenerated,
  stream: (sink, origin) => new GenerateStream(sink, origin),
};
