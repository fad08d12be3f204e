/** Streams of messages. https://docs.claude.com/en/docs/build-with-claude/streaming */
import type { ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import { isObject, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import { DeltaShortcut } from '../openai/delta-shortcut.ts';
import { StreamEvent, type StreamReader } from '../provider.ts';
import { classifyError, failureOf } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { JSON_ANSWER_TOOL } from '../shared/json-answer.ts';
import { finishOf } from '../shared/finish.ts';
import { UpstreamReader } from '../shared/reader.ts';
import type { StreamOrigin } from '../shared/upstream-dialect.ts';
import { lostBlock, readCitation, readUsage, stopCategories } from './answer.ts';
import { ANTHROPIC_FINISHES, ANTHROPIC_RULES } from './failure.ts';

/** What a content block is: a call by its number, the answer in JSON, or what its deltas say. */
type Block = number | 'answer' | 'other';

/** Of a block that is told: its text so far. Of one that is told again, after a second beginning: what need not be told. */
interface Told {
  text: string;
  again: string;
}

function textDelta(event: JsonObject): unknown {
  const { type, delta } = event;
  return type === 'content_block_delta' && isObject(delta) && delta['type'] === 'text_delta' ? delta['text'] : undefined;
}

/** For bytes that pass: they are read for how they end and what was used. */
const NO_SINK: ReplySink = {
  text() {},
  refusal() {},
  reasoning() {},
  reasoningSignature() {},
  encryptedReasoning() {},
  toolCall() {},
  toolArguments() {},
  citation() {},
  image() {},
  logprobs() {},
  lost() {},
};

export class MessagesStream extends UpstreamReader implements StreamReader {
  outputUntold = true;
  #ended = false;
  readonly #passes: boolean;
  readonly #blocks = new Map<unknown, Block>();
  /** By the index of a block; kept only where it is written anew, because a beginning that came twice is the exception. */
  readonly #told = new Map<unknown, Told>();
  #calls = 0;
  #begun = false;
  #answered = false;
  #answerTold = false;
  /** Of the block of text that is being told: where it begins, and its sources, whose span is known at its end. */
  #textChars = 0;
  #blockStart = 0;
  /** Most of a stream is deltas of one block, which differ in nothing but their text. */
  readonly #shortcut = new DeltaShortcut<unknown>();
  #cited: JsonObject[] = [];

  /** `sink`: null where the client gets the bytes as they are. */
  constructor(sink: ReplySink | null, context: StreamOrigin) {
    super(sink ?? NO_SINK, context);
    this.#passes = sink === null;
  }

  override get finished(): boolean {
    return this.#ended;
  }

  read(event: string, data: string): number {
    if (data === '') return 0;
    if (event !== 'error') {
      const chars = this.#shortcut.match(data);
      if (chars >= 0) return this.#readText(this.#shortcut.note, this.#passes ? null : this.#shortcut.textOf(data), chars);
    }
    const parsed = parseJson(data);
    if (!isObject(parsed)) {
      const message = event === 'error' ? data : 'an event of the stream is not a JSON object';
      return this.fail(failureOf(event === 'error' ? 'server_error' : 'malformed', { ...NO_FACTS, message }, this.origin()));
    }
    switch (stringOf(parsed['type']) || event) {
      case 'message_start':
        return this.#readStart(parsed['message']);
      case 'content_block_start':
        return this.#readBlock(parsed['index'], parsed['content_block']);
      case 'content_block_stop':
        return this.#endBlock(parsed['index']);
      case 'content_block_delta':
        return this.#readDelta(parsed['index'], parsed['delta'], data);
      case 'message_delta':
        return this.#readEnd(parsed);
      case 'message_stop':
        this.#ended = this.finishReason !== null;
        return StreamEvent.Done;
      case 'error': {
        const facts = readErrorFacts(parsed) ?? NO_FACTS;
        return this.fail(classifyError(ANTHROPIC_RULES, facts, this.origin()));
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
          return isFilled(block['input']) ? this.#readAnswer(JSON.stringify(block['input'])) : 0;
        }
        if (typeof this.#blocks.get(index) === 'number') return 0;
        const call = this.#calls++;
        this.#blocks.set(index, call);
        this.sink.toolCall(call, stringOf(block['id']), name, null);
        // Some give the input at once and no deltas.
        const { input } = block;
        if (isFilled(input)) this.sink.toolArguments(call, JSON.stringify(input));
        return this.output(name.length);
      }
      case 'redacted_thinking': {
        const data = stringOf(block['data']);
        this.sink.encryptedReasoning(seal('anthropic', data));
        return this.output(0);
      }
      case 'text': {
        const text = stringOf(block['text']);
        this.sink.text(text);
        this.#blockStart = this.#textChars;
        this.#textChars += text.length;
        return this.outputIfAny(text.length);
      }
      case 'thinking': {
        const text = stringOf(block['thinking']);
        this.sink.reasoning(text);
        return this.outputIfAny(text.length);
      }
      default:
        // What the service's own tools do commits: it has begun to answer.
        this.#blocks.set(index, 'other');
        this.sink.lost(lostBlock(block['type']));
        return block['type'] === undefined ? 0 : this.output(0);
    }
  }

  /** `given`: null where the client gets the bytes as they are. */
  #readText(index: unknown, given: string | null, chars: number): number {
    if (given === null) return this.outputIfAny(chars);
    const text = this.#fresh(index, given);
    if (text === null) return this.#diverged();
    this.sink.text(text);
    this.#textChars += text.length;
    return this.outputIfAny(text.length);
  }

  #readDelta(index: unknown, delta: unknown, data: string): number {
    if (!isObject(delta)) return 0;
    switch (delta['type']) {
      case 'text_delta': {
        const text = stringOf(delta['text']);
        if (text !== '') this.#shortcut.learn(data, 'text', textDelta, index);
        return this.#readText(index, text, text.length);
      }
      case 'thinking_delta': {
        // Thoughts may be others the second time; what was told of them stays.
        const text = this.#fresh(index, stringOf(delta['thinking'])) ?? '';
        this.sink.reasoning(text);
        return this.outputIfAny(text.length);
      }
      case 'signature_delta':
        if ((this.#told.get(index)?.again ?? '') !== '') return 0;
        this.sink.reasoningSignature(seal('anthropic', stringOf(delta['signature'])));
        return 0;
      case 'input_json_delta': {
        const text = this.#fresh(index, stringOf(delta['partial_json']));
        if (text === null) return this.#diverged();
        const block = this.#blocks.get(index);
        if (block === 'answer') return this.#readAnswer(text);
        if (typeof block === 'number') this.sink.toolArguments(block, text);
        return this.outputIfAny(text.length);
      }
      case 'citations_delta':
        if (isObject(delta['citation'])) this.#cited.push(delta['citation']);
        return 0;
      default:
        return 0;
    }
  }

  #readAnswer(text: string): number {
    this.sink.text(text);
    this.#answerTold ||= text !== '';
    return this.outputIfAny(text.length);
  }

  #endBlock(index: unknown): number {
    for (const citation of this.#cited) readCitation(citation, this.sink, { start: this.#blockStart, end: this.#textChars });
    this.#cited = [];
    this.#blockStart = this.#textChars;
    // An object without members has no deltas.
    return this.#blocks.get(index) === 'answer' && !this.#answerTold ? this.#readAnswer('{}') : 0;
  }

  /** The part of a delta that has not been told; null: it is not what was told the first time. */
  #fresh(index: unknown, text: string): string | null {
    if (this.#passes) return text;
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
    return this.fail(failureOf('malformed', { ...NO_FACTS, message }, this.origin()));
  }

  #readEnd(event: JsonObject): number {
    this.usage = readUsage(event['usage'], this.usage);
    this.outputUntold = false;
    const delta = isObject(event['delta']) ? event['delta'] : {};
    const raw = stringOf(delta['stop_reason']);
    if (raw === '') return 0;
    const { reason, failure } = finishOf(ANTHROPIC_FINISHES, raw, stopCategories(delta), this.origin());
    this.finishReason = this.#answered && this.#calls === 0 && reason === 'tool_calls' ? 'stop' : reason;
    this.stopSequence = stringOf(delta['stop_sequence']) || null;
    this.#ended = this.finishReason !== null;
    return failure === null ? 0 : this.fail(failure);
  }
}

function isFilled(input: unknown): boolean {
  return isObject(input) && Object.keys(input).length > 0;
}
