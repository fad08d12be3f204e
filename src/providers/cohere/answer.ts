/** Reads what chat answers, whole and streamed. https://docs.cohere.com/reference/chat, …/chat-stream */
import type { ReplySink } from '../../dialects/neutral/reply.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, type ErrorOrigin } from '../shared/classify.ts';
import { readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { UpstreamReader } from '../shared/reader.ts';
import { tokenCount } from '../shared/tokens.ts';
import { shapeless, type Reading } from '../shared/upstream-dialect.ts';
import { COHERE_FINISHES, COHERE_RULES } from './failure.ts';

export function readCohere(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  const message = answer['message'];
  if (isObject(message)) {
    sink.reasoning(stringOf(message['tool_plan']));
    readContent(message['content'], sink);
    for (const [index, call] of objectsOf(message['tool_calls']).entries()) readCall(index, call, sink);
    for (const citation of objectsOf(message['citations'])) readCitation(citation, sink);
    // Version 1 has its text at the top, and an error nothing but a message.
  } else if (typeof answer['text'] === 'string') sink.text(answer['text']);
  const usage = readUsage(answer['usage']) ?? readUsage(answer['meta']);
  const raw = stringOf(answer['finish_reason']);
  if (raw === '') return { ...shapeless('the answer has no finish_reason', origin), usage };
  const { reason, failure } = finishOf(COHERE_FINISHES, raw, [], origin);
  return { failure, usage, finish: reason, stopSequence: null };
}

/** Its sources are documents and results of tools that the client gave; only one that has an address can be told elsewhere. */
function readCitation(citation: JsonObject, sink: ReplySink): void {
  const { start, end } = citation;
  const span = typeof start === 'number' && typeof end === 'number' ? { start, end } : null;
  for (const source of objectsOf(citation['sources'])) {
    const given = source['document'] ?? source['tool_output'];
    const document: JsonObject = isObject(given) ? given : {};
    const url = stringOf(document['url']);
    if (url === '') sink.lost('citations');
    else sink.citation({ url, title: stringOf(document['title']), quote: '', span });
  }
}

/** Streams have one where whole answers have a list. */
function listOf(value: unknown): readonly JsonObject[] {
  return isObject(value) ? [value] : objectsOf(value);
}

function readContent(content: unknown, sink: ReplySink): number {
  if (typeof content === 'string') {
    sink.text(content);
    return content.length;
  }
  let chars = 0;
  for (const part of listOf(content)) {
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

export class CohereStream extends UpstreamReader {
  /** Cohere's number of a call → ours. */
  readonly #calls = new Map<unknown, number>();

  read(event: string, data: string): number {
    if (data === '' || data === '[DONE]') return 0;
    const parsed = parseJson(data);
    if (!isObject(parsed)) return this.malformed('an event is not a JSON object');
    const delta = isObject(parsed['delta']) ? parsed['delta'] : {};
    const message = isObject(delta['message']) ? delta['message'] : {};
    switch (stringOf(parsed['type']) || event) {
      case 'content-start':
      case 'content-delta':
        return this.outputIfAny(readContent(message['content'], this.sink));
      case 'tool-plan-delta': {
        const plan = stringOf(message['tool_plan']);
        this.sink.reasoning(plan);
        return this.outputIfAny(plan.length);
      }
      case 'tool-call-start':
      case 'tool-call-delta':
        return this.#readCalls(parsed['index'], message['tool_calls']);
      case 'citation-start':
        for (const citation of listOf(message['citations'])) readCitation(citation, this.sink);
        return 0;
      case 'message-end':
        return this.#readEnd(delta);
      default: {
        const facts = isObject(parsed['error']) || event === 'error' ? readErrorFacts(parsed) : null;
        return facts === null ? 0 : this.fail(classifyError(COHERE_RULES, facts, this.origin()));
      }
    }
  }

  #readCalls(index: unknown, calls: unknown): number {
    let chars = 0;
    for (const call of listOf(calls)) {
      const known = this.#calls.get(index);
      if (known === undefined) {
        const next = this.#calls.size;
        this.#calls.set(index, next);
        chars += readCall(next, call, this.sink);
        continue;
      }
      const called = isObject(call['function']) ? call['function'] : {};
      const written = stringOf(called['arguments']);
      this.sink.toolArguments(known, written);
      chars += written.length;
    }
    return this.outputIfAny(chars);
  }

  #readEnd(delta: JsonObject): number {
    this.usage = readUsage(delta['usage']) ?? this.usage;
    const raw = stringOf(delta['finish_reason']);
    if (raw === '') return 0;
    const { reason, failure } = finishOf(COHERE_FINISHES, raw, [], this.origin());
    this.finishReason = reason;
    return failure === null ? StreamEvent.Done : this.fail(failure);
  }
}
