/** Streams of `chat.completion.chunk` and of the older `text_completion`. https://platform.openai.com/docs/api-reference/chat/streaming */
import { StreamEvent } from '../provider.ts';
import { failureOf } from '../shared/classify.ts';
import { filterFindings } from '../shared/content-filter.ts';
import { NO_FACTS, readErrorFacts } from '../shared/error-facts.ts';
import { isObject, objectsOf, stringOf, type JsonObject } from '../../lib/json.ts';
import { choiceFailure, namedError } from './answer.ts';
import { DeltaShortcut } from './delta-shortcut.ts';
import { normalFinish } from './finish.ts';
import { OpenAIStream, type StreamContext } from './stream-base.ts';
import { readUsage } from './usage.ts';

/** Where the text of a delta is; a run of events has it in the same place. */
export type TextKey = 'content' | 'reasoning_content' | 'reasoning' | 'refusal' | 'arguments' | 'text';

const FIND_TEXT: Readonly<Record<TextKey, (event: JsonObject) => unknown>> = {
  content: (event) => soleDelta(event)?.['content'],
  reasoning_content: (event) => soleDelta(event)?.['reasoning_content'],
  reasoning: (event) => soleDelta(event)?.['reasoning'],
  refusal: (event) => soleDelta(event)?.['refusal'],
  arguments: (event) => soleArguments(event),
  text: (event) => soleChoice(event)?.['text'],
};

/** What is known of all deltas of one form: whose they are, and where. */
export interface DeltaNote {
  readonly key: TextKey;
  readonly index: number;
  readonly tellsFinish: boolean;
}

/** A choice's parts may be nested this deep (Mistral: content → thinking → text). */
const MAX_PART_DEPTH = 4;

export class ChatStream extends OpenAIStream {
  /** By choice index: it has had its finish reason. */
  readonly #choices = new Map<number, boolean>();
  #unfinished = 0;
  /** A choice has had a place for its finish reason, be it empty. */
  #tellsFinish = false;
  /** The usage has come by itself, and then the end mark. */
  #usageLast = false;
  #doneAfterUsage = false;
  readonly #shortcut: DeltaShortcut<DeltaNote> | null;
  /** Of the delta being read: its output, and the one place that held all of it (null: several, or none to learn). */
  #chars = 0;
  #hasOutput = false;
  #textKey: TextKey | null = null;
  /** Of the delta that was matched last; null: the event read last was parsed. */
  #matched: DeltaNote | null = null;
  /** Has been told of the choice. */
  #told: DeltaNote | null = null;

  /** `shortcut`: null parses every event, which must make no difference but in time. */
  constructor(context: StreamContext, shortcut: DeltaShortcut<DeltaNote> | null = new DeltaShortcut()) {
    super(context);
    this.#shortcut = shortcut;
  }

  /** Snowflake has no finish reasons at all: the usage of the whole answer and the end mark behind it are its word for the end. */
  get finished(): boolean {
    return this.#choices.size > 0 && (this.#unfinished === 0 || (!this.#tellsFinish && this.#doneAfterUsage));
  }

  read(event: string, data: string): number {
    this.#matched = null;
    if (this.#shortcut !== null && event !== 'error') {
      const chars = this.#shortcut.match(data);
      if (chars >= 0) return this.#readMatched(this.#shortcut.note, chars);
    }
    const bits = this.readParsed(event, data);
    if (bits === StreamEvent.Done) this.#doneAfterUsage = this.#usageLast;
    this.#usageLast = bits === StreamEvent.UsageOnly;
    return bits;
  }

  /** As `readObject` of the event that it was learned from, be that one of another stream. */
  #readMatched(note: DeltaNote | null, chars: number): number {
    this.#matched = note;
    this.#usageLast = false;
    if (note !== null && note !== this.#told) {
      this.#told = note;
      this.#tellsFinish ||= note.tellsFinish;
      this.#markChoice(note.index, false);
    }
    return chars === 0 ? 0 : this.addOutput(chars);
  }

  /** Of the event read last: where its text is, if that is all there is in it and it was not parsed; null: it has to be. */
  get matchedKey(): TextKey | null {
    return this.#matched?.key ?? null;
  }

  matchedText(data: string): string {
    return this.#shortcut?.textOf(data) ?? '';
  }

  protected override readObject(event: string, parsed: JsonObject, data: string): number {
    if (event === 'error' || namedError(parsed) !== null) return this.failWith(parsed);
    // Groq tells in a part of its own why it stopped early: https://github.com/groq/groq-typescript src/resources/chat/completions.ts
    const { choices, x_groq: groq } = parsed;
    if (isObject(groq) && typeof groq['error'] === 'string' && groq['error'] !== '') return this.failWith(groq);
    if (!Array.isArray(choices)) return this.#readOther(parsed);

    let bits = 0;
    let plain = choices.length === 1;
    let carries = false;
    for (const choice of objectsOf(choices)) {
      const finish = stringOf(choice['finish_reason']);
      bits |= this.#readChoice(choice, finish);
      carries ||= this.#hasOutput || finish !== '';
      plain &&= this.#textKey !== null && finish === '';
    }
    const annotated = parsed['prompt_filter_results'] !== undefined;
    if (annotated) bits |= this.#readPromptFilter(parsed);
    const hasUsage = this.#readUsage(parsed);
    // OpenRouter's last chunk repeats an empty choice beside its usage.
    const bare = choices.length === 0 || (!carries && this.finished);
    if (hasUsage && bare && !annotated && bits === 0) bits = StreamEvent.UsageOnly;
    const key = this.#textKey;
    const [sole] = objectsOf(choices);
    if (plain && bits === StreamEvent.Output && !hasUsage && key !== null && sole !== undefined) {
      const note = { key, index: indexOf(sole), tellsFinish: sole['finish_reason'] !== undefined };
      this.#shortcut?.learn(data, key, FIND_TEXT[key], note);
    }
    return bits;
  }

  /** An object without choices: usage that comes by itself, an error in a foreign envelope, or nothing of note. */
  #readOther(parsed: JsonObject): number {
    // MiniMax tells usage beside an error.
    if (readErrorFacts(parsed) !== null) return this.failWith(parsed);
    return this.#readUsage(parsed) ? StreamEvent.UsageOnly : 0;
  }

  #readChoice(choice: JsonObject, finish: string): number {
    this.#chars = 0;
    this.#hasOutput = false;
    this.#textKey = null;
    // Services that do not stream a message send it whole, in the place of a delta; Perplexity sends both, the delta counts.
    const delta = choice['delta'] ?? choice['message'];
    if (isObject(delta)) this.#readDelta(delta);
    else this.#addText('text', choice['text']);

    let bits = this.#hasOutput ? this.addOutput(this.#chars) : 0;
    this.#tellsFinish ||= choice['finish_reason'] !== undefined;
    this.#markChoice(indexOf(choice), finish !== '');
    if (finish !== '') this.finishReason = normalFinish(finish);
    const failure = choiceFailure(this.context.table, choice, finish, this.origin());
    if (failure !== null) {
      if (failure.kind === 'content_filtered') this.finishReason = 'content_filter';
      bits |= this.fail(failure);
    }
    return bits;
  }

  #markChoice(index: number, finishes: boolean): void {
    const known = this.#choices.get(index);
    if (known === undefined) {
      this.#choices.set(index, finishes);
      if (!finishes) this.#unfinished++;
    } else if (finishes && !known) {
      this.#choices.set(index, true);
      this.#unfinished--;
    }
  }

  #readDelta(delta: JsonObject): void {
    this.#addText('content', delta['content']);
    this.#addText('reasoning_content', delta['reasoning_content']);
    this.#addText('reasoning', delta['reasoning']);
    this.#addText('refusal', delta['refusal']);
    if (delta['tool_calls'] !== undefined) for (const call of objectsOf(delta['tool_calls'])) this.#readCall(call);
    if (delta['function_call'] !== undefined) this.#readCall(delta);
    const audio = delta['audio'];
    if (isObject(audio)) {
      this.#addOutput(stringOf(audio['transcript']).length, stringOf(audio['data']) !== '');
    }
    // OpenRouter's image output: https://openrouter.ai/docs/features/multimodal/image-generation
    if (Array.isArray(delta['images']) && delta['images'].length > 0) this.#addOutput(0, true);
  }

  /** `{function: {name, arguments}}`, `{custom: {name, input}}`, or a delta with the older `function_call`. */
  #readCall(call: JsonObject): void {
    const called = call['function'] ?? call['custom'] ?? call['function_call'];
    if (!isObject(called)) return;
    this.#addOutput(stringOf(called['name']).length, false);
    this.#addText('arguments', called['arguments']);
    this.#addOutput(stringOf(called['input']).length, isObject(called['arguments']));
  }

  #addText(key: TextKey, value: unknown): void {
    if (value === undefined || value === null) return;
    const chars = textChars(value, 0);
    if (chars === 0) return;
    this.#textKey = this.#hasOutput || typeof value !== 'string' ? null : key;
    this.#hasOutput = true;
    this.#chars += chars;
  }

  #addOutput(chars: number, beside: boolean): void {
    if (chars === 0 && !beside) return;
    this.#textKey = null;
    this.#hasOutput = true;
    this.#chars += chars;
  }

  #readPromptFilter(parsed: JsonObject): number {
    const findings = filterFindings(parsed);
    findings.addPrompts(parsed['prompt_filter_results']);
    if (!findings.filtered) return 0;
    const facts = {
      ...NO_FACTS,
      code: 'prompt_filter_results',
      message: 'the prompt was filtered',
      categories: findings.categories,
    };
    return this.fail(failureOf('prompt_filtered', facts, this.origin()));
  }

  /** The last usage stands: some send a running total with every chunk. Groq's older form is in `x_groq`. */
  #readUsage(parsed: JsonObject): boolean {
    const groq = parsed['x_groq'];
    const usage = readUsage(parsed['usage'] ?? (isObject(groq) ? groq['usage'] : undefined));
    if (usage === null) return false;
    this.usage = usage;
    return true;
  }
}

function indexOf(choice: JsonObject): number {
  const { index } = choice;
  return typeof index === 'number' ? index : 0;
}

/** Text, or a list of parts `{text}`, `{thinking: […]}` as Mistral's reasoning models send it. */
function textChars(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length;
  if (!Array.isArray(value) || depth > MAX_PART_DEPTH) return 0;
  let chars = 0;
  for (const part of objectsOf(value)) chars += textChars(part['text'] ?? part['thinking'], depth + 1);
  return chars;
}

/** The first choice, where an event has no other: who translates takes text that is found here for the answer's. */
function soleChoice(event: JsonObject): JsonObject | undefined {
  const choices = event['choices'];
  if (!Array.isArray(choices) || choices.length !== 1) return undefined;
  const [choice] = objectsOf(choices);
  return choice?.['index'] === undefined || choice['index'] === 0 ? choice : undefined;
}

function soleDelta(event: JsonObject): JsonObject | undefined {
  const delta = soleChoice(event)?.['delta'];
  return isObject(delta) ? delta : undefined;
}

function soleArguments(event: JsonObject): unknown {
  const calls = soleDelta(event)?.['tool_calls'];
  if (!Array.isArray(calls) || calls.length !== 1) return undefined;
  const called = objectsOf(calls)[0]?.['function'];
  return isObject(called) ? called['arguments'] : undefined;
}
