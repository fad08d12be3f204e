/** A conversation → the body of a chat completion. https://platform.openai.com/docs/api-reference/chat/create */
import type { CacheTtl, Conversation, Part, Source, Turn } from '../../dialects/neutral/conversation.ts';
import { unseal } from '../../dialects/neutral/signature.ts';

/** What those who speak OpenAI's dialect write differently. */
export interface ChatStyle {
  readonly maxTokens: 'max_tokens' | 'max_completion_tokens';
  readonly seed: 'seed' | 'random_seed';
  /** Their word for `required`. */
  readonly required: 'required' | 'any';
  /** They take, and need, `stream_options` to tell usage in a stream. */
  readonly streamOptions: boolean;
  /** They take prompt-cache markers in Anthropic's form. */
  readonly cacheMarkers: boolean;
  /** Where they take back what their model thought, which some want; null: nowhere. */
  readonly thoughts: 'reasoning_content' | 'reasoning' | null;
}

export const OPENAI_STYLE: ChatStyle = {
  maxTokens: 'max_completion_tokens',
  seed: 'seed',
  required: 'required',
  streamOptions: true,
  cacheMarkers: false,
  thoughts: null,
};

export function writeChat(conversation: Conversation, model: string, style: ChatStyle): Record<string, unknown> {
  const { system, turns, format, toolChoice, tools } = conversation;
  const messages: object[] = [];
  const instructions = system.filter(({ text }) => text !== '');
  if (instructions.length > 0) messages.push({ role: 'system', content: contentOf(instructions, style) });
  for (const turn of turns) for (const message of messagesOf(turn, style)) messages.push(message);
  const body: Record<string, unknown> = { model, messages };
  if (conversation.stream) {
    body['stream'] = true;
    if (style.streamOptions) body['stream_options'] = { include_usage: true };
  }
  const set = (name: string, value: unknown): void => {
    if (value !== null && value !== undefined) body[name] = value;
  };
  set(style.maxTokens, conversation.maxOutputTokens);
  set('temperature', conversation.temperature);
  set('top_p', conversation.topP);
  set('top_k', conversation.topK);
  set('stop', conversation.stop.length === 0 ? null : conversation.stop);
  set(style.seed, conversation.seed);
  set('frequency_penalty', conversation.frequencyPenalty);
  set('presence_penalty', conversation.presencePenalty);
  if (conversation.topLogprobs !== null) {
    body['logprobs'] = true;
    if (conversation.topLogprobs > 0) body['top_logprobs'] = conversation.topLogprobs;
  }
  if (tools.length > 0) {
    body['tools'] = tools.map(({ name, description, parameters, strict, cached }) => ({
      type: 'function',
      function: {
        name,
        ...(description === null ? {} : { description }),
        parameters,
        ...(strict === null ? {} : { strict }),
      },
      ...marker(cached, style),
    }));
    if (toolChoice !== null) {
      body['tool_choice'] =
        toolChoice.kind === 'tool'
          ? { type: 'function', function: { name: toolChoice.name } }
          : toolChoice.kind === 'required'
            ? style.required
            : toolChoice.kind;
    }
    set('parallel_tool_calls', conversation.parallelToolCalls);
  }
  if (format.kind === 'json') body['response_format'] = { type: 'json_object' };
  if (format.kind === 'schema') {
    const { name, description, schema, strict } = format;
    const wanted = { name, ...(description === null ? {} : { description }), schema, ...(strict === null ? {} : { strict }) };
    body['response_format'] = { type: 'json_schema', json_schema: wanted };
  }
  set('reasoning_effort', effortOf(conversation));
  set('user', conversation.endUser);
  return body;
}

/** Of a budget in tokens, the word that stands for about as much. */
function effortOf({ reasoning }: Conversation): string | null {
  if (reasoning === null) return null;
  if (reasoning.effort !== null) return reasoning.effort === 'max' ? 'xhigh' : reasoning.effort;
  if (reasoning.budgetTokens === null) return null;
  return reasoning.budgetTokens <= 4_096 ? 'low' : reasoning.budgetTokens <= 16_384 ? 'medium' : 'high';
}

function messagesOf({ role, parts }: Turn, style: ChatStyle): object[] {
  if (role === 'assistant') return [assistantOf(parts, style)];
  const messages: object[] = [];
  let others: Part[] = [];
  const flush = (): void => {
    const content = contentOf(others, style);
    if (content.length > 0) messages.push({ role: 'user', content });
    others = [];
  };
  for (const part of parts) {
    if (part.kind !== 'toolResult') {
      others.push(part);
      continue;
    }
    flush();
    messages.push({ role: 'tool', tool_call_id: part.id, content: contentOf(part.parts, style) });
  }
  flush();
  return messages;
}

function assistantOf(parts: readonly Part[], style: ChatStyle): object {
  const calls = parts.flatMap((part) => {
    if (part.kind !== 'toolCall') return [];
    const google = unseal('gemini', part.signature);
    const extra = google === null ? {} : { extra_content: { google: { thought_signature: google } } };
    return [{ id: part.id, type: 'function', function: { name: part.name, arguments: part.arguments }, ...extra }];
  });
  const thought = style.thoughts === null ? '' : parts.map((part) => (part.kind === 'reasoning' ? part.text : '')).join('');
  const refusal = parts.map((part) => (part.kind === 'refusal' ? part.text : '')).join('');
  const content = contentOf(
    parts.filter(({ kind }) => kind === 'text'),
    style,
  );
  return {
    role: 'assistant',
    content: content.length === 0 ? null : content,
    ...(refusal === '' ? {} : { refusal }),
    ...(thought === '' || style.thoughts === null ? {} : { [style.thoughts]: thought }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** Nothing but text is one text, which every server takes; a list is for what is more than that. */
function contentOf(parts: readonly Part[], style: ChatStyle): string | object[] {
  if (parts.every((part) => part.kind === 'text' && (part.cached === null || !style.cacheMarkers)))
    return parts.map((part) => (part.kind === 'text' ? part.text : '')).join('\n');
  return parts.flatMap((part) => partOf(part, style));
}

function partOf(part: Part, style: ChatStyle): object[] {
  switch (part.kind) {
    case 'text':
      return part.text === '' ? [] : [{ type: 'text', text: part.text, ...marker(part.cached, style) }];
    case 'refusal':
      return [{ type: 'text', text: part.text }];
    case 'image': {
      const detail = part.detail === null ? {} : { detail: part.detail };
      return [{ type: 'image_url', image_url: { url: urlOf(part.source), ...detail }, ...marker(part.cached, style) }];
    }
    case 'file':
      return [{ type: 'file', file: { filename: part.name ?? 'file', file_data: urlOf(part.source) } }];
    case 'audio':
      return [{ type: 'input_audio', input_audio: { data: part.data, format: part.format } }];
    case 'toolCall':
    case 'toolResult':
    case 'reasoning':
      return [];
  }
}

function marker(cached: CacheTtl | null, style: ChatStyle): object {
  if (cached === null || !style.cacheMarkers) return {};
  return { cache_control: cached === '1h' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' } };
}

function urlOf(source: Source): string {
  return source.kind === 'url' ? source.url : `data:${source.mediaType};base64,${source.data}`;
}
