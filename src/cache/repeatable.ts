/** Which requests one answer can serve again. */
import type { ParsedBody } from '../dialects/parsed-body.ts';
import { isObject, objectsOf, type JsonObject } from '../lib/json.ts';

/**
 * False where an answer would leave something behind at the provider (a stored object that the next request names), depends on
 * such a thing, on the world (searches, code that runs there) or on what the gateway does not read; and where it is several answers
 * in one, of which any may be cut short.
 */
export function isRepeatable({ operation, json }: Pick<ParsedBody, 'operation' | 'json'>): boolean {
  switch (operation) {
    case 'embeddings':
      return true;
    case 'chat':
      return (
        !isSet(json, 'store', 'web_search_options', 'audio') && isOne(json['n']) && toolsAreTheClients(json['tools'], 'function')
      );
    case 'completions':
      return isOne(json['n']) && isOne(json['best_of']) && isOnePrompt(json['prompt']);
    case 'responses':
      // OpenAI stores what does not say otherwise.
      return (
        json['store'] === false &&
        !isSet(json, 'previous_response_id', 'conversation', 'background', 'prompt', 'context_management') &&
        toolsAreTheClients(json['tools'], 'function')
      );
    case 'messages':
      return !isSet(json, 'container', 'mcp_servers', 'context_management') && toolsAreTheClients(json['tools'], 'custom');
    case 'count_tokens':
    case 'images_generations':
    case 'images_edits':
    case 'images_variations':
    case 'audio_speech':
    case 'audio_transcriptions':
    case 'audio_translations':
    case 'moderations':
    case 'files':
    case 'batches':
      return false;
  }
}

function isSet(json: JsonObject, ...names: readonly string[]): boolean {
  return names.some((name) => Object.hasOwn(json, name) && json[name] !== null && json[name] !== false);
}

function isOne(value: unknown): boolean {
  return value === undefined || value === null || value === 1;
}

/** A text, or token ids. */
function isOnePrompt(prompt: unknown): boolean {
  return !Array.isArray(prompt) || prompt.length <= 1 || typeof prompt[0] === 'number';
}

/** Tools without a type are of the dialect's own kind; the others run at the provider. */
function toolsAreTheClients(tools: unknown, own: string): boolean {
  if (tools === undefined || tools === null) return true;
  if (!Array.isArray(tools) || !tools.every(isObject)) return false;
  return objectsOf(tools).every(({ type }) => type === undefined || type === own || type === 'custom');
}
