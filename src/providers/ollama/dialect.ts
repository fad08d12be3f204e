/** Ollama's native API, which tells more than its OpenAI one (thinking, token counts). https://docs.ollama.com/api/chat */
import type { Conversation, Feature, Part, Turn } from '../../dialects/neutral/conversation.ts';
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { COMPATIBLE_FAILURES } from '../openai-compatible/failure.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { LineFrames } from '../shared/frames.ts';
import { tokenCount } from '../shared/tokens.ts';
import {
  failedReading,
  shapeless,
  type Reading,
  type StreamOrigin,
  type UpstreamDialect,
  type UpstreamStream,
} from '../shared/upstream-dialect.ts';

const LACKS: ReadonlySet<Feature> = new Set<Feature>([
  'logprobs',
  'toolChoice',
  'toolChoiceNone',
  'toolChoiceNamed',
  'parallelToolCalls',
  'imageUrls',
  'files',
  'fileUrls',
  'audio',
  'toolResultImages',
  'cacheMarkers',
  'endUser',
  'hints',
]);

export const ollamaDialect: UpstreamDialect = {
  lacks: LACKS,
  errors: COMPATIBLE_FAILURES.errors,
  streamType: 'application/x-ndjson',
  frames: () => new LineFrames(),
  write,
  read,
  stream: (sink, origin) => new OllamaStream(sink, origin),
};

function write(conversation: Conversation, model: string): Record<string, unknown> {
  const { system, turns, tools, format, reasoning } = conversation;
  const messages: object[] = system.filter(({ text }) => text !== '').map(({ text }) => ({ role: 'system', content: text }));
  for (const turn of turns) messages.push(...messagesOf(turn));
  // It streams unless told not to.
  const body: Record<string, unknown> = { model, messages, stream: conversation.stream };
  if (tools.length > 0) {
    body['tools'] = tools.map(({ name, description, parameters }) => ({
      type: 'function',
      function: { name, ...(description === null ? {} : { description }), parameters },
    }));
  }
  if (format.kind === 'json') body['format'] = 'json';
  if (format.kind === 'schema') body['format'] = format.schema;
  if (reasoning !== null) body['think'] = thinkOf(reasoning.effort);
  const options = Object.entries({
    temperature: conversation.temperature,
    top_p: conversation.topP,
    top_k: conversation.topK,
    seed: conversation.seed,
    num_predict: conversation.maxOutputTokens,
    frequency_penalty: conversation.frequencyPenalty,
    presence_penalty: conversation.presencePenalty,
    stop: conversation.stop.length === 0 ? null : conversation.stop,
  }).filter(([, value]) => value !== null);
  if (options.length > 0) body['options'] = Object.fromEntries(options);
  return body;
}

function thinkOf(effort: string | null): boolean | string {
  if (effort === 'none') return false;
  return effort === 'low' || effort === 'medium' || effort === 'high' ? effort : true;
}

function messagesOf({ role, parts }: Turn): object[] {
  const messages: object[] = [];
  for (const part of parts)
    if (part.kind === 'toolResult') messages.push({ role: 'tool', tool_name: part.name || part.id, content: textOf(part.parts) });
  const images = parts.flatMap((part) => (part.kind === 'image' && part.source.kind === 'data' ? [part.source.data] : []));
  const calls = parts.flatMap((part) => {
    if (part.kind !== 'toolCall') return [];
    const given = parseJson(part.arguments);
    return [{ function: { name: part.name, arguments: isObject(given) ? given : {} } }];
  });
  const thinking = parts.flatMap((part) => (part.kind === 'reasoning' ? [part.text] : [])).join('');
  const text = textOf(parts);
  if (text === '' && images.length === 0 && calls.length === 0) return messages;
  messages.push({
    role,
    content: text,
    ...(thinking === '' ? {} : { thinking }),
    ...(images.length === 0 ? {} : { images }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  });
  return messages;
}

function textOf(parts: readonly Part[]): string {
  return parts.flatMap((part) => (part.kind === 'text' || part.kind === 'refusal' ? [part.text] : [])).join('\n');
}

function read(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  const stream = new OllamaStream(sink, { headers: origin.headers, secret: origin.secret });
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  stream.readObject(answer);
  const { failure, usage, finishReason } = stream;
  if (failure !== null) return failedReading(failure, usage);
  if (finishReason === null) return { ...shapeless('the answer is not done', origin), usage };
  return { failure: null, usage, finish: finishReason, stopSequence: null };
}

class OllamaStream implements UpstreamStream {
  finishReason: FinishReason | null = null;
  readonly stopSequence = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  readonly #sink: ReplySink;
  readonly #context: StreamOrigin;
  #calls = 0;
  #outputSeen = false;

  constructor(sink: ReplySink, context: StreamOrigin) {
    this.#sink = sink;
    this.#context = context;
  }

  get finished(): boolean {
    return this.finishReason !== null && this.failure === null;
  }

  read(_event: string, data: string): number {
    const parsed = parseJson(data);
    if (isObject(parsed)) return this.readObject(parsed);
    return this.#fail(failureOf('malformed', { ...NO_FACTS, message: 'a line is not a JSON object' }, this.#origin()));
  }

  readObject(line: JsonObject): number {
    if (line['error'] !== undefined) {
      const facts = readErrorFacts(line) ?? NO_FACTS;
      return this.#fail(classifyError(COMPATIBLE_FAILURES.errors, facts, this.#origin()));
    }
    let bits = 0;
    const message = line['message'];
    if (isObject(message)) bits = this.#readMessage(message);
    if (line['done'] !== true) return bits;
    if (typeof line['prompt_eval_count'] === 'number' || typeof line['eval_count'] === 'number') {
      this.usage = {
        inputTokens: tokenCount(line['prompt_eval_count']),
        outputTokens: tokenCount(line['eval_count']),
        cachedInputTokens: 0,
        reasoningTokens: 0,
        estimated: false,
      };
    }
    const reason = stringOf(line['done_reason']);
    this.finishReason = reason === 'length' ? 'length' : this.#calls > 0 ? 'tool_calls' : 'stop';
    return bits | StreamEvent.Done;
  }

  #readMessage(message: JsonObject): number {
    const text = stringOf(message['content']);
    const thinking = stringOf(message['thinking']);
    let chars = text.length + thinking.length;
    this.#sink.reasoning(thinking);
    this.#sink.text(text);
    for (const call of objectsOf(message['tool_calls'])) {
      const called = isObject(call['function']) ? call['function'] : {};
      const name = stringOf(called['name']);
      const written = JSON.stringify(called['arguments'] ?? {});
      this.#sink.toolCall(this.#calls, stringOf(call['id']), name, null);
      this.#sink.toolArguments(this.#calls++, written);
      chars += name.length + written.length;
    }
    if (chars === 0) return 0;
    this.outputChars += chars;
    this.#outputSeen = true;
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
