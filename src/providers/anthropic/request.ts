/** A conversation → the body of a messages call. https://docs.claude.com/en/api/messages */
import type {
  CacheTtl,
  Conversation,
  Part,
  ReasoningWish,
  Source,
  ToolChoice,
  Turn,
} from '../../dialects/neutral/conversation.ts';
import { unseal } from '../../dialects/neutral/signature.ts';
import { isObject, parseJson } from '../../lib/json.ts';
import { answeredByTool } from '../shared/json-answer.ts';
import { ANTHROPIC_SCHEMA, subsetOf } from '../shared/schema-subset.ts';

export interface AnthropicModel {
  readonly name: string;
  /** Of the target's capabilities; null: unknown. */
  readonly maxOutputTokens: number | null;
}

/** https://docs.claude.com/en/docs/about-claude/models: what the API asks for is required, so an absent bound needs a value. */
const DEFAULT_MAX_TOKENS = 8_192;
const DEFAULT_MAX_TOKENS_CLAUDE_3 = 4_096;

const MIN_BUDGET_TOKENS = 1_024;
/** Tokens of thinking that an effort is worth, for models that take tokens only. */
const BUDGETS: Readonly<Record<string, number>> = {
  minimal: 1_024,
  low: 2_048,
  medium: 8_192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768,
};

export function writeMessages(conversation: Conversation, model: AnthropicModel): Record<string, unknown> {
  const { system, turns, format } = conversation;
  const maxTokens = conversation.maxOutputTokens ?? model.maxOutputTokens ?? defaultMaxTokens(model.name);
  const emulated = format.kind === 'json' || (format.kind === 'schema' && !hasNativeSchema(model.name));
  const body: Record<string, unknown> = {
    model: model.name,
    max_tokens: maxTokens,
    messages: turns.map(messageOf).filter(isFilled),
  };
  if (system.length > 0)
    body['system'] = system
      .filter(({ text }) => text !== '')
      .map(({ text, cached }) => ({ type: 'text', text, ...marker(cached) }));
  if (conversation.stream) body['stream'] = true;
  set(body, 'temperature', conversation.temperature);
  set(body, 'top_p', conversation.topP);
  set(body, 'top_k', conversation.topK);
  if (conversation.stop.length > 0) body['stop_sequences'] = conversation.stop;
  if (conversation.endUser !== null) body['metadata'] = { user_id: conversation.endUser };

  const asked = emulated ? answeredByTool(conversation, true) : conversation;
  const tools: object[] = asked.tools.map(({ name, description, parameters, strict, cached }) => ({
    name,
    ...(description === null ? {} : { description }),
    input_schema: parameters,
    ...(strict === true ? { strict } : {}),
    ...marker(cached),
  }));
  if (tools.length > 0) {
    body['tools'] = tools;
    const wanted = choiceOf(asked.toolChoice, conversation.parallelToolCalls);
    if (wanted !== null) body['tool_choice'] = wanted;
  }
  const config: Record<string, unknown> = {};
  if (format.kind === 'schema' && !emulated)
    config['format'] = { type: 'json_schema', schema: subsetOf(format.schema, ANTHROPIC_SCHEMA) };
  const { reasoning } = conversation;
  if (reasoning !== null && reasoning.effort !== 'none') {
    const { thinking, effort } = reasoningOf(reasoning, generationOf(model.name), maxTokens);
    if (thinking !== null) body['thinking'] = thinking;
    if (effort !== null) config['effort'] = effort;
  }
  if (Object.keys(config).length > 0) body['output_config'] = config;
  return body;
}

function set(body: Record<string, unknown>, name: string, value: number | null): void {
  if (value !== null) body[name] = value;
}

/** Generation of a Claude model, e.g. 4.5 of `us.anthropic.claude-sonnet-4-5-20250929-v1:0`; what has no number is new. */
export function generationOf(model: string): number {
  const named = /claude-(?:[a-z]+-)?(\d)(?:[-.@](\d{1,2})(?!\d))?/.exec(model);
  return named === null ? Infinity : Number(named[1]) + Number(named[2] ?? 0) / 10;
}

function defaultMaxTokens(model: string): number {
  return generationOf(model) < 3.5 ? DEFAULT_MAX_TOKENS_CLAUDE_3 : DEFAULT_MAX_TOKENS;
}

/** https://docs.claude.com/en/docs/build-with-claude/structured-outputs: Opus from 4.1, the others from 4.5. */
function hasNativeSchema(model: string): boolean {
  return generationOf(model) >= (model.includes('opus') ? 4.1 : 4.5);
}

/** https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking: from 4.6 on effort is told as such, before it in tokens. */
export function reasoningOf(
  reasoning: ReasoningWish,
  generation: number,
  maxTokens: number,
): { readonly thinking: object | null; readonly effort: string | null } {
  if (generation >= 4.6 && reasoning.budgetTokens === null) {
    return { thinking: { type: 'adaptive' }, effort: reasoning.effort === 'minimal' ? 'low' : reasoning.effort };
  }
  const wanted = reasoning.budgetTokens ?? BUDGETS[reasoning.effort ?? 'medium'] ?? MIN_BUDGET_TOKENS;
  // The budget is part of the bound and must leave room for the answer.
  const budget = Math.min(wanted, maxTokens - MIN_BUDGET_TOKENS);
  return { thinking: budget < MIN_BUDGET_TOKENS ? null : { type: 'enabled', budget_tokens: budget }, effort: null };
}

function choiceOf(choice: ToolChoice | null, parallel: boolean | null): object | null {
  const single = parallel === false ? { disable_parallel_tool_use: true } : {};
  switch (choice?.kind) {
    case undefined:
    case 'auto':
      return choice === null && parallel !== false ? null : { type: 'auto', ...single };
    case 'none':
      return { type: 'none' };
    case 'required':
      return { type: 'any', ...single };
    case 'tool':
      return { type: 'tool', name: choice?.kind === 'tool' ? choice.name : '', ...single };
  }
}

function messageOf({ role, parts }: Turn): { role: string; content: object[] } {
  return { role, content: parts.flatMap((part) => blockOf(part)) };
}

/** Anthropic refuses a message without content. */
function isFilled({ content }: { content: object[] }): boolean {
  return content.length > 0;
}

function blockOf(part: Part): object[] {
  switch (part.kind) {
    case 'text':
      return part.text === '' ? [] : [{ type: 'text', text: part.text, ...marker(part.cached) }];
    case 'refusal':
      return part.text === '' ? [] : [{ type: 'text', text: part.text }];
    case 'image':
      return [{ type: 'image', source: sourceOf(part.source), ...marker(part.cached) }];
    case 'file':
      return [fileOf(part.source, part.name, marker(part.cached))];
    case 'toolCall':
      return [{ type: 'tool_use', id: part.id, name: part.name, input: inputOf(part.arguments), ...marker(part.cached) }];
    case 'toolResult':
      return [
        {
          type: 'tool_result',
          tool_use_id: part.id,
          content: part.parts.flatMap((inner) => blockOf(inner)),
          ...(part.isError ? { is_error: true } : {}),
          ...marker(part.cached),
        },
      ];
    case 'reasoning': {
      const signature = unseal('anthropic', part.signature);
      const encrypted = unseal('anthropic', part.encrypted);
      if (encrypted !== null) return [{ type: 'redacted_thinking', data: encrypted }];
      return signature === null ? [] : [{ type: 'thinking', thinking: part.text, signature }];
    }
    case 'audio':
      return [];
  }
}

function marker(cached: CacheTtl | null): object {
  return cached === null ? {} : { cache_control: cached === '1h' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' } };
}

function sourceOf(source: Source): object {
  return source.kind === 'url'
    ? { type: 'url', url: source.url }
    : { type: 'base64', media_type: source.mediaType, data: source.data };
}

/** Plain text goes as text, all else (PDF) as it is. */
function fileOf(source: Source, name: string | null, cached: object): object {
  const text = source.kind === 'data' && source.mediaType.startsWith('text/');
  const given = text
    ? { type: 'text', media_type: 'text/plain', data: Buffer.from(source.data, 'base64').toString('utf8') }
    : sourceOf(source);
  return { type: 'document', source: given, ...(name === null ? {} : { title: name }), ...cached };
}

function inputOf(text: string): object {
  const input = parseJson(text);
  return isObject(input) ? input : {};
}
