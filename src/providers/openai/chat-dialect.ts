/** Chat completions as an upstream that clients of other dialects are served by. */
import type { Feature } from '../../dialects/neutral/conversation.ts';
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { SseFrames } from '../shared/frames.ts';
import { shapeless, type StreamOrigin, type UpstreamDialect, type UpstreamStream } from '../shared/upstream-dialect.ts';
import { readSuccess } from './answer.ts';
import { type ChatStyle, writeChat } from './chat-request.ts';
import { ChatStream } from './chat-stream.ts';
import type { FailureTable } from './failure.ts';

export function chatDialect(table: FailureTable, style: ChatStyle, lacks: ReadonlySet<Feature>): UpstreamDialect {
  return {
    lacks,
    errors: table.errors,
    streamType: 'text/event-stream',
    frames: () => new SseFrames(),
    write: (conversation, model) => writeChat(conversation, model, style),
    read(answer, sink, origin) {
      if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
      const { failure, usage, finishReason } = readSuccess(table, 'chat', origin, answer);
      const [choice] = objectsOf(answer['choices']);
      const message = choice?.['message'];
      if (isObject(message)) new MessageReader(sink).read(message);
      return { failure, usage, finish: finishOf(finishReason), stopSequence: null };
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

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  read(message: JsonObject): void {
    this.#readReasoning(message);
    readTexts(message['content'], this.#sink, 0);
    this.#sink.refusal(stringOf(message['refusal']));
    for (const call of objectsOf(message['tool_calls'])) this.#readCall(call);
    const legacy = message['function_call'];
    if (isObject(legacy)) this.#readCall({ index: 0, function: legacy });
  }

  #readReasoning(message: JsonObject): void {
    this.#sink.reasoning(stringOf(message['reasoning_content']) || stringOf(message['reasoning']));
  }

  #readCall(call: JsonObject): void {
    const called = call['function'];
    if (!isObject(called)) return;
    const id = stringOf(call['id']);
    const name = stringOf(called['name']);
    const key = typeof call['index'] === 'number' ? String(call['index']) : id;
    // A name begins a call; one that repeats with every piece (some servers) begins none.
    let index = this.#calls.get(key === '' ? String(this.#last) : key);
    if (index === undefined || (name !== '' && id !== '' && !this.#calls.has(`id:${id}`))) {
      index = ++this.#last;
      this.#calls.set(key === '' ? String(index) : key, index);
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
    else readTexts(part['text'], sink, depth + 1);
  }
}

class TranslatedChatStream implements UpstreamStream {
  readonly stopSequence = null;
  readonly #state: ChatStream;
  readonly #reader: MessageReader;

  constructor(sink: ReplySink, table: FailureTable, { headers, secret }: StreamOrigin) {
    this.#state = new ChatStream({ table, headers, secret });
    this.#reader = new MessageReader(sink);
  }

  read(event: string, data: string): number {
    const bits = this.#state.read(event, data);
    const parsed = data === '' || data === '[DONE]' ? undefined : parseJson(data);
    if (isObject(parsed)) {
      const [choice] = objectsOf(parsed['choices']);
      const delta = choice?.['delta'] ?? choice?.['message'];
      if (isObject(delta)) this.#reader.read(delta);
    }
    return bits;
  }

  get finished(): boolean {
    return this.#state.finished;
  }

  get finishReason(): FinishReason | null {
    return finishOf(this.#state.finishReason);
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
