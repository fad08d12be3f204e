/**
 * Mistral's names for what OpenAI's clients write otherwise. Only what means the same is renamed; everything else goes as it is,
 * and is refused by Mistral by its name. https://docs.mistral.ai/api/endpoint/chat
 */
import { isObject, type JsonObject } from '../../lib/json.ts';
import type { Adapted } from '../provider.ts';

const RENAMED: Readonly<Record<string, string>> = { max_completion_tokens: 'max_tokens', seed: 'random_seed' };

/** null: there is nothing to change. */
export function adaptChat(json: JsonObject): Adapted | null {
  const adapted: Record<string, unknown> = {};
  let changed = false;
  for (const [name, value] of Object.entries(json)) {
    // Usage comes with every stream's last chunk, asked for or not.
    if (name === 'stream_options') {
      changed = true;
      continue;
    }
    const renamed = RENAMED[name] ?? name;
    const written = name === 'messages' ? adaptMessages(value) : name === 'tool_choice' && value === 'required' ? 'any' : value;
    if (renamed !== name || written !== value) changed = true;
    adapted[renamed] = written;
  }
  return changed ? { json: adapted, dropped: [] } : null;
}

/** https://docs.mistral.ai/api/endpoint/embeddings; null: there is nothing to change. */
export function adaptEmbeddings(json: JsonObject): Adapted | null {
  if (json['dimensions'] === undefined) return null;
  const { dimensions, ...rest } = json;
  return { json: { ...rest, output_dimension: dimensions }, dropped: [] };
}

function adaptMessages(messages: unknown): unknown {
  const isDeveloper = (message: unknown): boolean => isObject(message) && message['role'] === 'developer';
  if (!Array.isArray(messages) || !messages.some(isDeveloper)) return messages;
  return (messages as readonly unknown[]).map((message) =>
    isDeveloper(message) ? { ...(message as object), role: 'system' } : message,
  );
}
