import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { Target } from '../../routetable/types.ts';
import { SseFrames } from '../shared/frames.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { readMessage } from './answer.ts';
import { ANTHROPIC_RULES } from './failure.ts';
import { writeMessages } from './request.ts';
import { MessagesStream } from './stream.ts';

/** https://docs.claude.com/en/api/openai-sdk lists what has no counterpart. */
export const ANTHROPIC_LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'seed',
  'frequencyPenalty',
  'presencePenalty',
  'logprobs',
  'audio',
  'hints',
]);

export function anthropicDialect({ capabilities }: Target): UpstreamDialect {
  return {
    lacks: ANTHROPIC_LACKS,
    errors: ANTHROPIC_RULES,
    streamType: 'text/event-stream',
    frames: () => new SseFrames(),
    write: (conversation, model) => writeMessages(conversation, { name: model, maxOutputTokens: capabilities.maxOutputTokens }),
    read: readMessage,
    stream: (sink, origin) => new MessagesStream(sink, origin),
  };
}
