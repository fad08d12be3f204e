/** A conversation without what its upstream has no place for: what is named as left out must not be sent all the same. */
import type { Conversation, Feature, Part } from '../../dialects/neutral/conversation.ts';
import { isMedia } from '../../dialects/neutral/reading.ts';

/** The same one where nothing is lacking, which is almost always. */
export function reduced(conversation: Conversation, lacks: ReadonlySet<Feature>): Conversation {
  const lacking = new Set<Feature>();
  for (const feature of conversation.uses.keys()) if (lacks.has(feature)) lacking.add(feature);
  if (lacking.size === 0) return conversation;
  const keep = <T>(feature: Feature, value: T | null): T | null => (lacking.has(feature) ? null : value);
  const { toolChoice, format } = conversation;
  const choice = toolChoice === null ? null : CHOICES[toolChoice.kind];
  const schema = format.kind === 'schema' ? 'jsonSchema' : 'jsonMode';
  return {
    ...conversation,
    temperature: keep('temperature', conversation.temperature),
    topP: keep('topP', conversation.topP),
    topK: keep('topK', conversation.topK),
    seed: keep('seed', conversation.seed),
    frequencyPenalty: keep('frequencyPenalty', conversation.frequencyPenalty),
    presencePenalty: keep('presencePenalty', conversation.presencePenalty),
    topLogprobs: keep('logprobs', conversation.topLogprobs),
    maxOutputTokens: keep('maxOutputTokens', conversation.maxOutputTokens),
    parallelToolCalls: keep('parallelToolCalls', conversation.parallelToolCalls),
    reasoning: keep('reasoning', conversation.reasoning),
    endUser: keep('endUser', conversation.endUser),
    stop: lacking.has('stop') ? [] : conversation.stop,
    toolChoice: choice !== null && lacking.has(choice) ? null : toolChoice,
    format: lacking.has(schema) ? { kind: 'text' } : format,
    turns: PART_FEATURES.some((feature) => lacking.has(feature))
      ? conversation.turns.map(({ role, parts }) => ({ role, parts: partsOf(parts, role === 'assistant', lacking) }))
      : conversation.turns,
  };
}

const CHOICES = {
  auto: 'toolChoice',
  none: 'toolChoiceNone',
  required: 'toolChoice',
  tool: 'toolChoiceNamed',
} as const satisfies Readonly<Record<string, Feature>>;

const PART_FEATURES: readonly Feature[] = [
  'images',
  'imageUrls',
  'assistantImages',
  'files',
  'fileUrls',
  'audio',
  'toolResultImages',
];

function partsOf(parts: readonly Part[], assistant: boolean, lacking: ReadonlySet<Feature>): readonly Part[] {
  return parts.flatMap((part): readonly Part[] => {
    switch (part.kind) {
      case 'image':
        if (lacking.has('images') || (assistant && lacking.has('assistantImages'))) return [];
        return part.source.kind === 'url' && lacking.has('imageUrls') ? [] : [part];
      case 'file':
        return lacking.has('files') || (part.source.kind === 'url' && lacking.has('fileUrls')) ? [] : [part];
      case 'audio':
        return lacking.has('audio') ? [] : [part];
      case 'toolResult': {
        const inner = partsOf(part.parts, false, lacking);
        return [{ ...part, parts: lacking.has('toolResultImages') ? inner.filter((each) => !isMedia(each)) : inner }];
      }
      default:
        return [part];
    }
  });
}
