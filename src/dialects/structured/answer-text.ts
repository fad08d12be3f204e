/** Where a client's dialect has the schema that its answer must meet, and where an answer has the text of it. */
import { isObject, member, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';
import type { Operation } from '../../lib/operation.ts';

/** What the client asks its answer to be; undefined: nothing. */
export function wantedSchema(operation: Operation, json: JsonObject): unknown {
  switch (operation) {
    case 'chat': {
      const wanted = member(json['response_format'], 'json_schema');
      return member(wanted, 'schema');
    }
    case 'responses': {
      const format = member(json['text'], 'format');
      return member(format, 'type') === 'json_schema' ? member(format, 'schema') : undefined;
    }
    case 'messages': {
      const format = json['output_format'] ?? member(json['output_config'], 'format');
      return member(format, 'type') === 'json_schema' ? member(format, 'schema') : undefined;
    }
    default:
      return undefined;
  }
}

/** The texts of a whole answer, one a choice; a refusal in place of one is none, nor is what is said beside a call that the client has to answer. */
export function answerTexts(operation: Operation, body: Buffer): readonly string[] {
  const answer = parseJson(body.toString('utf8'));
  return isObject(answer) ? holdersOf(operation, answer).map((holders) => holders.map(({ text }) => text).join('')) : [];
}

/** The same answer with other texts, in the order of `answerTexts`. */
export function withTexts(operation: Operation, body: Buffer, texts: readonly string[]): Buffer {
  const answer = parseJson(body.toString('utf8'));
  if (!isObject(answer)) return body;
  for (const [index, holders] of holdersOf(operation, answer).entries())
    for (const [place, holder] of holders.entries()) holder.put(place === 0 ? (texts[index] ?? '') : '');
  return Buffer.from(JSON.stringify(answer));
}

interface Holder {
  readonly text: string;
  put(text: string): void;
}

/** By choice; one without text is left out. */
function holdersOf(operation: Operation, answer: JsonObject): readonly (readonly Holder[])[] {
  switch (operation) {
    case 'chat':
      return objectsOf(answer['choices'])
        .map(({ message }) => (isObject(message) && !callsInChat(message) ? textIn(message, 'content') : []))
        .filter(({ length }) => length > 0);
    case 'responses': {
      if (objectsOf(answer['output']).some(isCall)) return [];
      const contents = objectsOf(answer['output']).filter(({ type }) => type === 'message');
      const parts = contents.flatMap(({ content }) => objectsOf(content)).filter(({ type }) => type === 'output_text');
      const holders = parts.flatMap((part) => textIn(part, 'text'));
      return holders.length === 0 ? [] : [holders];
    }
    case 'messages': {
      if (objectsOf(answer['content']).some(isCall)) return [];
      const holders = objectsOf(answer['content']).flatMap((block) => (block['type'] === 'text' ? textIn(block, 'text') : []));
      return holders.length === 0 ? [] : [holders];
    }
    default:
      return [];
  }
}

const CALLS: ReadonlySet<unknown> = new Set(['function_call', 'custom_tool_call', 'tool_use']);

/** An item of Responses or a block of Messages. */
function isCall(part: unknown): boolean {
  return CALLS.has(member(part, 'type'));
}

/** A message, or a stream's part of one. */
function callsInChat(message: JsonObject): boolean {
  return objectsOf(message['tool_calls']).length > 0 || isObject(message['function_call']);
}

function textIn(holder: JsonObject, name: string): readonly Holder[] {
  const text = stringOf(holder[name]);
  if (text === '') return [];
  const writable = holder as Record<string, unknown>;
  return [{ text, put: (other) => (writable[name] = other) }];
}

/** Collects the text of a stream, event by event. Of several choices the first is read. */
export class StreamedText {
  text = '';
  /** The client has a call to answer: what is said beside it is not the answer. */
  calls = false;
  /** There are more choices than the first. */
  several = false;
  readonly #operation: Operation;

  constructor(operation: Operation) {
    this.#operation = operation;
  }

  /** `data`: of one event. */
  read(data: string): void {
    if (!data.startsWith('{')) return;
    const event = parseJson(data);
    if (!isObject(event)) return;
    for (const { text } of deltaOf(this.#operation, event)) this.text += text;
    // An item of Responses, a block of Messages.
    this.calls ||= isCall(event['item'] ?? event['content_block']);
    for (const { index, delta } of objectsOf(event['choices'])) {
      this.several ||= typeof index === 'number' && index > 0;
      this.calls ||= isObject(delta) && callsInChat(delta);
    }
  }

  /** Frames as they are on the wire, whole ones. */
  readFrames(frames: string): void {
    for (const line of frames.split('\n')) if (line.startsWith('data: ')) this.read(line.slice(6));
  }
}

/** A stream's frames, whole, with another text in place of what its events tell. */
export function withStreamedText(operation: Operation, frames: string, before: string, text: string): string {
  let told = false;
  // To the line's end, which U+2028 in a text is not.
  return frames.replaceAll(/^data: ?(\{[^\n\r]*)/gm, (line, data: string) => {
    const event = parseJson(data);
    if (!isObject(event)) return line;
    const holders = deltaOf(operation, event);
    for (const holder of holders) {
      holder.put(told ? '' : text);
      told = true;
    }
    const repeated = operation === 'responses' && replaceText(event, before, text, 0);
    return holders.length > 0 || repeated ? `data: ${JSON.stringify(event)}` : line;
  });
}

function deltaOf(operation: Operation, event: JsonObject): readonly Holder[] {
  switch (operation) {
    case 'chat': {
      const [choice] = objectsOf(event['choices']);
      const delta = choice !== undefined && (choice['index'] ?? 0) === 0 ? choice['delta'] : undefined;
      return isObject(delta) ? textIn(delta, 'content') : [];
    }
    case 'responses':
      return event['type'] === 'response.output_text.delta' ? textIn(event, 'delta') : [];
    case 'messages': {
      const delta = event['delta'];
      return isObject(delta) && delta['type'] === 'text_delta' ? textIn(delta, 'text') : [];
    }
    default:
      return [];
  }
}

const MAX_DEPTH = 8;

/** The Responses API tells a text again when it is done, with its item, and with the whole response. */
function replaceText(holder: JsonObject, before: string, after: string, depth: number): boolean {
  let replaced = false;
  for (const [name, value] of Object.entries(holder)) {
    if (name === 'text' && value === before) {
      (holder as Record<string, unknown>)[name] = after;
      replaced = true;
    } else if (depth < MAX_DEPTH) {
      const inner = isObject(value) ? [value] : objectsOf(value);
      for (const each of inner) replaced = replaceText(each, before, after, depth + 1) || replaced;
    }
  }
  return replaced;
}
