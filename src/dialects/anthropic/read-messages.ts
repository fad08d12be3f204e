/** An Anthropic messages request → what it asks for. https://docs.claude.com/en/api/messages */
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Conversation, OutputFormat, Part, ReasoningWish, TextPart, Tool, ToolChoice } from '../neutral/conversation.ts';
import { Findings, isNoOp, namesOf, Turns } from '../neutral/reading.ts';
import { readSchemaFormat } from '../openai/read-chat.ts';
import type { ParsedBody } from '../parsed-body.ts';

const KNOWN: ReadonlySet<string> = new Set(
  'model messages system stream max_tokens temperature top_p top_k stop_sequences tools tool_choice thinking metadata output_config output_format'.split(
    ' ',
  ),
);

/** They steer price, speed and what is kept, not the answer. */
const HINT_MEMBERS: ReadonlySet<string> = new Set('service_tier context_management inference_geo speed cache_control'.split(' '));

/** `caller` says that the model called the tool itself; sources of an answer come back with its text, which says the same. */
const BLOCK_MEMBERS: Readonly<Record<string, ReadonlySet<string>>> = {
  text: namesOf('type text citations cache_control'),
  image: namesOf('type source cache_control'),
  document: namesOf('type source title cache_control'),
  search_result: namesOf('type source title content cache_control'),
  tool_use: namesOf('type id name input cache_control caller'),
  tool_result: namesOf('type tool_use_id content is_error cache_control'),
  thinking: namesOf('type thinking signature cache_control'),
  redacted_thinking: namesOf('type data cache_control'),
};
const TOOL_MEMBERS = namesOf('type name description input_schema strict cache_control');

export function readAnthropic({ json, model, stream }: ParsedBody): Conversation {
  const findings = new Findings();
  for (const name of Object.keys(json)) {
    if (KNOWN.has(name) || isNoOp(json[name])) continue;
    if (!HINT_MEMBERS.has(name)) findings.foreign.push(name);
    else if (json[name] !== 'auto' && json[name] !== 'standard_only') findings.hint(name);
  }
  const system = [...readSystem(json['system'], 'system', findings)];
  const turns = readMessages(json['messages'], system, findings);
  const choice = isObject(json['tool_choice']) ? json['tool_choice'] : null;
  const single = choice?.['disable_parallel_tool_use'] === true;
  if (single) findings.use('parallelToolCalls', 'tool_choice.disable_parallel_tool_use');
  return {
    model,
    stream,
    system,
    turns,
    tools: findings.tools(readTools(json['tools'], findings), 'tools'),
    toolChoice: readToolChoice(choice, findings),
    parallelToolCalls: single ? false : null,
    format: readFormat(json, findings),
    maxOutputTokens: findings.number(json, 'max_tokens', 'maxOutputTokens'),
    temperature: findings.number(json, 'temperature', 'temperature'),
    topP: findings.number(json, 'top_p', 'topP'),
    topK: findings.number(json, 'top_k', 'topK'),
    stop: findings.stops(json['stop_sequences'], 'stop_sequences'),
    seed: null,
    frequencyPenalty: null,
    presencePenalty: null,
    topLogprobs: null,
    reasoning: readThinking(json, findings),
    endUser: readUser(json['metadata'], findings),
    uses: findings.uses,
    foreign: findings.foreign,
    hints: findings.hints,
    thoughts: findings.thoughts,
    invalid: findings.invalid,
  };
}

function readUser(metadata: unknown, findings: Findings): string | null {
  const user = isObject(metadata) ? stringOf(metadata['user_id']) : '';
  if (user === '') return null;
  findings.use('endUser', 'metadata.user_id');
  return user;
}

function readThinking(json: JsonObject, findings: Findings): ReasoningWish | null {
  const thinking = json['thinking'];
  const config = json['output_config'];
  const effort = isObject(config) ? stringOf(config['effort']) : '';
  const type = isObject(thinking) ? thinking['type'] : undefined;
  if (type === 'disabled') return { effort: 'none', budgetTokens: null, shown: false };
  if (type === undefined && effort === '') return null;
  findings.use('reasoning', type === undefined ? 'output_config.effort' : 'thinking');
  const budget = isObject(thinking) ? thinking['budget_tokens'] : undefined;
  return {
    effort: effort || null,
    budgetTokens: typeof budget === 'number' ? budget : null,
    shown: isObject(thinking) && thinking['display'] !== 'omitted',
  };
}

function readFormat(json: JsonObject, findings: Findings): OutputFormat {
  const config = json['output_config'];
  const field = json['output_format'] === undefined ? 'output_config.format' : 'output_format';
  const format = json['output_format'] ?? (isObject(config) ? config['format'] : undefined);
  if (!isObject(format) || format['type'] !== 'json_schema') return { kind: 'text' };
  return readSchemaFormat(format, field, `${field}.schema`, findings);
}

function readSystem(value: unknown, path: string, findings: Findings): readonly TextPart[] {
  if (value === undefined || value === null) return [];
  return readBlocks(value, path, new Map(), findings).flatMap((part) => {
    if (part.kind === 'text') return [part];
    findings.refuse(path, `${path}: only text is allowed here`);
    return [];
  });
}

/** `system` gets what stands between the turns: not every provider knows a place for it there, as in chat. */
function readMessages(value: unknown, system: TextPart[], findings: Findings): Conversation['turns'] {
  if (!Array.isArray(value) || value.length === 0) {
    findings.refuse('messages', 'messages: a list with at least one message is needed');
    return [];
  }
  const turns = new Turns();
  const names = new Map<string, string>();
  for (const [index, message] of (value as readonly unknown[]).entries()) {
    const path = `messages.${index}`;
    const role = isObject(message) ? message['role'] : undefined;
    if (!isObject(message) || (role !== 'user' && role !== 'assistant' && role !== 'system')) {
      findings.refuse(`${path}.role`, `${path}.role: user, assistant or system is needed`);
      continue;
    }
    if (role === 'system') for (const part of readSystem(message['content'], `${path}.content`, findings)) system.push(part);
    else turns.add(role, readBlocks(message['content'], `${path}.content`, names, findings));
  }
  return turns.turns;
}

function readBlocks(content: unknown, path: string, names: Map<string, string>, findings: Findings): readonly Part[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content, cached: null }];
  if (!Array.isArray(content)) {
    findings.refuse(path, `${path}: a text or a list of content blocks is needed`);
    return [];
  }
  const parts: Part[] = [];
  for (const [index, block] of (content as readonly unknown[]).entries()) {
    const at = `${path}.${index}`;
    if (!isObject(block)) {
      findings.refuse(at, `${at}: an object is needed`);
      continue;
    }
    const part = readBlock(block, at, names, findings);
    if (part !== null) parts.push(part);
  }
  return parts;
}

function readBlock(block: JsonObject, path: string, names: Map<string, string>, findings: Findings): Part | null {
  const cached = findings.cached(block, path);
  const known = BLOCK_MEMBERS[stringOf(block['type'])];
  if (known !== undefined) findings.passOver(block, known, path);
  switch (block['type']) {
    case 'text':
      return { kind: 'text', text: stringOf(block['text']), cached };
    case 'image': {
      findings.use('images', path);
      const source = readSource(block['source'], `${path}.source`, findings);
      if (source?.kind === 'url') findings.use('imageUrls', `${path}.source`);
      return source === null ? null : { kind: 'image', source, detail: null, cached };
    }
    case 'document':
      return readDocument(block, path, cached, findings);
    case 'search_result': {
      const inner = readBlocks(block['content'], `${path}.content`, names, findings);
      const texts = inner.map((part) => (part.kind === 'text' ? part.text : ''));
      return { kind: 'text', text: [stringOf(block['title']), stringOf(block['source']), ...texts].join('\n'), cached };
    }
    case 'tool_use': {
      const id = stringOf(block['id']);
      const name = stringOf(block['name']);
      names.set(id, name);
      return { kind: 'toolCall', id, name, arguments: JSON.stringify(block['input'] ?? {}), signature: null, cached };
    }
    case 'tool_result': {
      const id = stringOf(block['tool_use_id']);
      const content = block['content'] ?? '';
      const parts = readBlocks(content, `${path}.content`, names, findings);
      findings.toolResult(parts, `${path}.content`);
      if (block['is_error'] === true) findings.use('toolErrors', `${path}.is_error`);
      return { kind: 'toolResult', id, name: names.get(id) ?? '', parts, isError: block['is_error'] === true, cached };
    }
    case 'thinking':
      findings.thought(stringOf(block['signature']), path);
      return {
        kind: 'reasoning',
        text: stringOf(block['thinking']),
        signature: stringOf(block['signature']) || null,
        encrypted: null,
      };
    case 'redacted_thinking':
      findings.thought(stringOf(block['data']), path);
      return { kind: 'reasoning', text: '', signature: null, encrypted: stringOf(block['data']) };
    default:
      findings.foreign.push(`${path}.type`);
      return null;
  }
}

function readDocument(block: JsonObject, path: string, cached: TextPart['cached'], findings: Findings): Part | null {
  const given = block['source'];
  const title = stringOf(block['title']);
  if (isObject(given) && given['type'] === 'text')
    return { kind: 'text', text: (title === '' ? '' : `${title}\n\n`) + stringOf(given['data']), cached };
  findings.use('files', path);
  const source = readSource(given, `${path}.source`, findings);
  if (source?.kind === 'url') findings.use('fileUrls', `${path}.source`);
  return source === null ? null : { kind: 'file', source, name: title || null, cached };
}

function readSource(source: unknown, path: string, findings: Findings): ReturnType<Findings['base64']> | null {
  const given = isObject(source) ? source : {};
  switch (given['type']) {
    case 'base64':
      return findings.base64(stringOf(given['data']), stringOf(given['media_type']), `${path}.data`);
    case 'url':
      return { kind: 'url', url: stringOf(given['url']) };
    default:
      findings.foreign.push(`${path}.type`);
      return null;
  }
}

function readTools(value: unknown, findings: Findings): readonly Tool[] {
  const tools: Tool[] = [];
  for (const [index, tool] of objectsOf(value).entries()) {
    const path = `tools.${index}`;
    // What Anthropic runs itself has a dated type.
    if (tool['type'] !== undefined && tool['type'] !== null && tool['type'] !== 'custom') {
      findings.foreign.push(`${path}.type`);
      continue;
    }
    const name = stringOf(tool['name']);
    if (name === '') findings.refuse(`${path}.name`, `${path}.name: a name is needed`);
    findings.passOver(tool, TOOL_MEMBERS, path);
    tools.push({
      name,
      description: stringOf(tool['description']) || null,
      parameters: findings.schema(tool['input_schema'], `${path}.input_schema`),
      strict: typeof tool['strict'] === 'boolean' ? tool['strict'] : null,
      cached: findings.cached(tool, path),
    });
  }
  return tools;
}

function readToolChoice(choice: JsonObject | null, findings: Findings): ToolChoice | null {
  switch (choice?.['type']) {
    case undefined:
      return null;
    case 'auto':
    case 'none':
      return findings.toolChoice({ kind: choice?.['type'] }, 'tool_choice');
    case 'any':
      return findings.toolChoice({ kind: 'required' }, 'tool_choice');
    case 'tool':
      return findings.toolChoice({ kind: 'tool', name: stringOf(choice?.['name']) }, 'tool_choice');
    default:
      findings.refuse('tool_choice.type', 'tool_choice.type: auto, any, tool or none is needed');
      return null;
  }
}
