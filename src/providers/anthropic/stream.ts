/** Streams of messages. https://docs.claude.com/en/docs/build-with-claude/streaming */
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent, type StreamReader } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import type { StreamOrigin, UpstreamStream } from '../shared/upstream-dialect.ts';
import { readUsage, stopCategories } from './answer.ts';
import { ANTHROPIC_FINISHES, ANTHROPIC_RULES } from './failure.ts';
import { JSON_ANSWER_TOOL } from './request.ts';

/** What a content block is: a call by its number, the answer in JSON, or what its deltas say. */
type Block = number | 'answer' | 'other';

/** Of a block that is told: its text so far. Of one that is told again, after a second beginning: what need not be told. */
interface Told {
  text: string;
  again: string;
}

export class MessagesStream implements UpstreamStream, StreamReader {
  finished = false;
  finishReason: FinishReason | null = null;
  stopSequence: string | null = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  readonly #sink: ReplySink | null;
  readonly #context: StreamOrigin;
  readonly #blocks = new Map<unknown, Block>();
  /** By the index of a block; kept only where it is written anew, because a beginning that came twice is the exception. */
  readonly #told = new Map<unknown, Told>();
  #calls = 0;
  #begun = false;
  #answered = false;
  #outputSeen = false;

  /** `sink`: null where the client gets the bytes as they are. */
  constructor(sink: ReplySink | null, context: StreamOrigin) {
    this.#sink = sink;
    this.#context = context;
  }

  read(event: string, data: string): number {
    if (data === '') return 0;
    const parsed = parseJson(data);
    if (!isObject(parsed)) {
      const message = event === 'error' ? data : 'an event of the stream is not a JSON object';
      return this.#fail(failureOf(event === 'error' ? 'server_error' : 'malformed', { ...NO_FACTS, message }, this.#origin()));
    }
    switch (stringOf(parsed['type']) || event) {
      case 'message_start':
        return this.#readStart(parsed['message']);
      case 'content_block_start':
        return this.#readBlock(parsed['index'], parsed['content_block']);
      case 'content_block_delta':
        return this.#readDelta(parsed['index'], parsed['delta']);
      case 'message_delta':
        return this.#readEnd(parsed);
      case 'message_stop':
        this.finished = this.finishReason !== null;
        return StreamEvent.Done;
      case 'error': {
        const facts = readErrorFacts(parsed) ?? NO_FACTS;
        return this.#fail(classifyError(ANTHROPIC_RULES, facts, this.#origin()));
      }
      default:
        return 0;
    }
  }

  /** A relay that reconnects sends an answer from its beginning (fixture anthropic/spliced-message-start): what was told is not told again. */
  #readStart(message: unknown): number {
    if (this.#begun) for (const told of this.#told.values()) told.again = told.text;
    this.#begun = true;
    if (isObject(message)) this.usage = readUsage(message['usage'], this.usage);
    return 0;
  }

  #readBlock(index: unknown, block: unknown): number {
    if (!isObject(block)) return 0;
    switch (block['type']) {
      case 'tool_use': {
        const name = stringOf(block['name']);
        if (name === JSON_ANSWER_TOOL) {
          this.#answered = true;
          this.#blocks.set(index, 'answer');
          return 0;
        }
        if (typeof this.#blocks.get(index) === 'number') return 0;
        const call = this.#calls++;
        this.#blocks.set(index, call);
        this.#sink?.toolCall(call, stringOf(block['id']), name, null);
        // Some give the input at once and no deltas.
        const input = block['input'];
        if (isObject(input) && Object.keys(input).length > 0) this.#sink?.toolArguments(call, JSON.stringify(input));
        return this.#output(name.length);
      }
      case 'redacted_thinking': {
        const data = stringOf(block['data']);
        this.#sink?.encryptedReasoning(seal('anthropic', data));
        return this.#output(0);
      }
      case 'text': {
        const text = stringOf(block['text']);
        this.#sink?.text(text);
        return text === '' ? 0 : this.#output(text.length);
      }
      case 'thinking': {
        const text = stringOf(block['thinking']);
        this.#sink?.reasoning(text);
        return text === '' ? 0 : this.#output(text.length);
      }
      default:
        // What the service's own tools do commits: it has begun to answer.
        this.#blocks.set(index, 'other');
        return block['type'] === undefined ? 0 : this.#output(0);
    }
  }

  #readDelta(index: unknown, delta: unknown): number {
    if (!isObject(delta)) return 0;
    switch (delta['type']) {
      case 'text_delta': {
        const text = this.#fresh(index, stringOf(delta['text']));
        if (text === null) return this.#diverged();
        this.#sink?.text(text);
        return text === '' ? 0 : this.#output(text.length);
      }
      case 'thinking_delta': {
        // Thoughts may be others the second time; what was told of them stays.
        const text = this.#fresh(index, stringOf(delta['thinking'])) ?? '';
        this.#sink?.reasoning(text);
        return text === '' ? 0 : this.#output(text.length);
      }
      case 'signature_delta':
        if ((this.#told.get(index)?.again ?? '') !== '') return 0;
        this.#sink?.reasoningSignature(seal('anthropic', stringOf(delta['signature'])));
        return 0;
      case 'input_json_delta': {
        const text = this.#fresh(index, stringOf(delta['partial_json']));
        if (text === null) return this.#diverged();
        const block = this.#blocks.get(index);
        if (block === 'answer') this.#sink?.text(text);
        else if (typeof block === 'number') this.#sink?.toolArguments(block, text);
        return text === '' ? 0 : this.#output(text.length);
      }
      default:
        return 0;
    }
  }

  /** The part of a delta that has not been told; null: it is not what was told the first time. */
  #fresh(index: unknown, text: string): string | null {
    if (this.#sink === null) return text;
    let told = this.#told.get(index);
    if (told === undefined) this.#told.set(index, (told = { text: '', again: '' }));
    if (told.again === '') {
      told.text += text;
      return text;
    }
    if (told.again.startsWith(text)) {
      told.again = told.again.slice(text.length);
      return '';
    }
    if (!text.startsWith(told.again)) return null;
    const fresh = text.slice(told.again.length);
    told.again = '';
    told.text += fresh;
    return fresh;
  }

  #diverged(): number {
    const message = 'the stream began anew and says something else';
    return this.#fail(failureOf('malformed', { ...NO_FACTS, message }, this.#origin()));
  }

  #readEnd(event: JsonObject): number {
    this.usage = readUsage(event['usage'], this.usage);
    const delta = isObject(event['delta']) ? event['delta'] : {};
    const raw = stringOf(delta['stop_reason']);
    if (raw === '') return 0;
    const { reason, failure } = finishOf(ANTHROPIC_FINISHES, raw, stopCategories(delta), this.#origin());
    this.finishReason = this.#answered && this.#calls === 0 && reason === 'tool_calls' ? 'stop' : reason;
    this.stopSequence = stringOf(delta['stop_sequence']) || null;
    this.finished = this.finishReason !== null;
    return failure === null ? 0 : this.#fail(failure);
  }

  #output(chars: number): number {
    this.#outputSeen = true;
    this.outputChars += chars;
    return StreamEvent.Output;
  }

  #fail(failure: Failure): number {
    this.failure ??= failure;
    return StreamEvent.Failed;
  }

  #origin(): ErrorOrigin {
    return { httpStatus: 200, headers: this.#context.headers, outputSeen: this.#outputSeen, secret: this.#context.secret };
  }
}
