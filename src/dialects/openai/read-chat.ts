/** A chat completion request → what it asks for. https://platform.openai.com/docs/api-reference/chat/create */
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Conversation, OutputFormat, Part, ReasoningWish, TextPart, Tool, ToolChoice } from '../neutral/conversation.ts';
import { Findings, isNoOp, namesOf, Turns } from '../neutral/reading.ts';
import { seal } from '../neutral/signature.ts';
import type { ParsedBody } from '../parsed-body.ts';

/** Read below, or of no meaning beyond the gateway itself. */
const KNOWN: ReadonlySet<string> = new Set(
  'model messages stream stream_options max_tokens max_completion_tokens temperature top_p top_k stop seed frequency_penalty presence_penalty n logprobs top_logprobs tools tool_choice parallel_tool_calls functions function_call response_format reasoning_effort user modalities'.split(
    ' ',
  ),
);

/** They steer price, storage or speed, not the answer. */
const HINT_MEMBERS: ReadonlySet<string> = new Set(
  'metadata store service_tier prompt_cache_key prompt_cache_retention safety_identifier prediction verbosity'.split(' '),
);

/** Of smaller things: what has no place here is told where it is read. */
const MESSAGE_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  system: namesOf('role content'),
  developer: namesOf('role content'),
  user: namesOf('role content'),
  assistant: namesOf(
    'role content tool_calls function_call refusal annotations reasoning_content reasoning reasoning_details images',
  ),
  tool: namesOf('role content tool_call_id name'),
  function: namesOf('role content name'),
};
const PART_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  text: namesOf('type text cache_control'),
  refusal: namesOf('type refusal'),
  image_url: namesOf('type image_url cache_control index'),
  input_audio: namesOf('type input_audio'),
  file: namesOf('type file cache_control'),
};
const FUNCTION_MEMBERS = namesOf('type name description parameters strict');

export function readChat({ json, model, stream }: ParsedBody): Conversation {
  const findings = new Findings();
  const { system, turns } = readMessages(json['messages'], findings);
  for (const name of Object.keys(json)) {
    if (KNOWN.has(name) || isNoOp(json[name])) continue;
    if (HINT_MEMBERS.has(name)) {
      if (json[name] !== 'auto' && json[name] !== 'default') findings.hint(name);
    } else findings.foreign.push(name);
  }
  if (Array.isArray(json['modalities']) && json['modalities'].some((each) => each !== 'text'))
    findings.foreign.push('modalities');
  if ((findings.number(json, 'n') ?? 1) > 1) findings.foreign.push('n');
  return {
    model,
    stream,
    system,
    turns,
    tools: findings.tools(readTools(json, findings), json['tools'] === undefined ? 'functions' : 'tools'),
    toolChoice: readToolChoice(json, findings),
    parallelToolCalls: readParallel(json, findings),
    format: readFormat(json['response_format'], findings),
    maxOutputTokens:
      findings.number(json, 'max_completion_tokens', 'maxOutputTokens') ?? findings.number(json, 'max_tokens', 'maxOutputTokens'),
    temperature: findings.number(json, 'temperature', 'temperature'),
    topP: findings.number(json, 'top_p', 'topP'),
    topK: findings.number(json, 'top_k', 'topK'),
    stop: findings.stops(json['stop'], 'stop'),
    seed: findings.number(json, 'seed', 'seed'),
    frequencyPenalty: findings.number(json, 'frequency_penalty', 'frequencyPenalty', 0),
    presencePenalty: findings.number(json, 'presence_penalty', 'presencePenalty', 0),
    topLogprobs: readLogprobs(json, findings),
    reasoning: readEffort(findings.string(json, 'reasoning_effort'), 'reasoning_effort', findings),
    endUser: readUser(json, findings),
    uses: findings.uses,
    foreign: findings.foreign,
    hints: findings.hints,
    thoughts: findings.thoughts,
    invalid: findings.invalid,
  };
}

export function readUser(json: JsonObject, findings: Findings): string | null {
  const user = findings.string(json, 'user');
  if (user !== null) findings.use('endUser', 'user');
  return user;
}

export function readParallel(json: JsonObject, findings: Findings): boolean | null {
  const parallel = json['parallel_tool_calls'];
  if (typeof parallel !== 'boolean') return null;
  // Allowing it is what every provider does by itself.
  if (!parallel) findings.use('parallelToolCalls', 'parallel_tool_calls');
  return parallel;
}

function readEffort(effort: string | null, field: string, findings: Findings): ReasoningWish | null {
  if (effort === null) return null;
  if (effort !== 'none') findings.use('reasoning', field);
  return { effort, budgetTokens: null, shown: false };
}

function readLogprobs(json: JsonObject, findings: Findings): number | null {
  if (json['logprobs'] !== true) return null;
  findings.use('logprobs', 'logprobs');
  return findings.number(json, 'top_logprobs') ?? 0;
}

function readMessages(value: unknown, findings: Findings): { system: TextPart[]; turns: Conversation['turns'] } {
  const system: TextPart[] = [];
  const turns = new Turns();
  if (!Array.isArray(value) || value.length === 0) {
    findings.refuse('messages', "Invalid 'messages': expected a list with at least one message.");
    return { system, turns: [] };
  }
  const names = new Map<string, string>();
  for (const [index, message] of (value as readonly unknown[]).entries()) {
    const path = `messages[${index}]`;
    if (!isObject(message)) {
      findings.refuse(path, `Invalid type for '${path}': expected an object.`);
      continue;
    }
    const known = MESSAGE_MEMBERS[stringOf(message['role'])];
    if (known !== undefined) findings.passOver(message, known, path);
    switch (message['role']) {
      // Wherever they stand: most providers have one place for instructions.
      case 'system':
      case 'developer':
        for (const part of readContent(message['content'], `${path}.content`, findings)) {
          if (part.kind === 'text') system.push(part);
          else
            findings.refuse(
              `${path}.content`,
              `Invalid '${path}.content': only text is allowed in a ${message['role']} message.`,
            );
        }
        break;
      case 'user':
        turns.add('user', readContent(message['content'], `${path}.content`, findings));
        break;
      case 'assistant':
        turns.add('assistant', readAssistant(message, path, names, findings));
        break;
      case 'tool':
      case 'function': {
        const name = stringOf(message['name']);
        const id = stringOf(message['tool_call_id']) || name;
        if (id === '') findings.refuse(`${path}.tool_call_id`, `Missing '${path}.tool_call_id'.`);
        const parts = readContent(message['content'], `${path}.content`, findings);
        findings.toolResult(parts, `${path}.content`);
        turns.add('user', [{ kind: 'toolResult', id, name: names.get(id) ?? name, parts, isError: false, cached: null }]);
        break;
      }
      default:
        findings.refuse(
          `${path}.role`,
          `Invalid '${path}.role': ${JSON.stringify(message['role'])?.slice(0, 40) ?? 'none'} is not one of system, developer, user, assistant, tool.`,
        );
    }
  }
  return { system, turns: turns.turns };
}

function readAssistant(message: JsonObject, path: string, names: Map<string, string>, findings: Findings): readonly Part[] {
  const content = message['content'] ?? null;
  const said = content === null ? [] : readContent(content, `${path}.content`, findings);
  const parts: Part[] = [...readReasoning(message, path, findings), ...said];
  for (const [index, image] of objectsOf(message['images']).entries()) {
    const part = readPart(image, `${path}.images[${index}]`, findings);
    if (part !== null) parts.push(part);
  }
  if (parts.some(({ kind }) => kind === 'image')) findings.use('assistantImages', `${path}.content`);
  const refusal = stringOf(message['refusal']);
  if (refusal !== '') parts.push({ kind: 'refusal', text: refusal });
  for (const [index, call] of objectsOf(message['tool_calls']).entries()) {
    const called = call['function'];
    if (!isObject(called)) {
      findings.foreign.push(`${path}.tool_calls[${index}].${stringOf(call['type']) || 'function'}`);
      continue;
    }
    const name = stringOf(called['name']);
    const id = stringOf(call['id']) || name;
    names.set(id, name);
    parts.push({ kind: 'toolCall', id, name, arguments: argumentsOf(called), signature: googleSignature(call), cached: null });
  }
  const legacy = message['function_call'];
  if (isObject(legacy)) {
    const name = stringOf(legacy['name']);
    names.set(name, name);
    parts.push({ kind: 'toolCall', id: name, name, arguments: argumentsOf(legacy), signature: null, cached: null });
  }
  return parts;
}

function argumentsOf(called: JsonObject): string {
  const given = called['arguments'];
  return isObject(given) ? JSON.stringify(given) : stringOf(given) || '{}';
}

/** Google's own place for it in OpenAI's dialect: https://ai.google.dev/gemini-api/docs/thought-signatures */
function googleSignature(call: JsonObject): string | null {
  const extra = call['extra_content'];
  const google = isObject(extra) ? extra['google'] : undefined;
  const signature = isObject(google) ? google['thought_signature'] : undefined;
  return typeof signature === 'string' && signature !== '' ? seal('gemini', signature) : null;
}

/** OpenRouter's `reasoning_details`, which can carry proofs; else the plain text that DeepSeek and others have. */
function readReasoning(message: JsonObject, path: string, findings: Findings): readonly Part[] {
  const details = objectsOf(message['reasoning_details']);
  const parts: Part[] = [];
  for (const detail of details) {
    const text = stringOf(detail['text']) || stringOf(detail['summary']);
    const encrypted = stringOf(detail['data']);
    const signature = stringOf(detail['signature']);
    if (text === '' && encrypted === '' && signature === '') continue;
    findings.thought(signature || encrypted || null, `${path}.reasoning_details`);
    parts.push({ kind: 'reasoning', text, signature: signature || null, encrypted: encrypted || null });
  }
  const plain = stringOf(message['reasoning_content']) || stringOf(message['reasoning']);
  if (parts.length === 0 && plain !== '') {
    findings.thought(null, `${path}.reasoning_content`);
    parts.push({ kind: 'reasoning', text: plain, signature: null, encrypted: null });
  }
  return parts;
}

function readContent(content: unknown, path: string, findings: Findings): readonly Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content, cached: null }];
  if (!Array.isArray(content)) {
    findings.refuse(path, `Invalid type for '${path}': expected a text or a list of parts.`);
    return [];
  }
  const parts: Part[] = [];
  for (const [index, part] of (content as readonly unknown[]).entries()) {
    const at = `${path}[${index}]`;
    if (!isObject(part)) {
      findings.refuse(at, `Invalid type for '${at}': expected an object.`);
      continue;
    }
    const read = readPart(part, at, findings);
    if (read !== null) parts.push(read);
  }
  return parts;
}

function readPart(part: JsonObject, path: string, findings: Findings): Part | null {
  const cached = findings.cached(part, path);
  const known = PART_MEMBERS[stringOf(part['type'])];
  if (known !== undefined) findings.passOver(part, known, path);
  switch (part['type']) {
    case 'text':
      return { kind: 'text', text: stringOf(part['text']), cached };
    case 'refusal':
      return { kind: 'refusal', text: stringOf(part['refusal']) };
    case 'image_url': {
      const image = part['image_url'];
      const url = isObject(image) ? stringOf(image['url']) : stringOf(image);
      const detail = isObject(image) ? stringOf(image['detail']) : '';
      const source = findings.url(url, `${path}.image_url.url`);
      findings.use('images', `${path}.image_url`);
      if (source.kind === 'url') findings.use('imageUrls', `${path}.image_url.url`);
      if (detail !== '' && detail !== 'auto') findings.use('imageDetail', `${path}.image_url.detail`);
      return { kind: 'image', source, detail: detail || null, cached };
    }
    case 'input_audio': {
      const audio = isObject(part['input_audio']) ? part['input_audio'] : {};
      findings.use('audio', `${path}.input_audio`);
      return { kind: 'audio', data: stringOf(audio['data']), format: stringOf(audio['format']) || 'wav' };
    }
    case 'file': {
      const file = isObject(part['file']) ? part['file'] : {};
      if (stringOf(file['file_id']) !== '') {
        findings.foreign.push(`${path}.file.file_id`);
        return null;
      }
      findings.use('files', `${path}.file`);
      const source = findings.url(stringOf(file['file_data']), `${path}.file.file_data`);
      if (source.kind === 'url') findings.use('fileUrls', `${path}.file.file_data`);
      return { kind: 'file', source, name: stringOf(file['filename']) || null, cached };
    }
    default:
      findings.foreign.push(`${path}.type`);
      return null;
  }
}

function readTools(json: JsonObject, findings: Findings): readonly Tool[] {
  const tools: Tool[] = [];
  for (const [index, tool] of objectsOf(json['tools']).entries()) {
    const called = tool['function'];
    if (tool['type'] !== 'function' || !isObject(called)) findings.foreign.push(`tools[${index}]`);
    else tools.push(readFunction(called, `tools[${index}].function`, findings, findings.cached(tool, `tools[${index}]`)));
  }
  for (const [index, called] of objectsOf(json['functions']).entries())
    tools.push(readFunction(called, `functions[${index}]`, findings, null));
  return tools;
}

export function readFunction(called: JsonObject, path: string, findings: Findings, cached: Tool['cached']): Tool {
  const name = stringOf(called['name']);
  if (name === '') findings.refuse(`${path}.name`, `Missing '${path}.name'.`);
  findings.passOver(called, FUNCTION_MEMBERS, path);
  return {
    name,
    description: stringOf(called['description']) || null,
    parameters: findings.schema(called['parameters'], `${path}.parameters`),
    strict: typeof called['strict'] === 'boolean' ? called['strict'] : null,
    cached,
  };
}

function readToolChoice(json: JsonObject, findings: Findings): ToolChoice | null {
  const field = json['tool_choice'] === undefined ? 'function_call' : 'tool_choice';
  return readChoice(json[field], field, findings);
}

/** A word, or `{type: function, function: {name}}`, `{name}`. */
export function readChoice(choice: unknown, field: string, findings: Findings): ToolChoice | null {
  switch (choice) {
    case undefined:
    case null:
      return null;
    case 'auto':
    case 'none':
    case 'required':
      return findings.toolChoice({ kind: choice }, field);
    default: {
      const called = isObject(choice) ? (isObject(choice['function']) ? choice['function'] : choice) : {};
      const name = stringOf(called['name']);
      if (name !== '') return findings.toolChoice({ kind: 'tool', name }, field);
      findings.foreign.push(field);
      return null;
    }
  }
}

function readFormat(format: unknown, findings: Findings): OutputFormat {
  if (!isObject(format) || format['type'] === 'text') return { kind: 'text' };
  if (format['type'] === 'json_object') {
    findings.use('jsonMode', 'response_format');
    return { kind: 'json' };
  }
  const wanted = format['json_schema'];
  if (format['type'] !== 'json_schema' || !isObject(wanted)) {
    findings.refuse('response_format', "Invalid 'response_format': expected the type text, json_object or json_schema.");
    return { kind: 'text' };
  }
  return readSchemaFormat(wanted, 'response_format', `response_format.json_schema.schema`, findings);
}

export function readSchemaFormat(wanted: JsonObject, field: string, schemaField: string, findings: Findings): OutputFormat {
  findings.use('jsonSchema', field);
  return {
    kind: 'schema',
    name: stringOf(wanted['name']) || 'response',
    description: stringOf(wanted['description']) || null,
    schema: findings.schema(wanted['schema'], schemaField),
    strict: typeof wanted['strict'] === 'boolean' ? wanted['strict'] : null,
  };
}
