/** What an answer has beside text and calls: it stands where the client's dialect has a place for it, or is named as left out. */
import { describe, expect, it } from '@jest/globals';
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind } from '../routetable/types.ts';
import type { StreamTranslator, Translation } from './provider.ts';
import { exchange } from './testing.ts';

const HEAD = { id: 'id', createdSeconds: 1, model: 'm', includeUsage: false };
const PIXEL = 'iVBORw0KGgo=';
const SOURCE = { uri: 'https://a.test/x', title: 'A' };

/** `lost`: by `Operation`, what the header names; `in`: what the client's JSON contains. */
interface Row {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly answer: object;
  /** The same as a stream's events; absent: there is no streamed form of it. */
  readonly events?: readonly object[];
  readonly in?: Readonly<Partial<Record<Operation, readonly string[]>>>;
  readonly lost?: Readonly<Partial<Record<Operation, readonly string[]>>>;
}

const gemini = (candidate: object): object => ({
  candidates: [{ content: { role: 'model', parts: [{ text: 'hé llo' }] }, finishReason: 'STOP', ...candidate }],
});
const claude = (content: readonly object[]): object => ({
  type: 'message',
  role: 'assistant',
  content,
  stop_reason: 'end_turn',
  usage: { input_tokens: 1, output_tokens: 1 },
});
const chat = (message: object, choice: object = {}): object => ({
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi', ...message }, finish_reason: 'stop', ...choice }],
});
const chunk = (delta: object, choice: object = {}): object => ({
  choices: [{ index: 0, delta, finish_reason: null, ...choice }],
});
const LAST_CHUNK = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
const converse = (content: readonly object[]): object => ({
  output: { message: { role: 'assistant', content } },
  stopReason: 'end_turn',
  usage: { inputTokens: 1, outputTokens: 1 },
});

const URL_ROW = {
  in: {
    chat: ['"url_citation":{"url":"https://a.test/x","title":"A"'],
    responses: ['"type":"url_citation","url":"https://a.test/x","title":"A"'],
    messages: ['"type":"web_search_result_location","url":"https://a.test/x","title":"A"'],
  },
  lost: { completions: ['citations'] },
} as const;
const IMAGE_ROW = {
  in: { chat: [`"image_url":{"url":"data:image/png;base64,${PIXEL}"}`], responses: [`"result":"${PIXEL}"`] },
  lost: { messages: ['images'], completions: ['images'] },
} as const;
const LOGPROBS = [{ token: 'hi', logprob: -0.5, bytes: [104, 105], top_logprobs: [] }];
const LOGPROBS_ROW = {
  in: { chat: ['"logprobs":{"content":[{"token":"hi","logprob":-0.5'], responses: ['"logprobs":[{"token":"hi","logprob":-0.5'] },
  lost: { messages: ['logprobs'], completions: ['logprobs'] },
} as const;

const everywhere = (part: string): NonNullable<Row['lost']> => ({
  chat: [part],
  responses: [part],
  messages: [part],
  completions: [part],
});
const CITED = { type: 'web_search_result_location', url: SOURCE.uri, title: 'A', cited_text: 'q', encrypted_index: 'e' };

const ROWS: readonly Row[] = [
  {
    name: 'an image',
    kind: 'Gemini',
    answer: gemini({ content: { parts: [{ inlineData: { mimeType: 'image/png', data: PIXEL } }] } }),
    events: [gemini({ content: { parts: [{ inlineData: { mimeType: 'image/png', data: PIXEL } }] } })],
    ...IMAGE_ROW,
  },
  {
    name: 'sources of a search, told in bytes',
    kind: 'Gemini',
    answer: gemini({
      groundingMetadata: {
        groundingChunks: [{ web: SOURCE }],
        groundingSupports: [{ segment: { startIndex: 4, endIndex: 7 }, groundingChunkIndices: [0] }],
      },
    }),
    events: [gemini({ groundingMetadata: { groundingChunks: [{ web: SOURCE }] } })],
    in: { ...URL_ROW.in, chat: [...URL_ROW.in.chat, '"start_index":3,"end_index":6'] },
    lost: URL_ROW.lost,
  },
  {
    name: 'likelihoods',
    kind: 'Gemini',
    answer: gemini({ logprobsResult: { chosenCandidates: [{ token: 'hi', logProbability: -0.5 }] } }),
    events: [gemini({ logprobsResult: { chosenCandidates: [{ token: 'hi', logProbability: -0.5 }] } })],
    ...LOGPROBS_ROW,
  },
  {
    name: 'code that was run',
    kind: 'Gemini',
    answer: gemini({ content: { parts: [{ executableCode: { code: '1' } }, { text: 'hi' }] } }),
    events: [gemini({ content: { parts: [{ executableCode: { code: '1' } }, { text: 'hi' }] } })],
    lost: everywhere('code_execution'),
  },
  {
    name: 'speech',
    kind: 'Gemini',
    answer: gemini({ content: { parts: [{ inlineData: { mimeType: 'audio/wav', data: 'AAAA' } }] } }),
    lost: everywhere('audio'),
  },
  {
    name: 'sources of a search',
    kind: 'Anthropic',
    answer: claude([{ type: 'text', text: 'hi', citations: [CITED] }]),
    events: [
      { type: 'message_start', message: { usage: { input_tokens: 1, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'citations_delta', citation: CITED } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hi' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
      { type: 'message_stop' },
    ],
    in: { chat: [...URL_ROW.in.chat, '"start_index":0,"end_index":2'], responses: URL_ROW.in.responses },
    lost: URL_ROW.lost,
  },
  {
    name: 'tools of the service',
    kind: 'Anthropic',
    answer: claude([
      { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
      { type: 'web_search_tool_result', tool_use_id: 's', content: [] },
      { type: 'text', text: 'hi' },
    ]),
    events: [
      { type: 'message_start', message: { usage: { input_tokens: 1, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'server_tool_use', id: 's', name: 'w', input: {} } },
      { type: 'content_block_start', index: 1, content_block: { type: 'web_search_tool_result', content: [] } },
      { type: 'content_block_start', index: 2, content_block: { type: 'text', text: 'hi' } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
      { type: 'message_stop' },
    ],
    lost: { chat: ['server_tools', 'search_results'], responses: ['server_tools', 'search_results'] },
  },
  {
    name: 'places in documents that the client gave',
    kind: 'Anthropic',
    answer: claude([{ type: 'text', text: 'hi', citations: [{ type: 'char_location', cited_text: 'q', document_index: 0 }] }]),
    lost: { chat: ['citations'], responses: ['citations'] },
  },
  {
    name: 'sources',
    kind: 'OpenAI',
    answer: chat({
      annotations: [{ type: 'url_citation', url_citation: { url: SOURCE.uri, title: 'A', start_index: 0, end_index: 2 } }],
    }),
    events: [
      chunk({ content: 'hi' }),
      chunk({ annotations: [{ type: 'url_citation', url_citation: { url: SOURCE.uri, title: 'A' } }] }),
      LAST_CHUNK,
    ],
    in: { messages: URL_ROW.in.messages },
  },
  {
    name: 'an image of a vendor',
    kind: 'OpenAI',
    answer: chat({ images: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }] }),
    events: [chunk({ content: 'hi', images: [{ image_url: { url: `data:image/png;base64,${PIXEL}` } }] }), LAST_CHUNK],
    lost: { messages: ['images'] },
  },
  {
    name: 'speech',
    kind: 'OpenAI',
    answer: chat({ audio: { id: 'a', data: 'AAAA', transcript: 'hi' } }),
    events: [chunk({ content: 'hi', audio: { id: 'a', data: 'AAAA' } }), LAST_CHUNK],
    lost: { messages: ['audio'] },
  },
  {
    name: 'likelihoods',
    kind: 'Mistral',
    answer: chat({}, { logprobs: { content: LOGPROBS } }),
    events: [chunk({ content: 'hi' }, { logprobs: { content: LOGPROBS } }), LAST_CHUNK],
    in: { responses: LOGPROBS_ROW.in.responses },
    lost: { messages: ['logprobs'] },
  },
  {
    name: 'a free-form tool call',
    kind: 'OpenAI',
    answer: chat({ tool_calls: [{ id: 'c', type: 'custom', custom: { name: 'f', input: 'x' } }] }),
    lost: { messages: ['custom_tool_calls'] },
  },
  {
    name: 'sources of the web',
    kind: 'Bedrock',
    answer: converse([
      {
        citationsContent: {
          content: [{ text: 'hi' }],
          citations: [{ title: 'A', location: { web: { url: SOURCE.uri } }, sourceContent: [{ text: 'q' }] }],
        },
      },
    ]),
    in: { ...URL_ROW.in, chat: [...URL_ROW.in.chat, '"content":"hi"'] },
    lost: URL_ROW.lost,
  },
  {
    name: 'an image',
    kind: 'Bedrock',
    answer: converse([{ image: { format: 'png', source: { bytes: PIXEL } } }]),
    ...IMAGE_ROW,
  },
  {
    name: 'a video',
    kind: 'Bedrock',
    answer: converse([{ text: 'hi' }, { video: { format: 'mp4', source: {} } }]),
    lost: everywhere('video'),
  },
  {
    name: 'sources without an address',
    kind: 'Cohere',
    answer: {
      finish_reason: 'COMPLETE',
      message: {
        content: [{ type: 'text', text: 'hi' }],
        citations: [{ start: 0, end: 2, sources: [{ type: 'document', id: 'd' }] }],
      },
    },
    events: [
      { type: 'content-delta', delta: { message: { content: { text: 'hi' } } } },
      { type: 'citation-start', delta: { message: { citations: { start: 0, end: 2, sources: [{ id: 'd' }] } } } },
      { type: 'message-end', delta: { finish_reason: 'COMPLETE' } },
    ],
    lost: everywhere('citations'),
  },
];

function translationOf(kind: ProviderKind, operation: Operation): Translation {
  const { translation } = exchange(kind, operation);
  if (translation === null) throw new Error(`${kind} passes ${operation} on`);
  return translation;
}

interface Told {
  readonly text: string;
  readonly lost: readonly string[];
}

function whole({ kind, answer }: Row, operation: Operation): Told {
  const told = translationOf(kind, operation).answer(HEAD, 200, {}, Buffer.from(JSON.stringify(answer)), true);
  expect(told.failure).toBeNull();
  return { text: told.client?.body.toString() ?? '', lost: told.lost ?? [] };
}

function streamed({ kind }: Row, events: readonly object[], operation: Operation): Told {
  const reader: StreamTranslator = translationOf(kind, operation).stream(HEAD, {});
  for (const event of events) reader.push(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  reader.end();
  while (reader.next() !== -1);
  expect(reader).toMatchObject({ failure: null, finished: true });
  return { text: reader.take() + reader.finish(), lost: [...reader.lostParts] };
}

const CASES = ROWS.flatMap((row) => {
  const operations = [...new Set([...Object.keys(row.in ?? {}), ...Object.keys(row.lost ?? {})])] as Operation[];
  return operations.map((operation) => [`${row.kind}: ${row.name} for ${operation}`, row, operation] as const);
});

describe('what an answer has beside text', () => {
  it.each(CASES)('%s', (_, row, operation) => {
    const told = [whole(row, operation), ...(row.events === undefined ? [] : [streamed(row, row.events, operation)])];
    const [first] = told;
    for (const snippet of row.in?.[operation] ?? []) expect(first?.text).toContain(snippet);
    // A stream may tell less of where a source belongs, and never less of what it is.
    for (const snippet of row.in?.[operation]?.slice(0, 1) ?? []) for (const { text } of told) expect(text).toContain(snippet);
    for (const { lost } of told) expect(lost).toEqual(row.lost?.[operation] ?? []);
  });
});
