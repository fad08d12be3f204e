/** What OpenAI's API answers, in its shapes: https://platform.openai.com/docs/api-reference */

const CHAT = { id: 'chatcmpl-1', created: 1_700_000_000, model: 'gpt-4o-2024-08-06', system_fingerprint: 'fp_1' };

export const USAGE = {
  prompt_tokens: 9,
  completion_tokens: 3,
  total_tokens: 12,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 },
};

export function chatCompletion(content: string): unknown {
  return chatMessage({ role: 'assistant', content, refusal: null }, 'stop');
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

export function toolCallCompletion({ id, name, arguments: args }: ToolCall): unknown {
  const call = { id, type: 'function', function: { name, arguments: args } };
  return chatMessage({ role: 'assistant', content: null, refusal: null, tool_calls: [call] }, 'tool_calls');
}

function chatMessage(message: unknown, finishReason: string): unknown {
  return {
    ...CHAT,
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason }],
    usage: USAGE,
  };
}

/** The events of a streamed answer; the last one bears the usage, as with `include_usage`. */
export function chatEvents(pieces: readonly string[]): readonly unknown[] {
  return [
    chunk({ role: 'assistant', content: '', refusal: null }, null),
    ...pieces.map((content) => chunk({ content }, null)),
    chunk({}, 'stop'),
    usageChunk(),
  ];
}

/** The arguments come in pieces, of a few characters each. */
export function toolCallEvents({ id, name, arguments: args }: ToolCall): readonly unknown[] {
  const call = (fields: object): unknown => chunk({ tool_calls: [{ index: 0, ...fields }] }, null);
  return [
    chunk({ role: 'assistant', content: null }, null),
    call({ id, type: 'function', function: { name, arguments: '' } }),
    ...(args.match(/.{1,3}/gs) ?? []).map((piece) => call({ function: { arguments: piece } })),
    chunk({}, 'tool_calls'),
    usageChunk(),
  ];
}

function chunk(delta: unknown, finishReason: string | null): unknown {
  return {
    ...CHAT,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    usage: null,
  };
}

function usageChunk(): unknown {
  return { ...CHAT, object: 'chat.completion.chunk', choices: [], usage: USAGE };
}

/** Values as frames of an event stream, with its end mark. */
export function eventsOf(values: readonly unknown[]): readonly string[] {
  return [...values.map((value) => `data: ${JSON.stringify(value)}\n\n`), 'data: [DONE]\n\n'];
}

export function responseObject(text: string): Readonly<Record<string, unknown>> {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_700_000_000,
    status: 'completed',
    error: null,
    incomplete_details: null,
    model: 'gpt-4o-2024-08-06',
    output: [message(text, 'completed')],
    usage: {
      input_tokens: 9,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 12,
    },
  };
}

function message(text: string, status: string): unknown {
  return { id: 'msg_1', type: 'message', role: 'assistant', status, content: [{ type: 'output_text', text, annotations: [] }] };
}

/** The events of a streamed Response, each with its `event:` line, as one text. */
export function responseEvents(pieces: readonly string[]): string {
  const text = pieces.join('');
  const started = { ...responseObject(''), status: 'in_progress', output: [], usage: null };
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 };
  const part = { type: 'output_text', text: '', annotations: [] };
  const events: Readonly<Record<string, unknown>>[] = [
    { type: 'response.created', response: started },
    { type: 'response.in_progress', response: started },
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { id: 'msg_1', type: 'message', role: 'assistant', status: 'in_progress', content: [] },
    },
    { type: 'response.content_part.added', ...at, part },
    ...pieces.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: { ...part, text } },
    { type: 'response.output_item.done', output_index: 0, item: message(text, 'completed') },
    { type: 'response.completed', response: responseObject(text) },
  ];
  return events
    .map((event, index) => `event: ${String(event['type'])}\ndata: ${JSON.stringify({ ...event, sequence_number: index })}\n\n`)
    .join('');
}

/** `base64`: little-endian 32-bit floats, as the official client asks for by default. */
export function embeddingList(vectors: readonly (readonly number[])[], base64: boolean): unknown {
  const encode = (vector: readonly number[]): unknown =>
    base64 ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector;
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: encode(vector) })),
    model: 'text-embedding-3-small',
    usage: { prompt_tokens: 4, total_tokens: 4 },
  };
}

export function openAIError(
  message: string,
  code: string | null,
  param: string | null = null,
  type = 'invalid_request_error',
): unknown {
  return { error: { message, type, param, code } };
}
