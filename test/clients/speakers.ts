/**
 * Providers that think for one turn: text, or a call of a tool, said whole or streamed in the shape that each documents. What they
 * heard is read as little as that takes.
 */
import { eventFrame } from '../fixtures/replay.ts';

export type Turn =
  | { readonly text: string }
  | { readonly call: { readonly id: string; readonly name: string; readonly arguments: Json } };

export type Json = Readonly<Record<string, unknown>>;

/** What a request said that the next turn hangs on. */
export interface Heard {
  readonly tools: readonly string[];
  readonly toolResults: number;
  readonly stream: boolean;
}

export interface Said {
  readonly contentType: string;
  /** Written one by one, so that a reader meets each by itself. */
  readonly chunks: readonly (string | Buffer)[];
}

export interface Speaker {
  hear(path: string, body: Json): Heard;
  say(turn: Turn, stream: boolean): Said;
}

const USAGE = { input: 42, output: 7 };
const WORDS = /\S+\s*/g;
const NO_TIME = 1_700_000_000;

function whole(body: Json): Said {
  return { contentType: 'application/json', chunks: [JSON.stringify(body)] };
}

function events(list: readonly (readonly [name: string | null, data: Json | '[DONE]'])[]): Said {
  const chunks = list.map(
    ([name, data]) =>
      `${name === null ? '' : `event: ${name}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`,
  );
  return { contentType: 'text/event-stream', chunks };
}

function pieces(text: string): readonly string[] {
  return text.match(WORDS) ?? [];
}

/** Arguments in two pieces, neither of which is JSON. */
function argumentPieces(given: Json): readonly [string, string] {
  const text = JSON.stringify(given);
  const middle = Math.ceil(text.length / 2);
  return [text.slice(0, middle), text.slice(middle)];
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

function named(tool: Json): string {
  const name = tool['name'] ?? (tool['function'] as Json | undefined)?.['name'];
  return typeof name === 'string' ? name : '';
}

/** https://platform.openai.com/docs/api-reference/chat; Mistral's and every compatible server's, too. */
const openAIChat: Speaker = {
  hear: (_path, body) => ({
    tools: list(body['tools']).map(named),
    toolResults: list(body['messages']).filter(({ role }) => role === 'tool').length,
    stream: body['stream'] === true,
  }),
  say: (turn, stream) => {
    const base = { id: 'chatcmpl-1', created: NO_TIME, model: 'a-model' };
    const usage = { prompt_tokens: USAGE.input, completion_tokens: USAGE.output, total_tokens: USAGE.input + USAGE.output };
    const finish = 'text' in turn ? 'stop' : 'tool_calls';
    if (!stream) {
      const message =
        'text' in turn
          ? { role: 'assistant', content: turn.text }
          : {
              role: 'assistant',
              content: null,
              tool_calls: [
                {
                  id: turn.call.id,
                  type: 'function',
                  function: { name: turn.call.name, arguments: JSON.stringify(turn.call.arguments) },
                },
              ],
            };
      return whole({ ...base, object: 'chat.completion', choices: [{ index: 0, message, finish_reason: finish }], usage });
    }
    const chunk = (delta: Json, reason: string | null = null): readonly [null, Json] => [
      null,
      { ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: reason }] },
    ];
    const call = (part: Json): Json => ({ tool_calls: [{ index: 0, ...part }] });
    const deltas =
      'text' in turn
        ? pieces(turn.text).map((content) => ({ content }))
        : [
            call({ id: turn.call.id, type: 'function', function: { name: turn.call.name, arguments: '' } }),
            ...argumentPieces(turn.call.arguments).map((text) => call({ function: { arguments: text } })),
          ];
    return events([
      chunk({ role: 'assistant', content: '' }),
      ...deltas.map((delta) => chunk(delta)),
      chunk({}, finish),
      [null, { ...base, object: 'chat.completion.chunk', choices: [], usage }],
      [null, '[DONE]'],
    ]);
  },
};

/** https://platform.openai.com/docs/api-reference/responses */
const openAIResponses: Speaker = {
  hear: (_path, body) => ({
    tools: list(body['tools']).map(named),
    toolResults: list(body['input']).filter(({ type }) => type === 'function_call_output').length,
    stream: body['stream'] === true,
  }),
  say: (turn, stream) => {
    const usage = {
      input_tokens: USAGE.input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: USAGE.output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: USAGE.input + USAGE.output,
    };
    const item = (text: string, given: string, status: string): Json =>
      'text' in turn
        ? {
            id: 'msg_1',
            type: 'message',
            role: 'assistant',
            status,
            content: text === '' ? [] : [{ type: 'output_text', text, annotations: [] }],
          }
        : { id: 'fc_1', type: 'function_call', call_id: turn.call.id, name: turn.call.name, arguments: given, status };
    const given = 'text' in turn ? '' : JSON.stringify(turn.call.arguments);
    const done = item('text' in turn ? turn.text : '', given, 'completed');
    const response = (status: string, output: readonly Json[]): Json => ({
      id: 'resp_1',
      object: 'response',
      created_at: NO_TIME,
      status,
      error: null,
      incomplete_details: null,
      instructions: null,
      model: 'a-model',
      output,
      parallel_tool_calls: true,
      temperature: 1,
      tool_choice: 'auto',
      tools: [],
      top_p: 1,
      usage: status === 'completed' ? usage : null,
      metadata: {},
    });
    if (!stream) return whole(response('completed', [done]));
    const at = { output_index: 0, item_id: 'text' in turn ? 'msg_1' : 'fc_1' };
    const middle: readonly (readonly [string, Json])[] =
      'text' in turn
        ? [
            [
              'response.content_part.added',
              { ...at, content_index: 0, part: { type: 'output_text', text: '', annotations: [] } },
            ],
            ...pieces(turn.text).map((delta): readonly [string, Json] => [
              'response.output_text.delta',
              { ...at, content_index: 0, delta, logprobs: [] },
            ]),
            ['response.output_text.done', { ...at, content_index: 0, text: turn.text, logprobs: [] }],
            [
              'response.content_part.done',
              { ...at, content_index: 0, part: { type: 'output_text', text: turn.text, annotations: [] } },
            ],
          ]
        : [
            ...argumentPieces(turn.call.arguments).map((delta): readonly [string, Json] => [
              'response.function_call_arguments.delta',
              { ...at, delta },
            ]),
            ['response.function_call_arguments.done', { ...at, arguments: given }],
          ];
    const all: readonly (readonly [string, Json])[] = [
      ['response.created', { response: response('in_progress', []) }],
      ['response.in_progress', { response: response('in_progress', []) }],
      ['response.output_item.added', { output_index: 0, item: item('', '', 'in_progress') }],
      ...middle,
      ['response.output_item.done', { output_index: 0, item: done }],
      ['response.completed', { response: response('completed', [done]) }],
    ];
    return events(all.map(([type, data], index) => [type, { type, sequence_number: index, ...data }]));
  },
};

/** https://docs.claude.com/en/api/messages and …/messages-streaming */
const anthropicMessages: Speaker = {
  hear: (_path, body) => ({
    tools: list(body['tools']).map(named),
    toolResults: list(body['messages'])
      .flatMap(({ content }) => list(content))
      .filter(({ type }) => type === 'tool_result').length,
    stream: body['stream'] === true,
  }),
  say: (turn, stream) => {
    const base = { id: 'msg_1', type: 'message', role: 'assistant', model: 'a-model' };
    const reason = 'text' in turn ? 'end_turn' : 'tool_use';
    const block = (text: string, input: Json): Json =>
      'text' in turn ? { type: 'text', text } : { type: 'tool_use', id: turn.call.id, name: turn.call.name, input };
    if (!stream) {
      return whole({
        ...base,
        content: [block('text' in turn ? turn.text : '', 'text' in turn ? {} : turn.call.arguments)],
        stop_reason: reason,
        stop_sequence: null,
        usage: { input_tokens: USAGE.input, output_tokens: USAGE.output },
      });
    }
    const deltas =
      'text' in turn
        ? pieces(turn.text).map((text) => ({ type: 'text_delta', text }))
        : argumentPieces(turn.call.arguments).map((partial) => ({ type: 'input_json_delta', partial_json: partial }));
    const all: readonly Json[] = [
      {
        type: 'message_start',
        message: {
          ...base,
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: USAGE.input, output_tokens: 1 },
        },
      },
      { type: 'content_block_start', index: 0, content_block: block('', {}) },
      { type: 'ping' },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: USAGE.output } },
      { type: 'message_stop' },
    ];
    return events(all.map((data) => [String(data['type']), data]));
  },
};

/** https://ai.google.dev/api/generate-content; Vertex AI's Gemini, too. */
const gemini: Speaker = {
  hear: (path, body) => ({
    tools: list(body['tools']).flatMap((tool) => list(tool['functionDeclarations']).map(named)),
    toolResults: list(body['contents'])
      .flatMap(({ parts }) => list(parts))
      .filter((part) => part['functionResponse'] !== undefined).length,
    stream: path.includes(':streamGenerateContent'),
  }),
  say: (turn, stream) => {
    const parts =
      'text' in turn
        ? (stream ? pieces(turn.text) : [turn.text]).map((text) => ({ text }))
        : [{ functionCall: { name: turn.call.name, args: turn.call.arguments } }];
    const usageMetadata = {
      promptTokenCount: USAGE.input,
      candidatesTokenCount: USAGE.output,
      totalTokenCount: USAGE.input + USAGE.output,
    };
    const answer = (of: readonly Json[], finish: boolean): Json => ({
      candidates: [{ content: { parts: of, role: 'model' }, ...(finish ? { finishReason: 'STOP' } : {}), index: 0 }],
      usageMetadata,
      modelVersion: 'a-model',
      responseId: 'r-1',
    });
    if (!stream) return whole(answer(parts, true));
    return events(parts.map((part, index) => [null, answer([part], index === parts.length - 1)]));
  },
};

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …ConverseStream.html */
const bedrockConverse: Speaker = {
  hear: (path, body) => ({
    tools: list((body['toolConfig'] as Json | undefined)?.['tools']).map((tool) => named((tool['toolSpec'] ?? {}) as Json)),
    toolResults: list(body['messages'])
      .flatMap(({ content }) => list(content))
      .filter((part) => part['toolResult'] !== undefined).length,
    stream: path.endsWith('/converse-stream'),
  }),
  say: (turn, stream) => {
    const usage = { inputTokens: USAGE.input, outputTokens: USAGE.output, totalTokens: USAGE.input + USAGE.output };
    const stopReason = 'text' in turn ? 'end_turn' : 'tool_use';
    if (!stream) {
      const content =
        'text' in turn
          ? [{ text: turn.text }]
          : [{ toolUse: { toolUseId: turn.call.id, name: turn.call.name, input: turn.call.arguments } }];
      return whole({ output: { message: { role: 'assistant', content } }, stopReason, usage, metrics: { latencyMs: 1 } });
    }
    const inside: readonly (readonly [string, Json])[] =
      'text' in turn
        ? pieces(turn.text).map((text) => ['contentBlockDelta', { contentBlockIndex: 0, delta: { text } }])
        : [
            [
              'contentBlockStart',
              { contentBlockIndex: 0, start: { toolUse: { toolUseId: turn.call.id, name: turn.call.name } } },
            ],
            ...argumentPieces(turn.call.arguments).map((input): readonly [string, Json] => [
              'contentBlockDelta',
              { contentBlockIndex: 0, delta: { toolUse: { input } } },
            ]),
          ];
    const all: readonly (readonly [string, Json])[] = [
      ['messageStart', { role: 'assistant' }],
      ...inside,
      ['contentBlockStop', { contentBlockIndex: 0 }],
      ['messageStop', { stopReason }],
      ['metadata', { usage, metrics: { latencyMs: 1 } }],
    ];
    return { contentType: 'application/vnd.amazon.eventstream', chunks: all.map(([type, event]) => eventFrame(type, event)) };
  },
};

/** InvokeModel of Anthropic's models: their answers, in AWS' frames where it streams. */
const bedrockAnthropic: Speaker = {
  hear: (path, body) => ({ ...anthropicMessages.hear(path, body), stream: path.endsWith('/invoke-with-response-stream') }),
  say: (turn, stream) => {
    const said = anthropicMessages.say(turn, stream);
    if (!stream) return said;
    const data = said.chunks.map((chunk) => String(chunk).split('data: ')[1]?.trim() ?? '');
    return {
      contentType: 'application/vnd.amazon.eventstream',
      chunks: data.map((text) => eventFrame('chunk', { bytes: Buffer.from(text).toString('base64') })),
    };
  },
};

/** https://docs.cohere.com/reference/chat and …/chat-stream */
const cohere: Speaker = {
  hear: (path, body) => openAIChat.hear(path, body),
  say: (turn, stream) => {
    const usage = {
      billed_units: { input_tokens: USAGE.input, output_tokens: USAGE.output },
      tokens: { input_tokens: USAGE.input, output_tokens: USAGE.output },
    };
    const finish = 'text' in turn ? 'COMPLETE' : 'TOOL_CALL';
    if (!stream) {
      const message =
        'text' in turn
          ? { role: 'assistant', content: [{ type: 'text', text: turn.text }] }
          : {
              role: 'assistant',
              tool_plan: '',
              tool_calls: [
                {
                  id: turn.call.id,
                  type: 'function',
                  function: { name: turn.call.name, arguments: JSON.stringify(turn.call.arguments) },
                },
              ],
            };
      return whole({ id: 'c-1', finish_reason: finish, message, usage });
    }
    const inside: readonly Json[] =
      'text' in turn
        ? [
            { type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: '' } } } },
            ...pieces(turn.text).map((text) => ({ type: 'content-delta', index: 0, delta: { message: { content: { text } } } })),
            { type: 'content-end', index: 0 },
          ]
        : [
            {
              type: 'tool-call-start',
              index: 0,
              delta: {
                message: {
                  tool_calls: { id: turn.call.id, type: 'function', function: { name: turn.call.name, arguments: '' } },
                },
              },
            },
            ...argumentPieces(turn.call.arguments).map((text) => ({
              type: 'tool-call-delta',
              index: 0,
              delta: { message: { tool_calls: { function: { arguments: text } } } },
            })),
            { type: 'tool-call-end', index: 0 },
          ];
    const all: readonly Json[] = [
      {
        id: 'c-1',
        type: 'message-start',
        delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] } },
      },
      ...inside,
      { type: 'message-end', delta: { finish_reason: finish, usage } },
    ];
    return events(all.map((data) => [String(data['type']), data]));
  },
};

/** https://docs.ollama.com/api/chat: a line of JSON an event; a call comes whole, without an id. */
const ollama: Speaker = {
  hear: (path, body) => ({ ...openAIChat.hear(path, body), stream: body['stream'] !== false }),
  say: (turn, stream) => {
    const base = { model: 'a-model', created_at: '2026-01-01T00:00:00Z' };
    const tail = { done: true, done_reason: 'stop', prompt_eval_count: USAGE.input, eval_count: USAGE.output, total_duration: 1 };
    const contents = 'text' in turn ? (stream ? pieces(turn.text) : [turn.text]) : [''];
    const calls = 'text' in turn ? {} : { tool_calls: [{ function: { name: turn.call.name, arguments: turn.call.arguments } }] };
    const messages = contents.map((content) => ({ role: 'assistant', content, ...calls }));
    if (!stream) return whole({ ...base, message: messages[0] ?? {}, ...tail });
    const lines = [
      ...messages.map((message) => ({ ...base, message, done: false })),
      { ...base, message: { role: 'assistant', content: '' }, ...tail },
    ];
    return { contentType: 'application/x-ndjson', chunks: lines.map((line) => `${JSON.stringify(line)}\n`) };
  },
};

/** By the path that each documents; undefined: nobody here is asked that way. */
export function speakerAt(path: string): Speaker | undefined {
  const [bare = ''] = path.split('?');
  if (bare.endsWith('/chat/completions')) return openAIChat;
  if (bare.endsWith('/responses')) return openAIResponses;
  if (bare.endsWith('/messages')) return anthropicMessages;
  if (/:(?:generateContent|streamGenerateContent)$/.test(bare)) return gemini;
  if (/\/converse(?:-stream)?$/.test(bare)) return bedrockConverse;
  if (/\/invoke(?:-with-response-stream)?$/.test(bare)) return bedrockAnthropic;
  if (bare.endsWith('/v2/chat')) return cohere;
  if (bare.endsWith('/api/chat')) return ollama;
  return undefined;
}
