/** A Responses request → what it asks for, where nothing that lives at one upstream is meant. https://platform.openai.com/docs/api-reference/responses/create */
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Conversation, OutputFormat, Part, ReasoningWish, TextPart, Tool } from '../neutral/conversation.ts';
import { Findings, isNoOp, namesOf, Turns } from '../neutral/reading.ts';
import { isSealed } from '../neutral/signature.ts';
import type { ParsedBody } from '../parsed-body.ts';
import { customAsFunction, type ResponseTool, responseTools } from './response-tools.ts';
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

/** What clients repeat of an answer's items says nothing new. */
const ITEM_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  message: namesOf('type id status role content phase'),
  function_call: namesOf('type id status call_id name namespace arguments'),
  function_call_output: namesOf('type id status call_id output'),
  custom_tool_call: namesOf('type id status call_id name input'),
  custom_tool_call_output: namesOf('type id status call_id output'),
  reasoning: namesOf('type id status summary content encrypted_content'),
  image_generation_call: namesOf('type id status result'),
};
const PART_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  input_text: namesOf('type text'),
  output_text: namesOf('type text annotations logprobs'),
  text: namesOf('type text'),
  refusal: namesOf('type refusal'),
  input_image: namesOf('type image_url detail'),
  input_file: namesOf('type file_data file_url filename'),
};

/** Marks what stands for thoughts that the provider does not show, so that it is told from a proof of those it does. */
export const REDACTED = 'redacted:';

export function readResponses({ json, model, stream }: ParsedBody): Conversation {
  const findings = new Findings();
  for (const name of Object.keys(json)) {
    if (KNOWN.has(name) || isNoOp(json[name])) continue;
    if (!HINT_MEMBERS.has(name)) findings.foreign.push(name);
    else if (json[name] !== 'auto' && json[name] !== 'default' && !asksForProofsOnly(name, json[name])) findings.hint(name);
  }
  if (json['truncation'] === 'auto') findings.foreign.push('truncation');
  const tools = responseTools(json);
  const { system, turns } = readInput(json['input'], tools, findings);
  const instructions = findings.string(json, 'instructions') ?? '';
  return {
    model,
    stream,
    system: instructions === '' ? system : [{ kind: 'text', text: instructions, cached: null }, ...system],
    turns,
    tools: findings.tools(readTools(tools, findings), 'tools'),
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
    hints: findings.hints,
    thoughts: findings.thoughts,
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
  if (!isNoOp(text['verbosity']) && text['verbosity'] !== 'medium') findings.hint('text.verbosity');
  const format = text['format'];
  if (!isObject(format) || format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') {
    findings.use('jsonMode', 'text.format');
    return { kind: 'json' };
  }
  return readSchemaFormat(format, 'text.format', 'text.format.schema', findings);
}

function readTools(tools: readonly ResponseTool[], findings: Findings): readonly Tool[] {
  return tools.flatMap(({ tool, path, plainName, origin }) => {
    if (origin === null) {
      findings.foreign.push(path);
      return [];
    }
    if (origin.kind === 'custom') return [{ name: plainName, ...customAsFunction(tool), strict: null, cached: null }];
    return [{ ...readFunction(tool, path, findings, null), name: plainName }];
  });
}

function readInput(
  input: unknown,
  tools: readonly ResponseTool[],
  findings: Findings,
): { system: TextPart[]; turns: Conversation['turns'] } {
  const system: TextPart[] = [];
  const turns = new Turns();
  const names = new CallNames(tools);
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

/** What the called tools are named where there are only functions. */
class CallNames {
  readonly #plain = new Map<string, string>();
  readonly #byId = new Map<string, string>();

  constructor(tools: readonly ResponseTool[]) {
    for (const { plainName, origin } of tools)
      if (origin !== null) this.#plain.set(JSON.stringify([origin.namespace, origin.name]), plainName);
  }

  called(id: string, { name, namespace }: JsonObject): string {
    const given = stringOf(name);
    const plain = this.#plain.get(JSON.stringify([stringOf(namespace) || null, given])) ?? given;
    this.#byId.set(id, plain);
    return plain;
  }

  /** Of the call with this id; '' where no such call is there. */
  of(id: string): string {
    return this.#byId.get(id) ?? '';
  }
}

function readItem(item: JsonObject, path: string, system: TextPart[], turns: Turns, names: CallNames, findings: Findings): void {
  const known = ITEM_MEMBERS[stringOf(item['type'] ?? 'message')];
  if (known !== undefined) findings.passOver(item, known, path);
  switch (item['type'] ?? 'message') {
    case 'message': {
      const parts = readContent(item['content'], `${path}.content`, findings);
      if (item['role'] === 'system' || item['role'] === 'developer') {
        for (const part of parts) {
          if (part.kind === 'text') system.push(part);
          else findings.addForeign(`${path}.content`, part.kind);
        }
      } else if (item['role'] === 'user' || item['role'] === 'assistant') turns.add(item['role'], parts);
      else findings.refuse(`${path}.role`, `Invalid '${path}.role': expected user, assistant, system or developer.`);
      break;
    }
    case 'function_call':
    case 'custom_tool_call': {
      const id = stringOf(item['call_id']);
      const name = names.called(id, item);
      const given =
        item['type'] === 'function_call'
          ? stringOf(item['arguments']) || '{}'
          : JSON.stringify({ input: stringOf(item['input']) });
      turns.add('assistant', [{ kind: 'toolCall', id, name, arguments: given, signature: null, cached: null }]);
      break;
    }
    case 'function_call_output':
    case 'custom_tool_call_output': {
      const id = stringOf(item['call_id']);
      const parts = readContent(item['output'], `${path}.output`, findings);
      findings.toolResult(parts, `${path}.output`);
      turns.add('user', [{ kind: 'toolResult', id, name: names.of(id), parts, isError: false, cached: null }]);
      break;
    }
    case 'reasoning':
      turns.add('assistant', [reasoningPart(item, path, findings)]);
      break;
    case 'image_generation_call': {
      const data = stringOf(item['result']);
      if (data === '') break;
      findings.use('assistantImages', `${path}.result`);
      const source = findings.base64(data, 'image/png', `${path}.result`);
      turns.add('assistant', [{ kind: 'image', source, detail: null, cached: null }]);
      break;
    }
    default:
      findings.foreign.push(`${path}.type`);
  }
}

/** What OpenAI itself has encrypted means nothing elsewhere, and is not sealed. */
function reasoningPart(item: JsonObject, path: string, findings: Findings): Part {
  const text = [...objectsOf(item['summary']), ...objectsOf(item['content'])].map((part) => stringOf(part['text'])).join('');
  const proof = stringOf(item['encrypted_content']);
  findings.thought(proof.startsWith(REDACTED) ? proof.slice(REDACTED.length) : proof, path);
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
  return (content as readonly unknown[]).flatMap((part, index) => {
    const at = `${path}[${index}]`;
    if (isObject(part)) return readPart(part, at, findings);
    findings.refuse(at, `Invalid type for '${at}': expected an object.`);
    return [];
  });
}

function readPart(part: JsonObject, path: string, findings: Findings): Part[] {
  const known = PART_MEMBERS[stringOf(part['type'])];
  if (known !== undefined && stringOf(part['file_id']) === '') findings.passOver(part, known, path);
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
      const detail = stringOf(part['detail']);
      if (detail !== '' && detail !== 'auto') findings.use('imageDetail', `${path}.detail`);
      return [{ kind: 'image', source, detail: detail || null, cached: null }];
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
