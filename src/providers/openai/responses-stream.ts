/** Streams of the Responses API: typed events, one final event with the whole response. https://platform.openai.com/docs/api-reference/responses-streaming */
import { StreamEvent } from '../provider.ts';
import { failureOf } from '../shared/classify.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { isObject, stringOf, type JsonObject } from '../../lib/json.ts';
import { encryptedIn, isToolCall, namedError, responseFailure, responseFinish, storedIdOf } from './answer.ts';
import { DeltaShortcut } from './delta-shortcut.ts';
import { OpenAIStream, type StreamContext } from './stream-base.ts';
import { readUsage } from './usage.ts';

export class ResponsesStream extends OpenAIStream {
  finished = false;
  storedId: string | null = null;
  encrypted: readonly string[] = [];
  #calledTool = false;
  readonly #shortcut: DeltaShortcut | null;

  /** `shortcut`: null parses every event, which must make no difference but in time. */
  constructor(context: StreamContext, shortcut: DeltaShortcut | null = new DeltaShortcut()) {
    super(context);
    this.#shortcut = shortcut;
  }

  read(event: string, data: string): number {
    if (this.#shortcut !== null && event !== 'error') {
      const chars = this.#shortcut.match(data);
      if (chars >= 0) return chars === 0 ? 0 : this.addOutput(chars);
    }
    return this.readParsed(event, data);
  }

  protected override readObject(event: string, parsed: JsonObject, data: string): number {
    const type = stringOf(parsed['type']) || event;
    switch (type) {
      case 'response.completed':
      case 'response.incomplete':
      case 'response.failed':
      case 'response.cancelled':
        return this.#readEnd(type, parsed['response']);
      case 'error':
        return this.failWith(parsed);
      case 'response.output_item.added':
      case 'response.output_item.done':
        if (isObject(parsed['item']) && isToolCall(parsed['item'])) this.#calledTool = true;
        return 0;
      case 'response.image_generation_call.partial_image':
        return this.addOutput(0);
      default:
        return type.endsWith('.delta') ? this.#readDelta(parsed, data) : this.#readOther(parsed);
    }
  }

  /** Every `*.delta` carries output: text, refusal, reasoning, arguments, a tool's code or input, audio, a transcript. */
  #readDelta(parsed: JsonObject, data: string): number {
    const delta = parsed['delta'];
    if (typeof delta === 'string') {
      if (delta === '') return 0;
      // Where the type is told by the SSE field alone, equal data need not be equal events.
      if (typeof parsed['type'] === 'string') this.#shortcut?.learn(data, 'delta', deltaOf, undefined);
      return this.addOutput(delta.length);
    }
    // An unknown delta in another form is output all the same: committing too early is told to the client, losing it is not.
    return isObject(delta) && Object.keys(delta).length > 0 ? this.addOutput(0) : 0;
  }

  #readOther(parsed: JsonObject): number {
    const { response } = parsed;
    if (isObject(response)) this.storedId ??= storedIdOf(response);
    return namedError(parsed) === null ? 0 : this.failWith(parsed);
  }

  #readEnd(type: string, response: unknown): number {
    if (!isObject(response)) {
      return this.fail(failureOf('malformed', { ...NO_FACTS, message: `${type} without its response` }, this.origin()));
    }
    // The event's name stands where a compatible server leaves the status out of the object.
    const ended = typeof response['status'] === 'string' ? response : { ...response, status: type.slice('response.'.length) };
    this.usage = readUsage(ended['usage']) ?? this.usage;
    this.finishReason = responseFinish(ended, this.#calledTool);
    this.encrypted = encryptedIn(ended);
    const failure = responseFailure(this.context.table, ended, this.origin());
    this.finished = type === 'response.completed' || type === 'response.incomplete';
    return failure === null ? 0 : this.fail(failure);
  }
}

function deltaOf(event: JsonObject): unknown {
  return event['delta'];
}

/** Streams whose events are passed through unread (speech, transcriptions, images): only an error in them is ours to see. */
export class OpaqueStream extends OpenAIStream {
  /** Nothing is known of how such a stream ends: its transport's end is believed once there was something. */
  get finished(): boolean {
    return this.outputSeen && this.failure === null;
  }

  read(event: string, data: string): number {
    if (data === '[DONE]') return StreamEvent.Done;
    // Payloads are large (base64) and an error is small.
    if (event === 'error' || (data.length < MAX_ERROR_CHARS && data.includes('"error"'))) return this.readParsed(event, data);
    return this.addOutput(0);
  }

  protected override readObject(event: string, parsed: JsonObject): number {
    return event === 'error' || namedError(parsed) !== null ? this.failWith(parsed) : this.addOutput(0);
  }
}

const MAX_ERROR_CHARS = 16_384;
