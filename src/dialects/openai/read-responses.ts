/** A Responses request → what it asks for, where nothing that lives at one upstream is meant. https://platform.openai.com/docs/api-reference/responses/create */
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Conversation, OutputFormat, Part, ReasoningWish, TextPart, Tool } from '../neutral/conversation.ts';
import { Findings, isNoOp, Turns } from '../neutral/reading.ts';
import { isSealed } from '../neutral/signature.ts';
import type { ParsedBody } from '../request-body.ts';
import { readChoice, readFunction, readParallel, readSchemaFormat, readUser } from './read-chat.ts';

const KNOWN: ReadonlySet<string> = new Set(
  'model input instructions stream stream_options max_output_tokens temperature top_p tools tool_choice parallel_tool_calls text reasoning user truncation'.split(
    ' ',
  ),
);

/** They steer price, storage or what else is told, not the answer. */
const HINT_MEMBERS: ReadonlySet<string> = new Set(
  'metadata store service_tier prompt_cache_key prompt_cache_retention safety_identifier include client_metadata'.split(' '),
);

/** Marks what stands for thoughts that the provider does not show, so that it is told from a proof of those it does. */
export const REDACTED = 'redacted:';

export function readResponses({ json, model, stream }: ParsedBody): Conversation {
  const findings = new Findings();
  for (const name of Object.keys(json)) {
    if (KNOWN.has(name) || isNoOp(json[name])) continue;
    if (!HINT_MEMBERS.has(name)) findings.foreign.push(name);
    else if (json[name] !== 'auto' && json[name] !== 'default' && !asksForProofsOnly(name, json[name]))
      findings.use('hints', name);
  }
  if (json['truncation'] === 'auto') findings.foreign.push('truncation');
  const { system, turns } = readInput(json['input'], findings);
  const instructions = findings.string(json, 'instructions') ?? '';
  return {
    model,
    stream,
    system: instructions === '' ? system : [{ kind: 'text', text: instructions, cached: null }, ...system],
    turns,
    tools: findings.tools(readTools(json, findings), 'tools'),
    toolChoice: readChoice(json['tool_choice'], 'tool_choice', findings),
    parallelToolCalls: readParallel(json, findings),
    format: readFormat(json['text'], findings),
    maxOutputTokens: findings.number(json, 'max_output_tokens', 'maxOutputTokens'),
    temperature: findings.number(json, 'temperature', 'temperature'),
    topP: findings.number(json, 'top_p', 'topP'),
    topK: null,
    stop: [],
    seed: null,
    frequencyPenalty: null,
    presencePenalty: null,
    topLogprobs: null,
    reasoning: readReasoning(json['reasoning'], findings),
    endUser: readUser(json, findings),
    uses: findings.uses,
    foreign: findings.foreign,
    invalid: findings.invalid,
  };
}

/** Proofs of reasoning are told in any case. */
function asksForProofsOnly(name: string, value: unknown): boolean {
  return name === 'include' && Array.isArray(value) && value.every((each) => each === 'reasoning.encrypted_content');
}

function readReasoning(reasoning: unknown, findings: Findings): ReasoningWish | null {
  if (!isObject(reasoning)) return null;
  const effort = stringOf(reasoning['effort']);
  const shown = !isNoOp(reasoning['summary']);
  if (effort === '' && !shown) return null;
  if (effort !== 'none') findings.use('reasoning', 'reasoning');
  return { effort: effort || null, budgetTokens: null, shown };
}

function readFormat(text: unknown, findings: Findings): OutputFormat {
  if (!isObject(text)) return { kind: 'text' };
  if (!isNoOp(text['verbosity']) && text['verbosity'] !== 'medium') findings.use('hints', 'text.verbosity');
  const format = text['format'];
  if (!isObject(format) || format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') {
    findings.use('jsonMode', 'text.format');
    return { kind: 'json' };
  }
  return readSchemaFormat(format, 'text.format', 'text.format.schema', findings);
}

function readTools(json: JsonObject, findings: Findings): readonly Tool[] {
  const tools: Tool[] = [];
  for (const [index, tool] of objectsOf(json['tools']).entries()) {
    if (tool['type'] === 'function') tools.push(readFunction(tool, `tools[${index}]`, findings, null));
    else findings.foreign.push(`tools[${index}]`);
  }
  return tools;
}

function readInput(input: unknown, findings: Findings): { system: TextPart[]; turns: Conversation['turns'] } {
  const system: TextPart[] = [];
  const turns = new Turns();
  const names = new Map<string, string>();
  if (typeof input === 'string') {
    turns.add('user', [{ kind: 'text', text: input, cached: null }]);
    return { system, turns: turns.turns };
  }
  if (!Array.isArray(input) || input.length === 0) {
    findings.refuse('input', "Invalid 'input': expected a text or a list with at least one item.");
    return { system, turns: [] };
  }
  for (const [index, item] of (input as readonly unknown[]).entries()) {
    const path = `input[${index}]`;
    if (isObject(item)) readItem(item, path, system, turns, names, findings);
    else findings.refuse(path, `Invalid type for '${path}': expected an object.`);
  }
  return { system, turns: turns.turns };
}

function readItem(
  item: JsonObject,
  path: string,
  system: TextPart[],
  turns: Turns,
  names: Map<string, string>,
  findings: Findings,
): void {
  switch (item['type'] ?? 'message') {
    case 'message': {
      const parts = readContent(item['content'], `${path}.content`, findings);
      if (item['role'] === 'system' || item['role'] === 'developer') {
        for (const part of parts) if (part.kind === 'text') system.push(part);
      } else if (item['role'] === 'user' || item['role'] === 'assistant') turns.add(item['role'], parts);
      else findings.refuse(`${path}.role`, `Invalid '${path}.role': expected user, assistant, system or developer.`);
      break;
    }
    case 'function_call': {
      const id = stringOf(item['call_id']);
      const name = stringOf(item['name']);
      names.set(id, name);
      const call = { id, name, arguments: stringOf(item['arguments']) || '{}', signature: null, cached: null };
      turns.add('assistant', [{ kind: 'toolCall', ...call }]);
      break;
    }
    case 'function_call_output': {
      const id = stringOf(item['call_id']);
      const parts = readContent(item['output'], `${path}.output`, findings);
      if (parts.some(({ kind }) => kind === 'image')) findings.use('toolResultImages', `${path}.output`);
      turns.add('user', [{ kind: 'toolResult', id, name: names.get(id) ?? '', parts, isError: false, cached: null }]);
      break;
    }
    case 'reasoning':
      turns.add('assistant', [reasoningPart(item)]);
      break;
    default:
      findings.foreign.push(`${path}.type`);
  }
}

/** What OpenAI itself has encrypted means nothing elsewhere, and is not sealed. */
function reasoningPart(item: JsonObject): Part {
  const text = [...objectsOf(item['summary']), ...objectsOf(item['content'])].map((part) => stringOf(part['text'])).join('');
  const proof = stringOf(item['encrypted_content']);
  if (proof.startsWith(REDACTED))
    return { kind: 'reasoning', text: '', signature: null, encrypted: proof.slice(REDACTED.length) };
  return { kind: 'reasoning', text, signature: isSealed(proof) ? proof : null, encrypted: null };
}

function readContent(content: unknown, path: string, findings: Findings): readonly Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content, cached: null }];
  if (!Array.isArray(content)) {
    findings.refuse(path, `Invalid type for '${path}': expected a text or a list of parts.`);
    return [];
  }
  return objectsOf(content).flatMap((part, index) => readPart(part, `${path}[${index}]`, findings));
}

function readPart(part: JsonObject, path: string, findings: Findings): Part[] {
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return [{ kind: 'text', text: stringOf(part['text']), cached: null }];
    case 'refusal':
      return [{ kind: 'refusal', text: stringOf(part['refusal']) }];
    case 'input_image': {
      const url = stringOf(part['image_url']);
      if (url === '') break;
      findings.use('images', path);
      const source = findings.url(url, `${path}.image_url`);
      if (source.kind === 'url') findings.use('imageUrls', `${path}.image_url`);
      return [{ kind: 'image', source, detail: stringOf(part['detail']) || null, cached: null }];
    }
    case 'input_file': {
      const data = stringOf(part['file_data']) || stringOf(part['file_url']);
      if (data === '') break;
      findings.use('files', path);
      const source = findings.url(data, `${path}.file_data`);
      if (source.kind === 'url') findings.use('fileUrls', `${path}.file_url`);
      return [{ kind: 'file', source, name: stringOf(part['filename']) || null, cached: null }];
    }
  }
  // Files by their id live at one upstream; other kinds of parts are unknown.
  findings.foreign.push(`${path}.${stringOf(part['file_id']) === '' ? 'type' : 'file_id'}`);
  return [];
}
