import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Target } from '../../routetable/types.ts';
import { lacksOfClaude } from '../anthropic/dialect.ts';
import type { AnswerHeaders } from '../provider.ts';
import type { ErrorFacts } from '../shared/error-facts.ts';
import { EventStreamFrames } from '../shared/frames.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { ConverseStream, readConverse } from './answer.ts';
import { BEDROCK_RULES } from './failure.ts';
import { writeConverse } from './request.ts';

export const EVENT_STREAM = 'application/vnd.amazon.eventstream';

/** Converse's common part; what a model lacks beyond it, it says itself. */
const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'seed',
  'frequencyPenalty',
  'presencePenalty',
  'logprobs',
  'toolChoiceNone',
  'parallelToolCalls',
  'imageUrls',
  'fileUrls',
  'audio',
  'endUser',
  'assistantImages',
  'imageDetail',
  'strictTools',
]);

export function converseDialect(target: Target): UpstreamDialect {
  const guarded = isGuarded(target);
  return {
    lacks: lacksOfClaude(target.model, LACKS),
    thoughts: 'bedrock',
    errors: BEDROCK_RULES,
    bounds: [['inferenceConfig', 'maxTokens']],
    answersAt: null,
    streamType: EVENT_STREAM,
    frames: () => new EventStreamFrames(),
    write: writeConverse,
    read: readConverse,
    stream: (sink, origin) => new ConverseStream(sink, origin, guarded),
    errorFacts: withErrorType,
  };
}

/** The exception's name is in a header: `ThrottlingException:http://internal.amazon.com/…`. */
export function withErrorType(headers: AnswerHeaders, facts: ErrorFacts): ErrorFacts {
  const type = (headers['x-amzn-errortype'] ?? '').split(':', 1)[0] ?? '';
  return type === '' ? facts : { ...facts, code: type, names: [...facts.names, type.toLowerCase()] };
}

/** The user has put a guardrail before this model. */
function isGuarded({ defaults, override }: Target): boolean {
  return [...defaults, ...override].some(([name]) => name === 'guardrailConfig');
}
