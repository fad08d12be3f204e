/** Ollama's native API, which tells more than its OpenAI one (thinking, token counts). https://docs.ollama.com/api/chat */
import type { Conversation, Feature, Part, Turn } from '../../dialects/neutral/conversation.ts';
import type { ReplySink } from '../../dialects/neutral/reply.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import { COMPATIBLE_FAILURES } from '../openai-compatible/failure.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { finishOf, type FinishTable } from '../shared/finish.ts';
import { LineFrames } from '../shared/frames.ts';
import { UpstreamReader } from '../shared/reader.ts';
import { resultsInOrder } from '../shared/result-order.ts';
import { tokenCount } from '../shared/tokens.ts';
import { failedReading, shapeless, type Reading, type UpstreamDialect } from '../shared/upstream-dialect.ts';

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
  'assistantImages',
  'imageDetail',
  'strictTools',
  'toolErrors',
]);

/** https://github.com/ollama/ollama/blob/main/llm/server.go; `load` and `unload` answer a request without messages. */
const FINISHES: FinishTable = {
  good: new Map([
    ['stop', 'stop'],
    ['length', 'length'],
    ['load', 'stop'],
    ['unload', 'stop'],
  ]),
  bad: new Map(),
};

export const ollamaDialect: UpstreamDialect = {
  lacks: LACKS,
  thoughts: 'all',
  errors: COMPATIBLE_FAILURES.errors,
  bounds: [['options', 'num_predict']],
  answersAt: null,
  streamType: 'application/x-ndjson',
  frames: () => new LineFrames(),
  write,
  read,
  stream: (sink, origin) => new OllamaStream(sink, origin),
};

function write(conversation: Conversation, model: string): Record<string, unknown> {
  const { system, turns, tools, format, reasoning } = conversation;
  const messages: object[] = system.filter(({ text }) => text !== '').map(({ text }) => ({ role: 'system', content: text }));
  for (const turn of resultsInOrder(turns)) for (const message of messagesOf(turn)) messages.push(message);
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

class OllamaStream extends UpstreamReader {
  #calls = 0;

  read(_event: string, data: string): number {
    const parsed = parseJson(data);
    if (isObject(parsed)) return this.readObject(parsed);
    return this.malformed('a line is not a JSON object');
  }

  readObject(line: JsonObject): number {
    if (line['error'] !== undefined) {
      const facts = readErrorFacts(line) ?? NO_FACTS;
      return this.fail(classifyError(COMPATIBLE_FAILURES.errors, facts, this.origin()));
    }
    let bits = 0;
    const message = line['message'];
    if (isObject(message)) bits = this.#readMessage(message);
    if (Array.isArray(line['logprobs'])) this.sink.logprobs(objectsOf(line['logprobs']));
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
    const raw = stringOf(line['done_reason']);
    // Old servers give none.
    const { reason, failure } = finishOf(FINISHES, raw === '' ? 'stop' : raw, [], this.origin());
    this.finishReason = reason === 'stop' && this.#calls > 0 ? 'tool_calls' : reason;
    return failure === null ? bits | StreamEvent.Done : bits | this.fail(failure);
  }

  #readMessage(message: JsonObject): number {
    const text = stringOf(message['content']);
    const thinking = stringOf(message['thinking']);
    let chars = text.length + thinking.length;
    this.sink.reasoning(thinking);
    this.sink.text(text);
    for (const call of objectsOf(message['tool_calls'])) {
      const called = isObject(call['function']) ? call['function'] : {};
      const name = stringOf(called['name']);
      const written = JSON.stringify(called['arguments'] ?? {});
      this.sink.toolCall(this.#calls, stringOf(call['id']), name, null);
      this.sink.toolArguments(this.#calls++, written);
      chars += name.length + written.length;
    }
    // Models that draw: https://docs.ollama.com/api/chat
    for (const data of Array.isArray(message['images']) ? (message['images'] as readonly unknown[]) : []) {
      this.sink.image('image/png', stringOf(data));
      chars++;
    }
    return this.outputIfAny(chars);
  }
}
