/** Reads what generateContent answers, and each event of streamGenerateContent, which has the same form. */
import type { FinishReason, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import type { Failure } from '../../lib/failure.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { tokenCount } from '../shared/tokens.ts';
import { failedReading, shapeless, type Reading, type StreamOrigin, type UpstreamStream } from '../shared/upstream-dialect.ts';
import { GEMINI_FINISHES, GEMINI_RULES } from './failure.ts';
import { PartialArguments } from './partial-arguments.ts';

/** Members of a response that may stand without candidates. */
const KNOWN_MEMBERS = ['usageMetadata', 'promptFeedback', 'modelVersion', 'responseId', 'modelStatus'];

export function readGenerated(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  const stream = new GenerateStream(sink, { headers: origin.headers, secret: origin.secret });
  // Some clients of Google's own record the answer as a list of one.
  const events = Array.isArray(answer) ? answer : [answer];
  for (const event of events) stream.readEvent(event);
  const { failure, usage, finishReason } = stream;
  if (failure !== null) {
    // Of an answer that is whole nothing has been seen before.
    const whole =
      failure.kind === 'content_filtered' && failure.phase === 'mid_stream'
        ? { ...failure, phase: 'completion' as const }
        : failure;
    return failedReading(whole, usage);
  }
  if (finishReason !== null) return { failure: null, usage, finish: finishReason, stopSequence: null };
  // Old models leave the reason out of a whole answer.
  if (stream.outputSeen) return { failure: null, usage, finish: stream.calls > 0 ? 'tool_calls' : 'stop', stopSequence: null };
  return { ...shapeless('the answer has neither content nor a finish reason', origin), usage };
}

/** `usageMetadata`: thoughts are told beside the candidates, tool prompts beside the prompt. */
export function readUsage(value: unknown): Usage | null {
  if (!isObject(value)) return null;
  const told = ['promptTokenCount', 'candidatesTokenCount', 'thoughtsTokenCount', 'totalTokenCount'];
  if (told.every((name) => typeof value[name] !== 'number')) return null;
  const thoughts = tokenCount(value['thoughtsTokenCount']);
  const input = tokenCount(value['promptTokenCount']) + tokenCount(value['toolUsePromptTokenCount']);
  return {
    inputTokens: input,
    outputTokens: tokenCount(value['candidatesTokenCount']) + thoughts,
    cachedInputTokens: Math.min(input, tokenCount(value['cachedContentTokenCount'])),
    reasoningTokens: thoughts,
    estimated: false,
  };
}

export class GenerateStream implements UpstreamStream {
  finishReason: FinishReason | null = null;
  readonly stopSequence = null;
  failure: Failure | null = null;
  usage: Usage | null = null;
  outputChars = 0;
  outputSeen = false;
  calls = 0;
  #partial: PartialArguments | null = null;
  readonly #sink: ReplySink;
  readonly #context: StreamOrigin;

  constructor(sink: ReplySink, context: StreamOrigin) {
    this.#sink = sink;
    this.#context = context;
  }

  /** There is no end mark: a finish reason stands until another comes. */
  get finished(): boolean {
    return this.finishReason !== null && this.failure === null;
  }

  read(_event: string, data: string): number {
    if (data === '') return 0;
    return data === '[DONE]' ? StreamEvent.Done : this.readEvent(parseJson(data));
  }

  readEvent(event: unknown): number {
    const root: unknown = Array.isArray(event) ? event[0] : event;
    if (!isObject(root)) return this.#malformed('an event is not a JSON object');
    if (isObject(root['error'])) {
      const facts = readErrorFacts(root) ?? NO_FACTS;
      return this.#fail(classifyError(GEMINI_RULES, facts, this.#origin()));
    }
    this.usage = readUsage(root['usageMetadata']) ?? this.usage;
    const feedback = root['promptFeedback'];
    const blocked = isObject(feedback) ? stringOf(feedback['blockReason']) : '';
    if (blocked !== '' && blocked !== 'BLOCK_REASON_UNSPECIFIED') {
      const code = blocked.slice(0, 64);
      const facts = { ...NO_FACTS, code, message: `the prompt was blocked: ${code}`, categories: [code] };
      return this.#fail(failureOf('prompt_filtered', facts, this.#origin()));
    }
    const candidates = root['candidates'];
    if (candidates === undefined && !KNOWN_MEMBERS.some((name) => root[name] !== undefined))
      return this.#malformed('an event has nothing that a response has');
    // An event of nothing but usage.
    if (candidates === undefined || (Array.isArray(candidates) && candidates.length === 0)) return 0;
    const first: unknown = Array.isArray(candidates) ? candidates[0] : undefined;
    return isObject(first) ? this.#readCandidate(first) : this.#malformed('candidates is not a list of objects');
  }

  #readCandidate(candidate: JsonObject): number {
    const content = candidate['content'];
    let bits = 0;
    if (content !== undefined && content !== null) {
      // A role alone is what a model that has not said anything has; anything else without parts is something else.
      const bare = isObject(content) && content['parts'] === undefined && content['role'] === undefined;
      const strange = bare && Object.keys(content).length > 0;
      const parts = isObject(content) && !strange ? (content['parts'] ?? []) : undefined;
      if (!Array.isArray(parts)) return this.#malformed('content has no list of parts');
      for (const part of objectsOf(parts)) bits |= this.#readPart(part);
    }
    const raw = stringOf(candidate['finishReason']);
    if (raw === '' || raw === 'FINISH_REASON_UNSPECIFIED') return bits;
    this.#endPartial();
    const { reason, failure } = finishOf(GEMINI_FINISHES, raw, [raw.slice(0, 64)], this.#origin());
    this.finishReason = reason === 'stop' && this.calls > 0 ? 'tool_calls' : reason;
    return failure === null ? bits : bits | this.#fail(failure);
  }

  #readPart(part: JsonObject): number {
    const call = part['functionCall'];
    if (isObject(call) && (this.#partial !== null || call['willContinue'] === true)) return this.#readPartial(call, part);
    if (isObject(call)) {
      const signature = stringOf(part['thoughtSignature']);
      const name = stringOf(call['name']);
      // Its arguments come whole, not as text: written so that they read the same everywhere.
      const written = JSON.stringify(call['args'] ?? {});
      const index = this.calls++;
      this.#sink.toolCall(index, stringOf(call['id']), name, signature === '' ? null : seal('gemini', signature));
      this.#sink.toolArguments(index, written);
      return this.#output(name.length + written.length);
    }
    const text = stringOf(part['text']);
    if (part['thought'] === true) this.#sink.reasoning(text);
    else this.#sink.text(text);
    return text === '' ? 0 : this.#output(text.length);
  }

  /**
   * A call whose arguments come path by path, on Vertex AI where that is asked for. Their text is made when they are whole.
   * https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc
   */
  #readPartial(call: JsonObject, part: JsonObject): number {
    const name = stringOf(call['name']);
    if (this.#partial === null) {
      const signature = stringOf(part['thoughtSignature']);
      this.#partial = new PartialArguments(this.calls++);
      this.#sink.toolCall(this.#partial.index, stringOf(call['id']), name, signature === '' ? null : seal('gemini', signature));
    }
    for (const piece of objectsOf(call['partialArgs'])) this.#partial.add(piece);
    if (call['willContinue'] !== true) this.#endPartial();
    return this.#output(name.length);
  }

  #endPartial(): void {
    if (this.#partial === null) return;
    const written = JSON.stringify(this.#partial.arguments);
    this.#sink.toolArguments(this.#partial.index, written);
    this.outputChars += written.length;
    this.#partial = null;
  }

  #output(chars: number): number {
    this.outputSeen = true;
    this.outputChars += chars;
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
    return { httpStatus: 200, headers: this.#context.headers, outputSeen: this.outputSeen, secret: this.#context.secret };
  }
}
