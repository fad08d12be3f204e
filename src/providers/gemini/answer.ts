/** Reads what generateContent answers, and each event of streamGenerateContent, which has the same form. */
import type { LostPart, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { DeltaShortcut } from '../openai/delta-shortcut.ts';
import { StreamEvent } from '../provider.ts';
import { classifyError, failureOf, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { UpstreamReader } from '../shared/reader.ts';
import { tokenCount } from '../shared/tokens.ts';
import { failedReading, shapeless, type Reading, type StreamOrigin } from '../shared/upstream-dialect.ts';
import { finishName, GEMINI_FINISHES, GEMINI_RULES } from './failure.ts';
import { readGrounding, readLogprobs, readRecitations } from './sources.ts';
import { PartialArguments } from './partial-arguments.ts';

/** Members of a response that may stand without candidates. */
const KNOWN_MEMBERS = ['usageMetadata', 'promptFeedback', 'modelVersion', 'responseId', 'modelStatus'];

/** https://ai.google.dev/api/caching#Part */
const LOST_MEMBERS: readonly (readonly [string, LostPart])[] = [
  ['executableCode', 'code_execution'],
  ['codeExecutionResult', 'code_execution'],
  ['fileData', 'files'],
  ['toolCall', 'server_tools'],
  ['toolResponse', 'server_tools'],
];

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

const RUNNING_COUNTS = ['candidatesTokenCount', 'totalTokenCount'];

function usageCount(event: JsonObject, name: string): unknown {
  const usage = event['usageMetadata'];
  return isObject(usage) ? usage[name] : undefined;
}

function solePart(event: JsonObject): { readonly candidate: JsonObject; readonly part: JsonObject } | null {
  const [candidate, second] = objectsOf(event['candidates']);
  const content = candidate?.['content'];
  const [part, another] = isObject(content) ? objectsOf(content['parts']) : [];
  return candidate === undefined || second !== undefined || part === undefined || another !== undefined
    ? null
    : { candidate, part };
}

function plainText(event: JsonObject): unknown {
  return solePart(event)?.part['text'];
}

/** A piece of text and nothing that is told once, or that means something else. */
function isPlainText(event: JsonObject): boolean {
  const sole = solePart(event);
  if (sole === null || Object.keys(sole.part).join() !== 'text') return false;
  return Object.keys(sole.candidate).every((name) => PLAIN_MEMBERS.includes(name));
}

const PLAIN_MEMBERS = ['content', 'index', 'safetyRatings'];

export class GenerateStream extends UpstreamReader {
  calls = 0;
  #partial: PartialArguments | null = null;
  /** A candidate had a content with nothing in it, not even a role. */
  #empty = false;
  /** All of it: where sources belong is told in bytes of it, at the end. */
  #text = '';
  /** Most of a stream is pieces of text, which differ in nothing but it and in what has been used so far. */
  /** With the use that the event told which was learned from. */
  readonly #shortcut: DeltaShortcut<Usage | null> | null;

  /** `shortcut`: null parses every event, which must make no difference but in time. */
  constructor(
    sink: ReplySink,
    context: StreamOrigin,
    shortcut: DeltaShortcut<Usage | null> | null = new DeltaShortcut(null, { names: RUNNING_COUNTS, find: usageCount }),
  ) {
    super(sink, context);
    this.#shortcut = shortcut;
  }

  read(_event: string, data: string): number {
    if (data === '') return 0;
    if (data === '[DONE]') return StreamEvent.Done;
    if ((this.#shortcut?.match(data) ?? -1) >= 0) return this.#readMatched(data);
    const event = parseJson(data);
    const bits = this.readEvent(event);
    if (bits === StreamEvent.Output && isObject(event) && isPlainText(event))
      this.#shortcut?.learn(data, 'text', plainText, readUsage(event['usageMetadata']));
    return bits;
  }

  /** Nothing but empty contents is no answer that was cut, it never was one. */
  end(): number {
    const nothing = this.#empty && !this.outputSeen && this.finishReason === null && this.failure === null;
    return nothing ? this.malformed('the answer has neither content nor a finish reason') : -1;
  }

  /** As `readEvent` of an event like the one that was learned from. */
  #readMatched(data: string): number {
    const learned = this.#shortcut?.note ?? null;
    if (learned !== null) {
      const output = this.#shortcut?.numberOf('candidatesTokenCount', data) ?? null;
      this.usage = output === null ? learned : { ...learned, outputTokens: tokenCount(output) + learned.reasoningTokens };
    }
    return this.#addText(this.#shortcut?.textOf(data) ?? '');
  }

  #addText(text: string): number {
    this.#text += text;
    this.sink.text(text);
    return this.outputIfAny(text.length);
  }

  readEvent(event: unknown): number {
    const root: unknown = Array.isArray(event) ? event[0] : event;
    if (!isObject(root)) return this.malformed('an event is not a JSON object');
    if (isObject(root['error'])) {
      const facts = readErrorFacts(root) ?? NO_FACTS;
      return this.fail(classifyError(GEMINI_RULES, facts, this.origin()));
    }
    this.usage = readUsage(root['usageMetadata']) ?? this.usage;
    const feedback = root['promptFeedback'];
    const blocked = isObject(feedback) ? stringOf(feedback['blockReason']) : '';
    if (blocked !== '' && blocked !== 'BLOCK_REASON_UNSPECIFIED') {
      const code = blocked.slice(0, 64);
      const facts = { ...NO_FACTS, code, message: `the prompt was blocked: ${code}`, categories: [code] };
      return this.fail(failureOf('prompt_filtered', facts, this.origin()));
    }
    const candidates = root['candidates'];
    if (candidates === undefined && !KNOWN_MEMBERS.some((name) => root[name] !== undefined))
      return this.malformed('an event has nothing that a response has');
    // An event of nothing but usage.
    if (candidates === undefined || (Array.isArray(candidates) && candidates.length === 0)) return 0;
    const first: unknown = Array.isArray(candidates) ? candidates[0] : undefined;
    if (Array.isArray(candidates) && candidates.length > 1) this.sink.lost('choices');
    return isObject(first) ? this.#readCandidate(first) : this.malformed('candidates is not a list of objects');
  }

  #readCandidate(candidate: JsonObject): number {
    const content = candidate['content'];
    let bits = 0;
    if (content !== undefined && content !== null) {
      // A role alone is what a model that has not said anything has; anything else without parts is something else.
      const bare = isObject(content) && content['parts'] === undefined && content['role'] === undefined;
      const strange = bare && Object.keys(content).length > 0;
      this.#empty ||= bare && !strange;
      const parts = isObject(content) && !strange ? (content['parts'] ?? []) : undefined;
      if (!Array.isArray(parts)) return this.malformed('content has no list of parts');
      for (const part of objectsOf(parts)) bits |= this.#readPart(part);
    }
    if (candidate['groundingMetadata'] !== undefined) readGrounding(candidate['groundingMetadata'], this.#text, this.sink);
    if (candidate['citationMetadata'] !== undefined) readRecitations(candidate['citationMetadata'], this.#text, this.sink);
    if (candidate['logprobsResult'] !== undefined) readLogprobs(candidate['logprobsResult'], this.sink);
    const raw = finishName(candidate['finishReason']);
    if (raw === '') return bits;
    this.#endPartial();
    const { reason, failure } = finishOf(GEMINI_FINISHES, raw, [raw.slice(0, 64)], this.origin());
    this.finishReason = reason === 'stop' && this.calls > 0 ? 'tool_calls' : reason;
    return failure === null ? bits : bits | this.fail(failure);
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
      this.sink.toolCall(index, stringOf(call['id']), name, signature === '' ? null : seal('gemini', signature));
      this.sink.toolArguments(index, written);
      return this.output(name.length + written.length);
    }
    const text = stringOf(part['text']);
    let told = 0;
    if (part['thought'] === true) {
      this.sink.reasoning(text);
      told = this.outputIfAny(text.length);
    } else told = this.#addText(text);
    const bits = told | this.#readData(part);
    // Of an answer without calls it is on whichever part comes last.
    const signature = stringOf(part['thoughtSignature']);
    if (signature !== '') this.sink.reasoningSignature(seal('gemini', signature));
    return bits;
  }

  #readData(part: JsonObject): number {
    const { inlineData } = part;
    for (const [member, lost] of LOST_MEMBERS) if (part[member] !== undefined) this.sink.lost(lost);
    if (!isObject(inlineData)) return 0;
    const mediaType = stringOf(inlineData['mimeType']);
    const data = stringOf(inlineData['data']);
    // What it drew while it thought.
    if (part['thought'] === true) this.sink.lost('reasoning');
    else if (mediaType.startsWith('image/')) this.sink.image(mediaType, data);
    else this.sink.lost(mediaType.startsWith('audio/') ? 'audio' : mediaType.startsWith('video/') ? 'video' : 'files');
    return this.outputIfAny(data.length);
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
      this.sink.toolCall(this.#partial.index, stringOf(call['id']), name, signature === '' ? null : seal('gemini', signature));
    }
    for (const piece of objectsOf(call['partialArgs'])) this.#partial.add(piece);
    if (call['willContinue'] !== true) this.#endPartial();
    return this.output(name.length);
  }

  #endPartial(): void {
    if (this.#partial === null) return;
    const written = JSON.stringify(this.#partial.arguments);
    this.sink.toolArguments(this.#partial.index, written);
    this.outputChars += written.length;
    this.#partial = null;
  }
}
