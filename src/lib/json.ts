import { parseJsonOrThrow } from './json-parse.ts';

/**
 * Reading JSON that someone else wrote: every accessor takes anything and answers with a value of the wanted type or its
 * absence, so that an upstream's wrong type is never an exception.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `undefined` where the text is not JSON. A byte order mark is not part of the text. */
export function parseJson(text: string): unknown {
  try {
    return parseJsonOrThrow(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}

const CONTENT_MEMBER = '"content":"';
const BACKSLASH = 0x5c;

/**
 * As `parseJson`, but the text of the first `content` member is left out of what is parsed and reads as '': nothing is decided on
 * what a model wrote, and its text is most of an answer. Inside a string that byte sequence cannot stand (its quotes would be
 * escaped), so what is cut is the value of a member, to its closing quote. All else is held to JSON's grammar.
 */
export function parseWithoutContent(text: string): unknown {
  const member = text.indexOf(CONTENT_MEMBER);
  if (member === -1) return parseJson(text);
  const start = member + CONTENT_MEMBER.length;
  const end = closingQuote(text, start);
  return end === -1 ? undefined : parseJson(text.slice(0, start) + text.slice(end));
}

/** The quote that ends the string whose text begins at `start`; -1: none. An odd run of backslashes before a quote escapes it. */
function closingQuote(text: string, start: number): number {
  for (let quote = text.indexOf('"', start); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let run = quote;
    while (run > start && text.charCodeAt(run - 1) === BACKSLASH) run--;
    if ((quote - run) % 2 === 0) return quote;
  }
  return -1;
}

/** An object's own member: neither its prototype's, nor one of anything else. */
export function member(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** '' for anything but a string. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The elements of an array that are objects; of anything else, none. */
export function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
