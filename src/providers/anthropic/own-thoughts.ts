/**
 * A conversation that began with another provider's model has its thoughts, whose proofs Anthropic refuses, and sources of a search
 * that it did not run. They are taken out on their way to Anthropic's own address, where bytes pass otherwise.
 */
import { isSealed, unseal } from '../../dialects/neutral/signature.ts';
import { isObject, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Adapted } from '../provider.ts';

/** null: there is nothing of others in it. */
export function withoutForeignThoughts(json: JsonObject): Adapted | null {
  const { messages } = json;
  if (!Array.isArray(messages)) return null;
  const dropped: string[] = [];
  const adapted = (messages as readonly unknown[]).map((message, index) => {
    if (!isObject(message) || message['role'] !== 'assistant' || !Array.isArray(message['content'])) return message;
    const before = message['content'] as readonly unknown[];
    let changed = false;
    const content = before.flatMap((block, place) => {
      const kept = isObject(block) ? ownBlock(block) : block;
      if (kept === block) return [block];
      changed = true;
      if (kept === null || (isObject(kept) && kept['type'] === 'text')) dropped.push(`messages.${index}.content.${place}`);
      return kept === null ? [] : [kept];
    });
    return changed ? { ...message, content } : message;
  });
  const isFilled = (message: unknown): boolean => !isObject(message) || !isEmptyList(message['content']);
  return adapted.every((message, index) => message === messages[index])
    ? null
    : { json: { ...json, messages: adapted.filter(isFilled) }, dropped };
}

/** The block itself; what stands for it; or null. */
function ownBlock(block: JsonObject): JsonObject | null {
  switch (block['type']) {
    case 'thinking': {
      const signature = stringOf(block['signature']);
      if (signature !== '' && !isSealed(signature)) return block;
      const own = unseal('anthropic', signature);
      return own === null ? null : { ...block, signature: own };
    }
    case 'redacted_thinking': {
      const data = stringOf(block['data']);
      if (!isSealed(data)) return block;
      const own = unseal('anthropic', data);
      return own === null ? null : { ...block, data: own };
    }
    case 'text': {
      const { citations } = block;
      if (!Array.isArray(citations)) return block;
      const own = (citations as readonly unknown[]).filter((each) => !isObject(each) || each['encrypted_index'] !== '');
      if (own.length === citations.length) return block;
      const { citations: _, ...text } = block;
      return own.length === 0 ? text : { ...text, citations: own };
    }
    default:
      return block;
  }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
