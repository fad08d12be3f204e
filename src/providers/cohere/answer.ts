/** Reads what chat answers, whole and streamed. https://docs.cohere.com/reference/chat, …/chat-stream */
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { tokenCount } from '../shared/tokens.ts';
import { shapeless, type Reading, type StreamOrigin, type UpstreamStream } from '../shared/upstream-dialect.ts';
import { COHERE_FINISHES, COHERE_RULES } from './failure.ts';

export function readCohere(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  const message = answer['message'];
  if (isObject(message)) {
    sink.reasoning(stringOf(message['tool_plan']));
    readContent(message['content'], sink);
    for (const [index, call] of objectsOf(message['tool_calls']).entries()) readCall(index, call, sink);
    // Version 1 has its text at the top, and an error nothing but a message.
  } else if (typeof answer['text'] === 'string') sink.text(answer['text']);
  const usage = readUsage(answer['usage']) ?? readUsage(answer['meta']);
  const raw = stringOf(answer['finish_reason']);
  if (raw === '') return { ...shapeless('the answer has no finish_reason', origin), usage };
  const { reason, failure } = finishOf(COHERE_FINISHES, raw, [], origin);
  return { failure, usage, finish: reason, stopSequence: null };
}

function readContent(content: unknown, sink: ReplySink): number {
  if (typeof content === 'string') {
    sink.text(content);
    return content.length;
  }
  let chars = 0;
  for (const part of isObject(content) ? [content] : objectsOf(content)) {
    const text = stringOf(part['text']);
    const thinking = stringOf(part['thinking']);
    sink.reasoning(thinking);
    sink.text(text);
    chars += text.length + thinking.length;
  }
  return chars;
}

/** Characters of it. */
function readCall(index: number, call: JsonObject, sink: ReplySink): number {
  const called = isObject(call['function']) ? call['function'] : {};
  const name = stringOf(called['name']);
  const written = stringOf(called['arguments']);
  sink.toolCall(index, stringOf(call['id']), name, null);
  sink.toolArguments(index, written);
  return name.length + written.length;
}

/** `tokens` is what was read and written; what is billed leaves Cohere's own preamble out. */
export function readUsage(value: unknown): Usage | null {
  if (!isObject(value)) return null;
  const tokens = isObject(value['tokens']) ? value['tokens'] : value['billed_units'];
  if (!isObject(tokens)) return null;
  const input = tokenCount(tokens['input_tokens']);
  return {
    inputTokens: input,
    outputTokens: tokenCount(tokens['output_tokens']),
    cachedInputTokens: Math.min(input, tokenCount(value['cached_tokens'])),
    reasoningTokens: tokenCount(tokens['reasoning_tokens']),
    estimated: false,
  };
}

export class CohereStream implements UpstreamStream {
  finishReason: FinishReason | null = null;
  readonly stopSequence = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  readonly #sink: ReplySink;
  readonly #context: StreamOrigin;
  /** Cohere's number of a call → ours. */
  readonly #calls = new Map<unknown, number>();
  #outputSeen = false;

  constructor(sink: ReplySink, context: StreamOrigin) {
    this.#sink = sink;
    this.#context = context;
  }

  get finished(): boolean {
    return this.finishReason !== null && this.failure === null;
  }

  read(event: string, data: string): number {
    if (data === '' || data === '[DONE]') return 0;
    const parsed = parseJson(data);
    if (!isObject(parsed))
      return this.#fail(failureOf('malformed', { ...NO_FACTS, message: 'an event is not a JSON object' }, this.#origin()));
    const delta = isObject(parsed['delta']) ? parsed['delta'] : {};
    const message = isObject(delta['message']) ? delta['message'] : {};
    switch (stringOf(parsed['type']) || event) {
      case 'content-start':
      case 'content-delta':
        return this.#output(readContent(message['content'], this.#sink));
      case 'tool-plan-delta': {
        const plan = stringOf(message['tool_plan']);
        this.#sink.reasoning(plan);
        return this.#output(plan.length);
      }
      case 'tool-call-start':
      case 'tool-call-delta':
        return this.#readCalls(parsed['index'], message['tool_calls']);
      case 'message-end':
        return this.#readEnd(delta);
      default: {
        const facts = isObject(parsed['error']) || event === 'error' ? readErrorFacts(parsed) : null;
        return facts === null ? 0 : this.#fail(classifyError(COHERE_RULES, facts, this.#origin()));
      }
    }
  }

  #readCalls(index: unknown, calls: unknown): number {
    let chars = 0;
    for (const call of isObject(calls) ? [calls] : objectsOf(calls)) {
      const known = this.#calls.get(index);
      if (known === undefined) {
        const next = this.#calls.size;
        this.#calls.set(index, next);
        chars += readCall(next, call, this.#sink);
        continue;
      }
      const called = isObject(call['function']) ? call['function'] : {};
      const written = stringOf(called['arguments']);
      this.#sink.toolArguments(known, written);
      chars += written.length;
    }
    return this.#output(chars);
  }

  #readEnd(delta: JsonObject): number {
    this.usage = readUsage(delta['usage']) ?? this.usage;
    const raw = stringOf(delta['finish_reason']);
    if (raw === '') return 0;
    const { reason, failure } = finishOf(COHERE_FINISHES, raw, [], this.#origin());
    this.finishReason = reason;
    return failure === null ? StreamEvent.Done : this.#fail(failure);
  }

  #output(chars: number): number {
    if (chars === 0) return 0;
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
