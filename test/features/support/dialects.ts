/** What models say in each dialect, as frames of a stream and as a whole answer. */
export interface Dialect {
  readonly path: string;
  /** The request's body, but for `stream`. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Before the first output: held. */
  readonly preamble: readonly string[];
  text(text: string, index?: number): string;
  /** What ends a stream well. */
  readonly ending: readonly string[];
  /** The filter's finish instead. */
  readonly filtered: readonly string[];
  whole(text: string): string;
}

/** The frame of one event; `event` '' leaves the field out. */
export function frame(data: unknown, event = ''): string {
  return `${event === '' ? '' : `event: ${event}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

export const DONE = frame('[DONE]');
export const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };

const chunk = (choices: readonly object[], more: object = {}): string =>
  frame({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...more });
const delta = (value: object, finish: string | null = null): string => chunk([{ index: 0, delta: value, finish_reason: finish }]);

/** The extra chunk of `stream_options.include_usage`. */
export const CHAT_USAGE = chunk([], { usage: USAGE });

export const chat: Dialect = {
  path: '/v1/chat/completions',
  body: { model: 'chat', messages: [{ role: 'user', content: 'Say something.' }] },
  preamble: [
    chunk([], { prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }] }),
    delta({ role: 'assistant', content: '' }),
    delta({ content: '' }),
  ],
  text: (text) => delta({ content: text }),
  ending: [delta({}, 'stop'), DONE],
  filtered: [delta({}, 'content_filter'), DONE],
  whole: (text) =>
    JSON.stringify({
      id: 'c1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
      usage: USAGE,
    }),
};

const textChunk = (text: string, finish: string | null = null): string =>
  frame({
    id: 't1',
    object: 'text_completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, text, logprobs: null, finish_reason: finish }],
  });

export const completions: Dialect = {
  path: '/v1/completions',
  body: { model: 'chat', prompt: 'Say something.' },
  preamble: [textChunk('')],
  text: (text) => textChunk(text),
  ending: [textChunk('', 'stop'), DONE],
  filtered: [textChunk('', 'content_filter'), DONE],
  whole: (text) =>
    JSON.stringify({
      id: 't1',
      object: 'text_completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, text, logprobs: null, finish_reason: 'stop' }],
      usage: USAGE,
    }),
};

const RESPONSE = { id: 'r1', object: 'response', created_at: 1, model: 'm', output: [] };
const RESPONSE_USAGE = { input_tokens: 11, output_tokens: 7, total_tokens: 18 };
const responseEvent = (type: string, members: object): string => frame({ type, ...members }, type);

export const responses: Dialect = {
  path: '/v1/responses',
  body: { model: 'chat', input: 'Say something.' },
  preamble: [
    responseEvent('response.created', { sequence_number: 0, response: { ...RESPONSE, status: 'in_progress' } }),
    responseEvent('response.in_progress', { sequence_number: 1, response: { ...RESPONSE, status: 'in_progress' } }),
    responseEvent('response.output_item.added', {
      sequence_number: 2,
      output_index: 0,
      item: { id: 'm1', type: 'message', status: 'in_progress', role: 'assistant', content: [] },
    }),
    responseEvent('response.content_part.added', {
      sequence_number: 3,
      item_id: 'm1',
      output_index: 0,
      content_index: 0,
      part: { type: 'output_text', text: '', annotations: [] },
    }),
  ],
  text: (text, index = 0) =>
    responseEvent('response.output_text.delta', {
      sequence_number: 4 + index,
      item_id: 'm1',
      output_index: 0,
      content_index: 0,
      delta: text,
    }),
  ending: [
    responseEvent('response.completed', {
      sequence_number: 99,
      response: { ...RESPONSE, status: 'completed', usage: RESPONSE_USAGE },
    }),
  ],
  filtered: [
    responseEvent('response.incomplete', {
      sequence_number: 99,
      response: { ...RESPONSE, status: 'incomplete', incomplete_details: { reason: 'content_filter' }, usage: RESPONSE_USAGE },
    }),
  ],
  whole: (text) =>
    JSON.stringify({
      ...RESPONSE,
      status: 'completed',
      output: [
        {
          id: 'm1',
          type: 'message',
          status: 'completed',
          role: 'assistant',
          content: [{ type: 'output_text', text, annotations: [] }],
        },
      ],
      usage: RESPONSE_USAGE,
    }),
};

export const DIALECTS = { chat, completions, responses };

/** A whole stream that says this, a frame a word. */
export function streamOf(dialect: Dialect, ...words: readonly string[]): string[] {
  return [...dialect.preamble, ...words.map((word, index) => dialect.text(word, index)), ...dialect.ending];
}
