/** Chat completions as an upstream that clients of other dialects are served by. */
import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { BoundPaths } from '../../dialects/output-limit.ts';
import type { FinishReason, ReplySink, TokenLogprob } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { SseFrames } from '../shared/frames.ts';
import { shapeless, type StreamOrigin, type UpstreamDialect, type UpstreamStream } from '../shared/upstream-dialect.ts';
import { readSuccess } from './answer.ts';
import { type ChatStyle, writeChat } from './chat-request.ts';
import { ChatStream } from './chat-stream.ts';
import type { FailureTable } from './failure.ts';

const NEWER_FIRST: BoundPaths = [['max_completion_tokens'], ['max_tokens']];
const OLDER_FIRST: BoundPaths = [['max_tokens'], ['max_completion_tokens']];

export function chatDialect(table: FailureTable, style: ChatStyle, lacks: ReadonlySet<Feature>): UpstreamDialect {
  return {
    lacks,
    thoughts: style.thoughts === null ? null : 'all',
    errors: table.errors,
    bounds: style.maxTokens === 'max_tokens' ? OLDER_FIRST : NEWER_FIRST,
    answersAt: ['n'],
    streamType: 'text/event-stream',
    frames: () => new SseFrames(),
    write: (conversation, model) => writeChat(conversation, model, style),
    read(answer, sink, origin) {
      if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
      const { failure, usage, finishReason } = readSuccess(table, 'chat', origin, answer);
      const reader = new MessageReader(sink);
      reader.readChoices(answer, 'message');
      return { failure, usage, finish: finishOf(finishReason) ?? reader.silentFinish, stopSequence: null };
    },
    stream: (sink, origin) => new TranslatedChatStream(sink, table, origin),
  };
}

/** Reasons that nobody has a word for end an answer all the same: what is a failure was told apart before. */
function finishOf(reason: string | null): FinishReason | null {
  switch (reason) {
    case null:
      return null;
    case 'length':
    case 'tool_calls':
    case 'content_filter':
      return reason;
    case 'function_call':
      return 'tool_calls';
    default:
      return 'stop';
  }
}

/** Reads messages and deltas, which differ in little. */
class MessageReader {
  readonly #sink: ReplySink;
  /** Upstream's number of a call → ours. Some servers leave the number out, or give each call the same. */
  readonly #calls = new Map<string, number>();
  #last = -1;
  #searched = false;

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  get #lastCall(): number | undefined {
    return this.#last < 0 ? undefined : this.#last;
  }

  /** Of an answer without a finish reason. */
  get silentFinish(): FinishReason | null {
    return this.#last < 0 ? null : 'tool_calls';
  }

  /** `member`: where a choice has its message. Choices beyond the first were not asked for; in a stream each comes by itself. */
  readChoices(answer: JsonObject, member: 'message' | 'delta'): void {
    const choices = objectsOf(answer['choices']);
    const choice = choices.find(({ index }) => typeof index !== 'number' || index === 0);
    if (choices.length > (choice === undefined ? 0 : 1)) this.#sink.lost('choices');
    if (choice === undefined) return;
    const message = choice[member] ?? choice['message'];
    if (isObject(message)) this.#read(message, choice[member] === message && member === 'delta');
    if (isObject(choice['logprobs']))
      this.#sink.logprobs(objectsOf(choice['logprobs']['content']) satisfies readonly TokenLogprob[]);
    // Perplexity's: https://docs.perplexity.ai/api-reference/chat-completions-post
    if (answer['search_results'] !== undefined && !this.#searched) this.#readSearch(objectsOf(answer['search_results']));
  }

  /** `piece`: of a message that goes on; in a whole one each call is one of its own. */
  #read(message: JsonObject, piece: boolean): void {
    this.#readReasoning(message);
    readTexts(message['content'], this.#sink, 0);
    this.#sink.refusal(stringOf(message['refusal']));
    if (message['tool_calls'] !== undefined) for (const call of objectsOf(message['tool_calls'])) this.#readCall(call, piece);
    const { function_call: legacy, annotations, images, audio } = message;
    if (isObject(legacy)) this.#readCall({ index: 0, function: legacy }, piece);
    if (annotations !== undefined) for (const annotation of objectsOf(annotations)) this.#readAnnotation(annotation);
    if (images !== undefined) for (const image of objectsOf(images)) this.#readImage(image);
    if (isObject(audio)) this.#sink.lost('audio');
  }

  #readAnnotation(annotation: JsonObject): void {
    const source = isObject(annotation['url_citation']) ? annotation['url_citation'] : {};
    const url = stringOf(source['url']);
    const { start_index: start, end_index: end } = source;
    const span = typeof start === 'number' && typeof end === 'number' ? { start, end } : null;
    if (url === '') this.#sink.lost('citations');
    else this.#sink.citation({ url, title: stringOf(source['title']), quote: stringOf(source['content']), span });
  }

  /** Every chunk repeats them. */
  #readSearch(results: readonly JsonObject[]): void {
    this.#searched = results.length > 0;
    for (const result of results) {
      const url = stringOf(result['url']);
      if (url !== '')
        this.#sink.citation({ url, title: stringOf(result['title']), quote: stringOf(result['snippet']), span: null });
    }
  }

  #readImage(image: JsonObject): void {
    const url = isObject(image['image_url']) ? stringOf(image['image_url']['url']) : '';
    const data = /^data:([^;,]{1,80});base64,/.exec(url.slice(0, 120));
    if (data === null) this.#sink.lost('images');
    else this.#sink.image(data[1] ?? 'image/png', url.slice(data[0].length));
  }

  #readReasoning(message: JsonObject): void {
    this.#sink.reasoning(stringOf(message['reasoning_content']) || stringOf(message['reasoning']));
  }

  #readCall(call: JsonObject, piece: boolean): void {
    const called = call['function'];
    if (!isObject(called)) {
      this.#sink.lost('custom_tool_calls');
      return;
    }
    const id = stringOf(call['id']);
    const name = stringOf(called['name']);
    const key = typeof call['index'] === 'number' ? String(call['index']) : id;
    // What says of no call that it is its own goes on with the last one.
    let index = !piece ? undefined : key === '' ? this.#lastCall : this.#calls.get(key);
    // A name begins a call; one that repeats with every piece (some servers) begins none.
    if (index === undefined || (name !== '' && id !== '' && !this.#calls.has(`id:${id}`))) {
      index = ++this.#last;
      if (key !== '') this.#calls.set(key, index);
      if (id !== '') this.#calls.set(`id:${id}`, index);
      this.#sink.toolCall(index, id, name, null);
    }
    const given = called['arguments'];
    this.#sink.toolArguments(index, isObject(given) ? JSON.stringify(given) : stringOf(given));
  }
}

const MAX_PART_DEPTH = 4;

/** Text, or a list of parts `{text}`, `{thinking: […]}` as Mistral's reasoning models send it. */
function readTexts(content: unknown, sink: ReplySink, depth: number): void {
  if (typeof content === 'string') return sink.text(content);
  if (!Array.isArray(content) || depth > MAX_PART_DEPTH) return;
  for (const part of objectsOf(content)) {
    const thinking = part['thinking'];
    if (typeof thinking === 'string') sink.reasoning(thinking);
    else if (Array.isArray(thinking)) for (const thought of objectsOf(thinking)) sink.reasoning(stringOf(thought['text']));
    else if (part['text'] !== undefined) readTexts(part['text'], sink, depth + 1);
    else sink.lost(part['type'] === 'reference' ? 'citations' : 'unknown_parts');
  }
}

class TranslatedChatStream implements UpstreamStream {
  readonly stopSequence = null;
  readonly #state: ChatStream;
  readonly #reader: MessageReader;
  readonly #sink: ReplySink;

  constructor(sink: ReplySink, table: FailureTable, { headers, secret }: StreamOrigin) {
    this.#state = new ChatStream({ table, headers, secret });
    this.#reader = new MessageReader(sink);
    this.#sink = sink;
  }

  read(event: string, data: string): number {
    const bits = this.#state.read(event, data);
    const key = this.#state.matchedKey;
    if (key === 'content') {
      this.#sink.text(this.#state.matchedText(data));
      return bits;
    }
    if (key === 'reasoning_content' || key === 'reasoning') {
      this.#sink.reasoning(this.#state.matchedText(data));
      return bits;
    }
    const parsed = data === '' || data === '[DONE]' ? undefined : parseJson(data);
    if (isObject(parsed)) {
      this.#reader.readChoices(parsed, 'delta');
    }
    return bits;
  }

  get finished(): boolean {
    return this.#state.finished;
  }

  get finishReason(): FinishReason | null {
    return finishOf(this.#state.finishReason) ?? (this.finished ? this.#reader.silentFinish : null);
  }

  get failure(): Failure | null {
    return this.#state.failure;
  }

  get usage(): Usage | null {
    return this.#state.usage;
  }

  get outputChars(): number {
    return this.#state.outputChars;
  }
}
