import type { Operation } from '../../lib/operation.ts';
import type { RequestFacts } from '../facts.ts';
import type { MultipartBody } from '../multipart.ts';
import type { JsonObject, ParsedBody } from '../request-body.ts';

/** English text and code, roughly, for OpenAI's tokenizers; other scripts take more bytes and more tokens. */
const BYTES_PER_TOKEN = 4;
/** Role and separators around each message: OpenAI's cookbook counts 3 to 4. */
const MESSAGE_TOKENS = 4;
/** OpenAI's count for 1024×1024 at high detail (85 + 4 × 170), and for low detail. */
const IMAGE_TOKENS = 765;
const LOW_DETAIL_IMAGE_TOKENS = 85;
/** About 10 tokens a second of audio at 128 kbit/s. */
const AUDIO_CHARS_PER_TOKEN = 2000;
/** A PDF page of 1,500 tokens in 45 KB. */
const FILE_CHARS_PER_TOKEN = 40;

/**
 * Reads what selection, limits and relay need to know. Total: a body of any shape gives facts, and what is shaped unlike the
 * API counts as nothing (its upstream will refuse it). Visits each message and part once; the nesting of what it measures
 * is bounded by `readRequestBody`. Embeddings have no output, so `maxOutputTokens` is 0 there. Of operations that pass
 * through only model and stream are read.
 */
export function readFacts(operation: Operation, path: string, body: ParsedBody | MultipartBody): RequestFacts {
  const prompt: Prompt = { bytes: 0, tokens: 0, images: false };
  let tools = false;
  let jsonSchema = false;
  let maxOutputTokens: number | null = null;
  if (body.kind === 'json') {
    const { json } = body;
    switch (operation) {
      case 'chat':
        addMessages(json['messages'], prompt);
        tools = addIfFilled(json['tools'], prompt) || addIfFilled(json['functions'], prompt);
        jsonSchema = isJsonSchema(json['response_format']);
        if (jsonSchema) prompt.bytes += jsonTextBytes(json['response_format']);
        maxOutputTokens = outputTokens(
          larger(tokenCount(json['max_completion_tokens']), tokenCount(json['max_tokens'])),
          choices(json['n']),
        );
        break;
      case 'responses':
        addItems(json['input'], prompt);
        addText(json['instructions'], prompt);
        tools = addIfFilled(json['tools'], prompt);
        jsonSchema = isJsonSchema(member(json['text'], 'format'));
        if (jsonSchema) prompt.bytes += jsonTextBytes(json['text']);
        maxOutputTokens = outputTokens(tokenCount(json['max_output_tokens']), 1);
        break;
      case 'completions': {
        const prompts = addTextsOrTokens(json['prompt'], prompt);
        addText(json['suffix'], prompt);
        jsonSchema = isJsonSchema(json['response_format']);
        maxOutputTokens = outputTokens(
          tokenCount(json['max_tokens']),
          Math.max(choices(json['n']), choices(json['best_of'])) * Math.max(1, prompts),
        );
        break;
      }
      case 'messages':
      case 'count_tokens':
        addMessages(json['messages'], prompt);
        addContent(json['system'], prompt);
        tools = addIfFilled(json['tools'], prompt);
        jsonSchema = isJsonSchema(member(json['output_config'], 'format')) || isJsonSchema(json['output_format']);
        maxOutputTokens = operation === 'messages' ? tokenCount(json['max_tokens']) : 0;
        break;
      case 'embeddings':
        addTextsOrTokens(json['input'], prompt);
        maxOutputTokens = 0;
        break;
      default:
        break;
    }
  }
  return {
    operation,
    path,
    model: body.model,
    stream: body.stream,
    tools,
    jsonSchema,
    images: prompt.images,
    promptTokens: prompt.tokens + Math.ceil(prompt.bytes / BYTES_PER_TOKEN),
    maxOutputTokens,
    includeUsage: body.kind === 'json' && body.includeUsage,
  };
}

/** Sums over what the model will read. */
interface Prompt {
  /** Bytes of text in UTF-8. */
  bytes: number;
  /** Tokens of what is not text. */
  tokens: number;
  images: boolean;
}

function addMessages(messages: unknown, prompt: Prompt): void {
  if (!Array.isArray(messages)) return;
  for (const message of messages as readonly unknown[]) {
    if (!isObject(message)) continue;
    prompt.tokens += MESSAGE_TOKENS;
    addContent(message['content'], prompt);
    addText(message['name'], prompt);
    addText(message['reasoning_content'], prompt);
    const toolCalls = message['tool_calls'];
    if (!Array.isArray(toolCalls)) continue;
    for (const call of toolCalls as readonly unknown[]) {
      const called = member(call, 'function') ?? member(call, 'custom');
      addText(member(called, 'name'), prompt);
      addText(member(called, 'arguments') ?? member(called, 'input'), prompt);
    }
  }
}

/** The Responses API's `input`: a text, or items of which messages are one kind. */
function addItems(input: unknown, prompt: Prompt): void {
  if (typeof input === 'string') return addText(input, prompt);
  if (!Array.isArray(input)) return;
  for (const item of input as readonly unknown[]) {
    if (!isObject(item)) continue;
    prompt.tokens += MESSAGE_TOKENS;
    addContent(item['content'], prompt);
    addText(item['name'], prompt);
    addText(item['arguments'], prompt);
    addText(item['input'], prompt);
    const output = item['output'];
    if (isObject(output)) addPart(output, prompt);
    else addContent(output, prompt);
    addContent(item['summary'], prompt);
  }
}

function addContent(content: unknown, prompt: Prompt): void {
  if (typeof content === 'string') {
    prompt.bytes += Buffer.byteLength(content);
  } else if (Array.isArray(content)) {
    for (const part of content as readonly unknown[]) {
      if (isObject(part)) addPart(part, prompt);
      else addText(part, prompt);
    }
  }
}

function addPart(part: JsonObject, prompt: Prompt): void {
  switch (part['type']) {
    case 'image':
    case 'image_url':
    case 'input_image':
    case 'computer_screenshot': {
      const detail = part['detail'] ?? member(part['image_url'], 'detail');
      prompt.images = true;
      prompt.tokens += detail === 'low' ? LOW_DETAIL_IMAGE_TOKENS : IMAGE_TOKENS;
      break;
    }
    case 'input_audio':
      prompt.tokens += encodedTokens(member(part['input_audio'], 'data'), AUDIO_CHARS_PER_TOKEN);
      break;
    case 'document':
      prompt.tokens += encodedTokens(member(part['source'], 'data'), FILE_CHARS_PER_TOKEN);
      break;
    case 'tool_use':
      addText(part['name'], prompt);
      prompt.bytes += jsonTextBytes(part['input']);
      break;
    case 'tool_result':
      addContent(part['content'], prompt);
      break;
    case 'thinking':
      addText(part['thinking'], prompt);
      break;
    case 'file':
    case 'input_file':
      prompt.tokens += encodedTokens(member(part['file'], 'file_data') ?? part['file_data'], FILE_CHARS_PER_TOKEN);
      break;
    default:
      addText(part['text'], prompt);
      addText(part['refusal'], prompt);
  }
}

/**
 * `prompt` of completions and `input` of embeddings: a text, texts, token ids, or lists of token ids. Returns how many
 * prompts there are.
 */
function addTextsOrTokens(input: unknown, prompt: Prompt): number {
  if (typeof input === 'string') {
    addText(input, prompt);
    return 1;
  }
  if (!Array.isArray(input)) return 0;
  const items: readonly unknown[] = input;
  if (typeof items[0] === 'number') {
    prompt.tokens += items.length;
    return 1;
  }
  for (const item of items) {
    if (Array.isArray(item)) prompt.tokens += item.length;
    // Multimodal embeddings (vLLM and others) take parts here.
    else if (isObject(item)) addPart(item, prompt);
    else addText(item, prompt);
  }
  return items.length;
}

/** Adds a list's text, and says whether there is anything in it. */
function addIfFilled(list: unknown, prompt: Prompt): boolean {
  if (!Array.isArray(list) || list.length === 0) return false;
  prompt.bytes += jsonTextBytes(list);
  return true;
}

function addText(text: unknown, prompt: Prompt): void {
  if (typeof text === 'string') prompt.bytes += Buffer.byteLength(text);
}

function encodedTokens(data: unknown, charsPerToken: number): number {
  return typeof data === 'string' ? Math.ceil(data.length / charsPerToken) : 0;
}

/** About the bytes that names and values take in a schema; punctuation is left out. Recurses as deep as the body nests. */
function jsonTextBytes(value: unknown): number {
  if (typeof value === 'string') return value.length;
  let bytes = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) bytes += jsonTextBytes(item);
  } else if (isObject(value)) {
    for (const key in value) bytes += key.length + jsonTextBytes(value[key]);
  } else {
    bytes = BYTES_PER_TOKEN;
  }
  return bytes;
}

function isJsonSchema(format: unknown): boolean {
  return member(format, 'type') === 'json_schema';
}

/** A limit on output as a whole number, or null where there is none that makes sense. */
function tokenCount(value: unknown): number | null {
  return typeof value === 'number' && value >= 0 ? Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER) : null;
}

function larger(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

function choices(n: unknown): number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n > 1 ? n : 1;
}

function outputTokens(each: number | null, count: number): number | null {
  return each === null ? null : Math.min(each * count, Number.MAX_SAFE_INTEGER);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own members only: a body's `__proto__` or a missing name must not reach the prototype. */
function member(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
