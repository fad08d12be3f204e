import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Target } from '../../routetable/types.ts';
import { SseFrames } from '../shared/frames.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { readMessage } from './answer.ts';
import { ANTHROPIC_RULES } from './failure.ts';
import { generationOf, writeMessages } from './request.ts';
import { MessagesStream } from './stream.ts';

/** https://docs.claude.com/en/api/openai-sdk lists what has no counterpart. */
const ANTHROPIC_LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'seed',
  'frequencyPenalty',
  'presencePenalty',
  'logprobs',
  'audio',
  'assistantImages',
  'imageDetail',
]);

/** They answer 400 to each of these, whatever its value: https://platform.claude.com/docs/en/about-claude/models/migration-guide */
const SAMPLING: readonly Feature[] = ['temperature', 'topP', 'topK'];
const WITHOUT_SAMPLING_FROM = 4.7;

/** `lacks`, and what the newer Claude models have given up. A name without a number is not judged: the provider says it itself. */
export function lacksOfClaude(model: string | null, lacks: ReadonlySet<Feature>): ReadonlySet<Feature> {
  const generation = generationOf(model ?? '');
  return Number.isFinite(generation) && generation >= WITHOUT_SAMPLING_FROM ? new Set([...lacks, ...SAMPLING]) : lacks;
}

export function anthropicDialect({ capabilities, model: named }: Target): UpstreamDialect {
  return {
    lacks: lacksOfClaude(named, ANTHROPIC_LACKS),
    thoughts: 'anthropic',
    errors: ANTHROPIC_RULES,
    bounds: [['max_tokens']],
    answersAt: null,
    streamType: 'text/event-stream',
    frames: () => new SseFrames(),
    write: (conversation, model) => writeMessages(conversation, { name: model, maxOutputTokens: capabilities.maxOutputTokens }),
    read: readMessage,
    stream: (sink, origin) => new MessagesStream(sink, origin),
  };
}
