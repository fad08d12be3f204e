import type { Operation } from '../../lib/operation.ts';
import { textTokens, type ImageSize, type PromptSize, type TokenCounter } from '../../lib/prompt-size.ts';
import type { RequestFacts } from '../facts.ts';
import { imageSize, MAX_HEAD_CHARS } from '../image-size.ts';
import type { LeftOut } from '../json-outline.ts';
import { headOfText } from '../json-text.ts';
import type { MultipartBody } from '../multipart.ts';
import { isObject, member, type JsonObject } from '../../lib/json.ts';
import type { ParsedBody } from '../parsed-body.ts';
import { TextMeasure } from '../text-measure.ts';

/** Role and separators around each message: OpenAI's cookbook counts 3 to 4. */
const MESSAGE_TOKENS = 4;
/** What a provider may put around a message, an image or the tools of its own: more than any is known to. */
const MAX_FRAME_TOKENS = 16;
const MAX_TOOLS_FRAME_TOKENS = 1_024;
/** gpt-4o-mini counts 48,169 for its largest. */
const MAX_IMAGE_TOKENS = 50_000;
/** About 10 tokens a second of audio at 128 kbit/s. */
const AUDIO_CHARS_PER_TOKEN = 2000;
/** Before the data of a `data:` URL. */
const MAX_MEDIA_TYPE_CHARS = 256;
/** A PDF page of 1,500 tokens in 45 KB. */
const FILE_CHARS_PER_TOKEN = 40;
/** Four characters of text a token, in base64. */
const TEXT_FILE_CHARS_PER_TOKEN = 5;
/** Of a `data:` URL whose data is text. */
const TEXT_FILE = /^data:(?:text\/|application\/json\b)/;

/**
 * Reads what selection, limits and relay need to know. Total: a body of any shape gives facts, and what is shaped unlike the
 * API counts as nothing (its upstream will refuse it). Visits each message and part once; the nesting of what it measures
 * is bounded by `readRequestBody`. Embeddings have no output, so `maxOutputTokens` is 0 there. Of operations that pass
 * through only model and stream are read.
 */
export function readFacts(
  operation: Operation,
  path: string,
  body: ParsedBody | MultipartBody,
  counter: TokenCounter = USUAL_COUNTER,
): RequestFacts {
  const prompt = new Prompt(counter, body.kind === 'json' ? body.left : null);
  let tools = false;
  let jsonSchema = false;
  let maxOutputTokens: number | null = null;
  let prompts = ONE_PROMPT;
  let answers = 1;
  if (body.kind === 'json') {
    const { outline: json } = body;
    switch (operation) {
      case 'chat':
        addMessages(json['messages'], prompt);
        tools = addIfFilled(json['tools'], prompt) || addIfFilled(json['functions'], prompt);
        jsonSchema = isJsonSchema(json['response_format']);
        if (jsonSchema) addJson(json['response_format'], prompt);
        maxOutputTokens = larger(tokenCount(json['max_completion_tokens']), tokenCount(json['max_tokens']));
        answers = choices(json['n']);
        break;
      case 'responses':
        addItems(json['input'], prompt);
        prompt.bounded &&= isAbsent(json['previous_response_id']) && isAbsent(json['conversation']) && isAbsent(json['prompt']);
        addText(json['instructions'], prompt);
        tools = addIfFilled(json['tools'], prompt);
        jsonSchema = isJsonSchema(member(json['text'], 'format'));
        if (jsonSchema) addJson(json['text'], prompt);
        maxOutputTokens = tokenCount(json['max_output_tokens']);
        break;
      case 'completions':
        prompts = addTextsOrTokens(json['prompt'], prompt);
        addText(json['suffix'], prompt);
        jsonSchema = isJsonSchema(json['response_format']);
        maxOutputTokens = tokenCount(json['max_tokens']);
        answers = Math.max(choices(json['n']), choices(json['best_of'])) * Math.max(1, prompts.count);
        break;
      case 'messages':
      case 'count_tokens':
        addMessages(json['messages'], prompt);
        addContent(json['system'], prompt);
        tools = addIfFilled(json['tools'], prompt);
        jsonSchema = isJsonSchema(member(json['output_config'], 'format')) || isJsonSchema(json['output_format']);
        maxOutputTokens = operation === 'messages' ? tokenCount(json['max_tokens']) : 0;
        break;
      case 'embeddings':
        prompts = addTextsOrTokens(json['input'], prompt);
        maxOutputTokens = 0;
        break;
      default:
        break;
    }
  }
  // Nobody writes anything for them; what the requests of a batch use is not known before it runs.
  if (operation === 'files' || operation === 'batches') maxOutputTokens = 0;
  const promptSize = prompt.take();
  const promptTokens = Math.round(prompt.tokens + textTokens(promptSize, counter.scales));
  return {
    operation,
    path,
    model: body.model,
    stream: body.stream,
    tools,
    jsonSchema,
    images: prompt.images > 0,
    promptTokens,
    promptSize,
    maxPromptTokens: body.kind === 'json' ? prompt.bound(body.bytes.length, tools) : null,
    maxOutputTokens: outputTokens(maxOutputTokens, answers),
    longest:
      answers === 1 && prompts.count <= 1
        ? null
        : { promptTokens: Math.round(promptTokens * prompts.longestShare), maxOutputTokens },
    includeUsage: body.kind === 'json' && body.includeUsage,
  };
}

/** As OpenAI's newer models count. */
const USUAL_COUNTER: TokenCounter = {
  scales: { words: 1, signs: 1, blanks: 0.04, cjk: 0.78, other: 0.4 },
  imageTokens: () => 765,
};

/** Of one request at a time: reading facts never waits. */
const TEXT = new TextMeasure();

/** Sums over what the model will read. */
class Prompt {
  readonly counter: TokenCounter;
  readonly text = TEXT;
  /** What the outline has stand-ins for. */
  readonly left: LeftOut | null;
  /** Of what is not text. */
  tokens = 0;
  images = 0;
  /** Chars of the body that are no text: base64 of images. */
  encoded = 0;
  /** Messages and items. */
  frames = 0;
  /** All that the model will read is in the body, as text or as images. */
  bounded = true;

  constructor(counter: TokenCounter, left: LeftOut | null) {
    this.counter = counter;
    this.left = left;
    this.text.begin();
  }

  add(text: string): void {
    const json = this.#jsonOf(text);
    if (json === null) this.text.add(text);
    else this.text.addJson(json, 0, json.length);
  }

  /** Messages of a role and a text, where the outline has `standIn` for them. */
  addMessages(standIn: unknown): void {
    if (typeof standIn !== 'string') return;
    this.left?.forEachMessage(standIn, (body, start, end) => {
      this.frame();
      this.text.addJson(body, start, end);
    });
  }

  /** As parts of a schema. False: the outline has `value` for no messages. */
  addMessageValues(value: string): boolean {
    let found = false;
    this.left?.forEachMessage(value, (body, start, end) => {
      found = true;
      this.text.add('role,user,content,,');
      this.text.addJson(body, start, end);
    });
    return found;
  }

  /** In characters; of a text that was left out in bytes of JSON, of which one in base64 has no more. */
  lengthOf(text: string): number {
    return this.#jsonOf(text)?.length ?? text.length;
  }

  headOf(text: string, maxChars: number): string {
    const json = this.#jsonOf(text);
    return json === null ? text.slice(0, maxChars) : headOfText(json, maxChars);
  }

  #jsonOf(text: string): Buffer | null {
    return this.left === null ? null : this.left.text(text);
  }

  /** Once. */
  take(): PromptSize {
    const { words, signs, blanks, cjk, other } = this.text.take();
    return { words, signs, blanks, cjk, other, fixed: this.tokens };
  }

  frame(): void {
    this.frames++;
    this.tokens += MESSAGE_TOKENS;
  }

  bound(bodyBytes: number, tools: boolean): number | null {
    if (!this.bounded) return null;
    const around = (this.frames + 1) * MAX_FRAME_TOKENS + (tools ? MAX_TOOLS_FRAME_TOKENS : 0);
    return bodyBytes - this.encoded + around + this.images * MAX_IMAGE_TOKENS;
  }
}

function addMessages(messages: unknown, prompt: Prompt): void {
  if (!Array.isArray(messages)) return;
  for (const message of messages as readonly unknown[]) {
    if (!isObject(message)) {
      prompt.addMessages(message);
      continue;
    }
    prompt.frame();
    addContent(message['content'], prompt);
    addText(message['name'], prompt);
    addText(message['reasoning_content'], prompt);
    addText(message['reasoning'], prompt);
    addText(message['refusal'], prompt);
    addText(member(message['function_call'], 'name'), prompt);
    addText(member(message['function_call'], 'arguments'), prompt);
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
    if (!isObject(item)) {
      prompt.addMessages(item);
      continue;
    }
    prompt.frame();
    addContent(item['content'], prompt);
    addText(item['name'], prompt);
    addText(item['arguments'], prompt);
    addText(item['input'], prompt);
    const output = item['output'];
    if (isObject(output)) addPart(output, prompt);
    else addContent(output, prompt);
    addContent(item['summary'], prompt);
    addText(item['code'], prompt);
    // What a shell, a patch or a server of tools was asked, and what that server has.
    for (const name of ITEM_MEMBERS) if (item[name] !== undefined) addJson(item[name], prompt);
  }
}

const ITEM_MEMBERS = ['action', 'operation', 'tools'] as const;

function addContent(content: unknown, prompt: Prompt): void {
  if (typeof content === 'string') {
    prompt.add(content);
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
    case 'computer_screenshot':
      addImage(part, prompt);
      break;
    case 'input_audio':
      addEncoded(member(part['input_audio'], 'data'), AUDIO_CHARS_PER_TOKEN, prompt);
      break;
    case 'document':
      addText(part['title'], prompt);
      addText(part['context'], prompt);
      addDocument(part['source'], prompt);
      break;
    case 'search_result':
      addText(part['title'], prompt);
      addContent(part['content'], prompt);
      break;
    case 'tool_use':
      addText(part['name'], prompt);
      addJson(part['input'], prompt);
      break;
    case 'tool_result':
      addContent(part['content'], prompt);
      break;
    case 'thinking':
      addText(part['thinking'], prompt);
      break;
    case 'file':
    case 'input_file':
      prompt.bounded = false;
      addFile(member(part['file'], 'file_data') ?? part['file_data'], prompt);
      break;
    default:
      addText(part['text'], prompt);
      addText(part['refusal'], prompt);
      // Of a shell.
      addText(part['stdout'], prompt);
      addText(part['stderr'], prompt);
  }
}

/** Anthropic's: text and parts are in the body as they are. */
function addDocument(source: unknown, prompt: Prompt): void {
  switch (member(source, 'type')) {
    case 'text':
      return addText(member(source, 'data'), prompt);
    case 'content':
      return addContent(member(source, 'content'), prompt);
    default:
      prompt.bounded = false;
      addEncoded(member(source, 'data'), FILE_CHARS_PER_TOKEN, prompt);
  }
}

function addFile(data: unknown, prompt: Prompt): void {
  const isText = typeof data === 'string' && TEXT_FILE.test(prompt.headOf(data, MAX_MEDIA_TYPE_CHARS));
  addEncoded(data, isText ? TEXT_FILE_CHARS_PER_TOKEN : FILE_CHARS_PER_TOKEN, prompt);
}

interface Prompts {
  readonly count: number;
  /** What the longest has of all that the model will read, 0 to 1. */
  readonly longestShare: number;
}

const ONE_PROMPT: Prompts = { count: 1, longestShare: 1 };
const NO_PROMPT: Prompts = { count: 0, longestShare: 1 };

/** `prompt` of completions and `input` of embeddings: a text, texts, token ids, or lists of token ids. */
function addTextsOrTokens(input: unknown, prompt: Prompt): Prompts {
  if (typeof input === 'string') {
    addText(input, prompt);
    return ONE_PROMPT;
  }
  if (!Array.isArray(input)) return NO_PROMPT;
  const items: readonly unknown[] = input;
  if (typeof items[0] === 'number') {
    prompt.tokens += items.length;
    return ONE_PROMPT;
  }
  let whole = 0;
  let longest = 0;
  for (const item of items) {
    let length = 0;
    if (Array.isArray(item)) {
      ({ length } = item);
      prompt.tokens += length;
    } else if (typeof item === 'string') {
      length = prompt.lengthOf(item);
      prompt.add(item);
    }
    // Multimodal embeddings (vLLM and others) take parts here.
    else if (isObject(item)) addPart(item, prompt);
    whole += length;
    longest = Math.max(longest, length);
  }
  // Of one kind they all are; where none has a length, how large each is was not looked at.
  return { count: items.length, longestShare: whole === 0 ? 1 : longest / whole };
}

/** Adds a list's text, and says whether there is anything in it. */
function addIfFilled(list: unknown, prompt: Prompt): boolean {
  if (!Array.isArray(list) || list.length === 0) return false;
  addJson(list, prompt);
  // What the provider's own tools find is read by the model as well.
  for (const tool of list as readonly unknown[]) prompt.bounded &&= isOwnTool(tool);
  return true;
}

function addText(text: unknown, prompt: Prompt): void {
  if (typeof text === 'string') prompt.add(text);
}

function addEncoded(data: unknown, charsPerToken: number, prompt: Prompt): void {
  if (typeof data === 'string') prompt.tokens += Math.ceil(prompt.lengthOf(data) / charsPerToken);
}

/** A schema, which providers show a model in a form of their own: names, values and a sign between them. Recurses as deep as the body nests. */
function addJson(value: unknown, prompt: Prompt): void {
  if (typeof value === 'string') {
    if (!prompt.addMessageValues(value)) prompt.add(value);
  } else if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) addJson(item, prompt);
  } else if (isObject(value)) {
    for (const key in value) {
      prompt.add(key);
      addJson(value[key], prompt);
    }
  } else {
    prompt.add('null');
  }
  prompt.add(',');
}

/** Called by the client: of a function, Anthropic's without a type, or with a grammar. */
function isOwnTool(tool: unknown): boolean {
  const type = member(tool, 'type');
  return type === undefined || type === 'function' || type === 'custom' || isObject(member(tool, 'parameters'));
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function addImage(part: JsonObject, prompt: Prompt): void {
  const url = part['image_url'];
  const source = part['source'];
  const text = typeof url === 'string' ? url : (member(url, 'url') ?? member(source, 'data'));
  const low = (part['detail'] ?? member(url, 'detail')) === 'low';
  prompt.images++;
  let size: Pick<ImageSize, 'width' | 'height'> = { width: null, height: null };
  if (typeof text === 'string') {
    const head = prompt.headOf(text, MAX_MEDIA_TYPE_CHARS + MAX_HEAD_CHARS);
    const start = head.startsWith('data:') ? head.indexOf(',') + 1 : 0;
    if (start > 0 || member(source, 'type') === 'base64') {
      prompt.encoded += prompt.lengthOf(text) - start;
      size = imageSize(head.slice(start));
    }
  }
  prompt.tokens += prompt.counter.imageTokens({ ...size, low });
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
