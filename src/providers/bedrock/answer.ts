/** Reads what Converse answers, and the events of ConverseStream. */
import type { Citation, LostPart, ReplySink } from '../../dialects/neutral/reply.ts';
import { seal } from '../../dialects/neutral/signature.ts';
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Usage } from '../../lib/usage.ts';
import { type Masked, StreamEvent } from '../provider.ts';
import { classifyError, type ErrorOrigin } from '../shared/classify.ts';
import { NO_FACTS } from '../shared/error-facts.ts';
import { finishOf } from '../shared/finish.ts';
import { JSON_ANSWER_TOOL } from '../shared/json-answer.ts';
import { UpstreamReader } from '../shared/reader.ts';
import { tokenCount } from '../shared/tokens.ts';
import { shapeless, type Reading, type StreamOrigin } from '../shared/upstream-dialect.ts';
import { BEDROCK_FINISHES, BEDROCK_RULES } from './failure.ts';
import { interventionOf } from './guardrail.ts';

const GUARDRAIL = 'guardrail_intervened';

export function readConverse(answer: unknown, sink: ReplySink, origin: ErrorOrigin): Reading {
  if (!isObject(answer)) return shapeless('the answer is not a JSON object', origin);
  const output = answer['output'];
  const message = isObject(output) ? output['message'] : undefined;
  const usage = readUsage(answer['usage']);
  const raw = stringOf(answer['stopReason']);
  if (!isObject(message) || raw === '') return { ...shapeless('the answer has no output or no stopReason', origin), usage };
  let calls = 0;
  let chars = 0;
  let answered = false;
  for (const block of objectsOf(message['content'])) {
    const use = block['toolUse'];
    if (isObject(use) && use['name'] === JSON_ANSWER_TOOL) {
      answered = true;
      sink.text(JSON.stringify(use['input'] ?? {}));
    } else if (isObject(use)) {
      sink.toolCall(calls, stringOf(use['toolUseId']), stringOf(use['name']), null);
      sink.toolArguments(calls++, JSON.stringify(use['input'] ?? {}));
    } else chars += readShown(block, sink, chars);
  }
  const rest = { usage, stopSequence: stopSequenceOf(answer['additionalModelResponseFields']) };
  if (raw === GUARDRAIL) {
    const found = interventionOf(answer['trace'], origin);
    if (found.kind === 'failed') return { ...rest, failure: found.failure, finish: 'content_filter' };
    return { ...rest, failure: null, finish: calls > 0 ? 'tool_calls' : 'stop', masked: found.masked };
  }
  const { reason, failure } = finishOf(BEDROCK_FINISHES, raw, [], origin);
  return { ...rest, failure, finish: answered && calls === 0 && reason === 'tool_calls' ? 'stop' : reason };
}

/** Characters of text in it; `before`: of all before it. */
function readShown(block: JsonObject, sink: ReplySink, before: number): number {
  const text = stringOf(block['text']);
  sink.text(text);
  const { reasoningContent, citationsContent, image } = block;
  if (isObject(reasoningContent))
    readReasoning(isObject(reasoningContent['reasoningText']) ? reasoningContent['reasoningText'] : reasoningContent, sink);
  if (isObject(image)) readImage(image, sink);
  for (const [member, lost] of LOST_BLOCKS) if (block[member] !== undefined) sink.lost(lost);
  if (!isObject(citationsContent)) return text.length;
  let chars = text.length;
  for (const part of objectsOf(citationsContent['content'])) {
    const cited = stringOf(part['text']);
    sink.text(cited);
    chars += cited.length;
  }
  for (const citation of objectsOf(citationsContent['citations']))
    readCitation(citation, sink, { start: before + text.length, end: before + chars });
  return chars;
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html */
const LOST_BLOCKS: readonly (readonly [string, LostPart])[] = [
  ['document', 'files'],
  ['video', 'video'],
  ['audio', 'audio'],
  ['toolResult', 'server_tools'],
  ['searchResult', 'search_results'],
];

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html: of the locations only the web has an address. */
function readCitation(citation: JsonObject, sink: ReplySink, span: Citation['span']): void {
  const location = citation['location'];
  const web = isObject(location) ? location['web'] : undefined;
  const url = isObject(web) ? stringOf(web['url']) : '';
  const quote = objectsOf(citation['sourceContent'])
    .map((part) => stringOf(part['text']))
    .join('');
  if (url === '') sink.lost('citations');
  else sink.citation({ url, title: stringOf(citation['title']), quote, span });
}

/** Characters of it. */
function readImage(image: JsonObject, sink: ReplySink): number {
  const { source } = image;
  const data = isObject(source) ? stringOf(source['bytes']) : '';
  if (data === '') sink.lost('images');
  else sink.image(`image/${stringOf(image['format']) || 'png'}`, data);
  return data.length;
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
    ...writtenForAnHour(value['cacheDetails']),
    reasoningTokens: 0,
    estimated: false,
  };
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CacheDetail.html */
function writtenForAnHour(details: unknown): Pick<Usage, 'cacheWriteHourTokens'> {
  let tokens = 0;
  for (const { ttl, inputTokens } of objectsOf(details)) if (ttl === '1h') tokens += tokenCount(inputTokens);
  return tokens === 0 ? {} : { cacheWriteHourTokens: tokens };
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html */
export class ConverseStream extends UpstreamReader {
  masked: Masked | null = null;
  /** Bedrock's number of a block → ours of the call in it. */
  readonly #calls = new Map<unknown, number>();
  #nextCall = 0;
  /** Bedrock's number of the block whose call is the answer; null: none is. */
  #answerBlock: unknown = null;
  #answerTold = false;
  #textChars = 0;
  /** Characters of text before the block that is being told. */
  #blockStart = 0;
  #intervened = false;
  /**
   * A guardrail that blocks says so after the text that stands for the answer. Where there is one, the first piece of text is
   * held until a second one, or the end, shows that it is the model's.
   */
  #holdsFirst: boolean;

  constructor(sink: ReplySink, context: StreamOrigin, guarded: boolean) {
    super(sink, context);
    this.#holdsFirst = guarded;
  }

  read(event: string, data: string): number {
    const parsed = data === '' ? {} : parseJson(data);
    if (event.startsWith('!')) {
      const name = event.slice(1);
      const message = isObject(parsed) ? stringOf(parsed['message'] ?? parsed['Message']) : '';
      const facts = { ...NO_FACTS, code: name, names: [name.toLowerCase()], message };
      return this.fail(classifyError(BEDROCK_RULES, facts, this.origin()));
    }
    switch (event) {
      case 'contentBlockStart':
      case 'contentBlockDelta':
      case 'messageStop':
      case 'metadata':
        break;
      case 'contentBlockStop':
        this.#blockStart = this.#textChars;
        return this.#endAnswer(isObject(parsed) ? parsed['contentBlockIndex'] : undefined);
      default:
        // messageStart, and what is new.
        return 0;
    }
    if (!isObject(parsed)) return this.malformed(`the event ${event} is not a JSON object`);
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
    if (!isObject(use)) {
      if (isObject(start) && start['toolResult'] !== undefined) this.sink.lost('server_tools');
      return 0;
    }
    const name = stringOf(use['name']);
    if (name === JSON_ANSWER_TOOL) {
      this.#answerBlock = event['contentBlockIndex'];
      return 0;
    }
    const call = this.#nextCall++;
    this.#calls.set(event['contentBlockIndex'], call);
    this.sink.toolCall(call, stringOf(use['toolUseId']), name, null);
    return this.output(name.length);
  }

  #readDelta(event: JsonObject): number {
    const delta = event['delta'];
    if (!isObject(delta)) return 0;
    const use = delta['toolUse'];
    if (isObject(use)) {
      const text = stringOf(use['input']);
      if (this.#answerBlock !== null && event['contentBlockIndex'] === this.#answerBlock) return this.#readAnswer(text);
      this.sink.toolArguments(this.#calls.get(event['contentBlockIndex']) ?? 0, text);
      return this.outputIfAny(text.length);
    }
    const reasoning = delta['reasoningContent'];
    if (isObject(reasoning)) {
      const chars = readReasoning(reasoning, this.sink);
      return this.outputIfAny(chars);
    }
    const bits = this.#text(stringOf(delta['text']));
    const { citation, image } = delta;
    if (isObject(citation)) readCitation(citation, this.sink, { start: this.#blockStart, end: this.#textChars });
    if (isObject(image)) return bits | this.outputIfAny(readImage(image, this.sink));
    return bits;
  }

  #readAnswer(text: string): number {
    this.#answerTold ||= text !== '';
    return this.#text(text);
  }

  /** An object without members has no text of its own. */
  #endAnswer(block: unknown): number {
    const empty = this.#answerBlock !== null && block === this.#answerBlock && !this.#answerTold;
    return empty ? this.#readAnswer('{}') : 0;
  }

  #readStop(event: JsonObject): number {
    const raw = stringOf(event['stopReason']);
    this.stopSequence = stopSequenceOf(event['additionalModelResponseFields']);
    if (raw === '') return this.malformed('messageStop without a stopReason');
    if (raw === GUARDRAIL) {
      this.#intervened = true;
      return 0;
    }
    const { reason, failure } = finishOf(BEDROCK_FINISHES, raw, [], this.origin());
    this.finishReason = this.#answerBlock !== null && this.#nextCall === 0 && reason === 'tool_calls' ? 'stop' : reason;
    return failure === null ? 0 : this.fail(failure);
  }

  #readMetadata(event: JsonObject): number {
    this.usage = readUsage(event['usage']) ?? this.usage;
    const bits = this.#intervened && this.finishReason === null ? this.#intervene(event['trace']) : 0;
    return bits | StreamEvent.Done;
  }

  #intervene(trace: unknown): number {
    const found = interventionOf(trace, this.origin());
    if (found.kind === 'failed') {
      this.finishReason = 'content_filter';
      return this.fail(found.failure);
    }
    this.masked = found.masked;
    this.finishReason = this.#nextCall > 0 ? 'tool_calls' : 'stop';
    return 0;
  }

  #text(text: string): number {
    if (text === '') return 0;
    this.sink.text(text);
    this.#textChars += text.length;
    if (!this.#holdsFirst) return this.output(text.length);
    this.#holdsFirst = false;
    this.outputChars += text.length;
    return 0;
  }
}
