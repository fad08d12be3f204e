/** A conversation → the body of generateContent. https://ai.google.dev/api/generate-content */
import type { Conversation, Part, Source, ToolChoice, Turn } from '../../dialects/neutral/conversation.ts';
import { unseal } from '../../dialects/neutral/signature.ts';
import { isObject, parseJson, type JsonObject } from '../../lib/json.ts';
import { resultsInOrder } from '../shared/result-order.ts';
import { GEMINI_SCHEMA, subsetOf } from '../shared/schema-subset.ts';

/** Google's own word for calls that another model made: https://ai.google.dev/gemini-api/docs/thought-signatures */
const NO_SIGNATURE = 'skip_thought_signature_validator';

/** Tokens of thinking that an effort is worth, as Google's OpenAI endpoint has it: https://ai.google.dev/gemini-api/docs/openai#thinking */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1_024,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576,
};
const LEVELS: Readonly<Record<string, string>> = {
  minimal: 'minimal',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
};

export function writeGenerate(conversation: Conversation, model: string): Record<string, unknown> {
  const { system, turns, tools } = conversation;
  const signed = !isGemini3(model);
  const body: Record<string, unknown> = {
    contents: resultsInOrder(turns)
      .map((turn) => contentOf(turn, signed))
      .filter(isFilled),
  };
  const instructions = system.filter(({ text }) => text !== '').map(({ text }) => ({ text }));
  if (instructions.length > 0) body['systemInstruction'] = { parts: instructions };
  if (tools.length > 0) {
    const functionDeclarations = tools.map(({ name, description, parameters }) => ({
      name,
      ...(description === null ? {} : { description }),
      // One without parameters has none: an empty object is refused.
      ...(hasMembers(parameters) ? { parametersJsonSchema: schemaOf(parameters) } : {}),
    }));
    body['tools'] = [{ functionDeclarations }];
    const config = callingConfig(conversation.toolChoice);
    if (config !== null) body['toolConfig'] = { functionCallingConfig: config };
  }
  const generation = generationConfig(conversation, model);
  if (Object.keys(generation).length > 0) body['generationConfig'] = generation;
  return body;
}

function isGemini3(model: string): boolean {
  return /(?:^|\/)gemini-[3-9]/.test(model);
}

function generationConfig(conversation: Conversation, model: string): Record<string, unknown> {
  const { format } = conversation;
  const config: Record<string, unknown> = {};
  const set = (name: string, value: number | null): void => {
    if (value !== null) config[name] = value;
  };
  set('temperature', conversation.temperature);
  set('topP', conversation.topP);
  set('topK', conversation.topK);
  set('maxOutputTokens', conversation.maxOutputTokens);
  set('seed', conversation.seed);
  set('presencePenalty', conversation.presencePenalty);
  set('frequencyPenalty', conversation.frequencyPenalty);
  if (conversation.stop.length > 0) config['stopSequences'] = conversation.stop;
  if (conversation.topLogprobs !== null) {
    config['responseLogprobs'] = true;
    if (conversation.topLogprobs > 0) config['logprobs'] = conversation.topLogprobs;
  }
  if (format.kind !== 'text') config['responseMimeType'] = 'application/json';
  if (format.kind === 'schema') config['responseJsonSchema'] = subsetOf(format.schema, GEMINI_SCHEMA);
  const thinking = thinkingConfig(conversation, model);
  if (thinking !== null) config['thinkingConfig'] = thinking;
  return config;
}

function thinkingConfig({ reasoning }: Conversation, model: string): object | null {
  if (reasoning === null) return null;
  const shown = reasoning.shown ? { includeThoughts: true } : {};
  if (reasoning.budgetTokens !== null) return { thinkingBudget: reasoning.budgetTokens, ...shown };
  const effort = reasoning.effort ?? 'medium';
  if (effort === 'none') return isGemini3(model) ? { thinkingLevel: 'minimal' } : { thinkingBudget: 0 };
  return isGemini3(model)
    ? { thinkingLevel: LEVELS[effort] ?? 'high', ...shown }
    : { thinkingBudget: BUDGETS[effort] ?? 8_192, ...shown };
}

function callingConfig(choice: ToolChoice | null): object | null {
  switch (choice?.kind) {
    case undefined:
      return null;
    case 'auto':
      return { mode: 'AUTO' };
    case 'none':
      return { mode: 'NONE' };
    case 'required':
      return { mode: 'ANY' };
    case 'tool':
      return { mode: 'ANY', allowedFunctionNames: choice?.kind === 'tool' ? [choice.name] : [] };
  }
}

function hasMembers(schema: JsonObject): boolean {
  const properties = schema['properties'];
  return (
    Object.keys(schema).length > 0 &&
    !(schema['type'] === 'object' && isObject(properties) && Object.keys(properties).length === 0)
  );
}

/** Where a schema says what it is written in, Google says that it does not know the member. */
function schemaOf(schema: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== '$schema'));
}

function isFilled({ parts }: { parts: object[] }): boolean {
  return parts.length > 0;
}

/** `signed`: calls without a proof are taken as they are. */
function contentOf({ role, parts }: Turn, signed: boolean): { role: string; parts: object[] } {
  const written: object[] = [];
  let proof: string | null = null;
  let calls = 0;
  for (const part of parts) {
    if (part.kind === 'reasoning') {
      proof = unseal('gemini', part.signature) ?? proof;
      continue;
    }
    if (part.kind !== 'toolCall') {
      written.push(...partsOf(part));
      continue;
    }
    const own = unseal('gemini', part.signature) ?? proof ?? (signed || calls > 0 ? null : NO_SIGNATURE);
    proof = null;
    calls++;
    const call = { name: part.name, args: objectOf(part.arguments) };
    written.push({ functionCall: call, ...(own === null ? {} : { thoughtSignature: own }) });
  }
  // Without calls the proof was on the last part.
  const last = written.at(-1);
  if (proof !== null && last !== undefined) written[written.length - 1] = { ...last, thoughtSignature: proof };
  return { role: role === 'assistant' ? 'model' : 'user', parts: written };
}

function partsOf(part: Exclude<Part, { kind: 'toolCall' | 'reasoning' }>): object[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [{ text: part.text }];
    case 'image':
      return [blobOf(part.source, 'image/jpeg')];
    case 'file':
      return [blobOf(part.source, 'application/pdf')];
    case 'audio':
      return [{ inlineData: { mimeType: `audio/${part.format}`, data: part.data } }];
    case 'toolResult':
      return [{ functionResponse: { name: part.name || part.id, response: responseOf(part.parts, part.isError) } }];
  }
}

function blobOf(source: Source, otherwise: string): object {
  if (source.kind === 'data') return { inlineData: { mimeType: source.mediaType || otherwise, data: source.data } };
  return { fileData: { mimeType: typeOfUrl(source.url) ?? otherwise, fileUri: source.url } };
}

const EXTENSIONS: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  heic: 'image/heic',
  pdf: 'application/pdf',
  txt: 'text/plain',
  mp3: 'audio/mp3',
  wav: 'audio/wav',
  mp4: 'video/mp4',
};

function typeOfUrl(url: string): string | null {
  const extension = /\.([a-z0-9]{2,5})(?:[?#]|$)/i.exec(url)?.[1] ?? '';
  return EXTENSIONS[extension.toLowerCase()] ?? null;
}

/** A tool's result must be an object here. */
function responseOf(parts: readonly Part[], isError: boolean): object {
  const text = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  if (isError) return { error: text };
  const parsed = parseJson(text);
  return isObject(parsed) ? parsed : { result: text };
}

function objectOf(text: string): object {
  const parsed = parseJson(text);
  return isObject(parsed) ? parsed : {};
}
