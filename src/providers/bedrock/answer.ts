/** Reads what Converse answers, and the events of ConverseStream. */
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { type Masked, StreamEvent } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { tokenCount } from '../shared/tokens.ts';
import { shapeless, type Reading, type StreamOrigin, type UpstreamStream } from '../shared/upstream-dialect.ts';
import { BEDROCK_FINISHES, BEDROCK_RULES } from './failure.ts';
import { interventionOf } from './guardrail.ts';

export const GUARDRAIL = 'guardrail_intervened';

export function readConverse(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  const output = answer['output'];
  const message = isObject(output) ? output['message'] : undefined;
  const usage = readUsage(answer['usage']);
  const raw = stringOf(answer['stopReason']);
  if (!isObject(message) || raw === '') return { ...shapeless('the answer has no output or no stopReason', origin), usage };
  let calls = 0;
  for (const block of objectsOf(message['content'])) {
    const use = block['toolUse'];
    if (isObject(use)) {
      sink.toolCall(calls, stringOf(use['toolUseId']), stringOf(use['name']), null);
      sink.toolArguments(calls++, JSON.stringify(use['input'] ?? {}));
    } else readShown(block, sink);
  }
  const rest = { usage, stopSequence: stopSequenceOf(answer['additionalModelResponseFields']) };
  if (raw === GUARDRAIL) {
    const found = interventionOf(answer['trace'], origin);
    if (found.kind === 'failed') return { ...rest, failure: found.failure, finish: 'content_filter' };
    return { ...rest, failure: null, finish: calls > 0 ? 'tool_calls' : 'stop', masked: found.masked };
  }
  const { reason, failure } = finishOf(BEDROCK_FINISHES, raw, [], origin);
  return { ...rest, failure, finish: reason };
}

function readShown(block: JsonObject, sink: ReplySink): void {
  sink.text(stringOf(block['text']));
  const reasoning = block['reasoningContent'];
  if (isObject(reasoning)) readReasoning(isObject(reasoning['reasoningText']) ? reasoning['reasoningText'] : reasoning, sink);
}

/** Characters of output in it. */
function readReasoning(reasoning: JsonObject, sink: ReplySink): number {
  const text = stringOf(reasoning['text']);
  const signature = stringOf(reasoning['signature']);
  const redacted = stringOf(reasoning['redactedContent']);
  sink.reasoning(text);
  if (signature !== '') sink.reasoningSignature(seal('bedrock', signature));
  if (redacted !== '') sink.encryptedReasoning(seal('bedrock', redacted));
  return text.length;
}

function stopSequenceOf(fields: unknown): string | null {
  return isObject(fields) ? stringOf(fields['stop_sequence']) || null : null;
}

/** Input is told without what came from the cache and went into it. */
export function readUsage(value: unknown): Usage | null {
  if (!isObject(value) || typeof value['inputTokens'] !== 'number') return null;
  const cached = tokenCount(value['cacheReadInputTokens'] ?? value['cacheReadInputTokenCount']);
  const written = tokenCount(value['cacheWriteInputTokens'] ?? value['cacheWriteInputTokenCount']);
  return {
    inputTokens: tokenCount(value['inputTokens']) + cached + written,
    outputTokens: tokenCount(value['outputTokens']),
    cachedInputTokens: cached,
    cacheWriteTokens: written,
    reasoningTokens: 0,
    estimated: false,
  };
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html */
export class ConverseStream implements UpstreamStream {
  finishReason: FinishReason | null = null;
  stopSequence: string | null = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  masked: Masked | null = null;
  outputChars = 0;
  readonly #sink: ReplySink;
  readonly #context: StreamOrigin;
  /** Bedrock's number of a block → ours of the call in it. */
  readonly #calls = new Map<unknown, number>();
  #nextCall = 0;
  #intervened = false;
  #outputSeen = false;
  /**
   * A guardrail that blocks says so after the text that stands for the answer. Where there is one, the first piece of text is
   * held until a second one, or the end, shows that it is the model's.
   */
  #holdsFirst: boolean;

  constructor(sink: ReplySink, context: StreamOrigin, guarded: boolean) {
    this.#sink = sink;
    this.#context = context;
    this.#holdsFirst = guarded;
  }

  get finished(): boolean {
    return this.finishReason !== null && this.failure === null;
  }

  read(event: string, data: string): number {
    const parsed = data === '' ? {} : parseJson(data);
    if (event.startsWith('!')) {
      const name = event.slice(1);
      const message = isObject(parsed) ? stringOf(parsed['message'] ?? parsed['Message']) : '';
      const facts = { ...NO_FACTS, code: name, names: [name.toLowerCase()], message };
      return this.#fail(classifyError(BEDROCK_RULES, facts, this.#origin()));
    }
    switch (event) {
      case 'contentBlockStart':
      case 'contentBlockDelta':
      case 'messageStop':
      case 'metadata':
        break;
      default:
        // messageStart, contentBlockStop, and what is new.
        return 0;
    }
    if (!isObject(parsed)) return this.#malformed(`the event ${event} is not a JSON object`);
    switch (event) {
      case 'contentBlockStart':
        return this.#readStart(parsed);
      case 'contentBlockDelta':
        return this.#readDelta(parsed);
      case 'messageStop':
        return this.#readStop(parsed);
      default:
        return this.#readMetadata(parsed);
    }
  }

  /** Without the metadata that a guardrail's decision is in, it is not known. */
  end(): number {
    return this.#intervened && this.finishReason === null && this.failure === null ? this.#intervene(undefined) : -1;
  }

  #readStart(event: JsonObject): number {
    const start = event['start'];
    const use = isObject(start) ? start['toolUse'] : undefined;
    if (!isObject(use)) return 0;
    const call = this.#nextCall++;
    this.#calls.set(event['contentBlockIndex'], call);
    const name = stringOf(use['name']);
    this.#sink.toolCall(call, stringOf(use['toolUseId']), name, null);
    return this.#output(name.length, false);
  }

  #readDelta(event: JsonObject): number {
    const delta = event['delta'];
    if (!isObject(delta)) return 0;
    const use = delta['toolUse'];
    if (isObject(use)) {
      const text = stringOf(use['input']);
      this.#sink.toolArguments(this.#calls.get(event['contentBlockIndex']) ?? 0, text);
      return text === '' ? 0 : this.#output(text.length, false);
    }
    const reasoning = delta['reasoningContent'];
    if (isObject(reasoning)) {
      const chars = readReasoning(reasoning, this.#sink);
      return chars === 0 ? 0 : this.#output(chars, false);
    }
    const text = stringOf(delta['text']);
    this.#sink.text(text);
    return text === '' ? 0 : this.#output(text.length, true);
  }

  #readStop(event: JsonObject): number {
    const raw = stringOf(event['stopReason']);
    this.stopSequence = stopSequenceOf(event['additionalModelResponseFields']);
    if (raw === '') return this.#malformed('messageStop without a stopReason');
    if (raw === GUARDRAIL) {
      this.#intervened = true;
      return 0;
    }
    const { reason, failure } = finishOf(BEDROCK_FINISHES, raw, [], this.#origin());
    this.finishReason = reason;
    return failure === null ? 0 : this.#fail(failure);
  }

  #readMetadata(event: JsonObject): number {
    this.usage = readUsage(event['usage']) ?? this.usage;
    const bits = this.#intervened && this.finishReason === null ? this.#intervene(event['trace']) : 0;
    return bits | StreamEvent.Done;
  }

  #intervene(trace: unknown): number {
    const found = interventionOf(trace, this.#origin());
    if (found.kind === 'failed') {
      this.finishReason = 'content_filter';
      return this.#fail(found.failure);
    }
    this.masked = found.masked;
    this.finishReason = this.#nextCall > 0 ? 'tool_calls' : 'stop';
    return 0;
  }

  #output(chars: number, mayBeGuardrails: boolean): number {
    this.outputChars += chars;
    if (this.#holdsFirst && mayBeGuardrails) {
      this.#holdsFirst = false;
      return 0;
    }
    this.#outputSeen = true;
    return StreamEvent.Output;
  }

  #malformed(message: string): number {
    return this.#fail(failureOf('malformed', { ...NO_FACTS, message }, this.#origin()));
  }

  #fail(failure: Failure): number {
    this.failure ??= failure;
    return StreamEvent.Failed;
  }

  #origin(): ErrorOrigin {
    return { httpStatus: 200, headers: this.#context.headers, outputSeen: this.#outputSeen, secret: this.#context.secret };
  }
}
