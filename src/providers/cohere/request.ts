/** A conversation → the body of chat, version 2. https://docs.cohere.com/reference/chat */
import type { Conversation, OutputFormat, Part, Turn } from '../../dialects/neutral/conversation.ts';

export function writeCohere(conversation: Conversation, model: string): Record<string, unknown> {
  const { system, turns, tools, toolChoice, reasoning } = conversation;
  const messages: object[] = [];
  const instructions = system.map(({ text }) => text).filter((text) => text !== '');
  if (instructions.length > 0) messages.push({ role: 'system', content: instructions.join('\n') });
  for (const turn of turns) for (const message of messagesOf(turn)) messages.push(message);
  const body: Record<string, unknown> = { model, messages, stream: conversation.stream };
  const set = (name: string, value: unknown): void => {
    if (value !== null) body[name] = value;
  };
  set('max_tokens', conversation.maxOutputTokens);
  set('temperature', conversation.temperature);
  set('p', conversation.topP);
  set('k', conversation.topK);
  set('stop_sequences', conversation.stop.length === 0 ? null : conversation.stop);
  set('seed', conversation.seed);
  set('frequency_penalty', conversation.frequencyPenalty);
  set('presence_penalty', conversation.presencePenalty);
  if (tools.length > 0) {
    body['tools'] = tools.map(({ name, description, parameters }) => ({
      type: 'function',
      function: { name, ...(description === null ? {} : { description }), parameters },
    }));
    if (tools.some(({ strict }) => strict === true)) body['strict_tools'] = true;
    if (toolChoice?.kind === 'required') body['tool_choice'] = 'REQUIRED';
    if (toolChoice?.kind === 'none') body['tool_choice'] = 'NONE';
  }
  const format = formatOf(conversation.format);
  if (format !== null) body['response_format'] = format;
  if (reasoning !== null) {
    const budget = reasoning.budgetTokens === null ? {} : { token_budget: reasoning.budgetTokens };
    body['thinking'] = reasoning.effort === 'none' ? { type: 'disabled' } : { type: 'enabled', ...budget };
  }
  return body;
}

function formatOf(format: OutputFormat): object | null {
  switch (format.kind) {
    case 'text':
      return null;
    case 'json':
      return { type: 'json_object' };
    case 'schema':
      return { type: 'json_object', json_schema: format.schema };
  }
}

function messagesOf({ role, parts }: Turn): object[] {
  if (role === 'assistant') return [assistantOf(parts)];
  const messages: object[] = [];
  const others = parts.filter(({ kind }) => kind !== 'toolResult');
  for (const part of parts) {
    if (part.kind === 'toolResult') messages.push({ role: 'tool', tool_call_id: part.id, content: textOf(part.parts) });
  }
  if (others.length > 0) messages.push({ role: 'user', content: contentOf(others) });
  return messages;
}

function assistantOf(parts: readonly Part[]): object {
  const calls = parts.flatMap((part) =>
    part.kind === 'toolCall' ? [{ id: part.id, type: 'function', function: { name: part.name, arguments: part.arguments } }] : [],
  );
  const text = textOf(parts);
  return { role: 'assistant', ...(text === '' ? {} : { content: text }), ...(calls.length === 0 ? {} : { tool_calls: calls }) };
}

function contentOf(parts: readonly Part[]): string | object[] {
  if (parts.every(({ kind }) => kind === 'text')) return textOf(parts);
  return parts.flatMap((part): object[] => {
    if (part.kind === 'text') return [{ type: 'text', text: part.text }];
    if (part.kind !== 'image') return [];
    const { source, detail } = part;
    return [
      {
        type: 'image_url',
        image_url: {
          url: source.kind === 'url' ? source.url : `data:${source.mediaType};base64,${source.data}`,
          ...(detail === null ? {} : { detail }),
        },
      },
    ];
  });
}

function textOf(parts: readonly Part[]): string {
  return parts.flatMap((part) => (part.kind === 'text' || part.kind === 'refusal' ? [part.text] : [])).join('\n');
}
