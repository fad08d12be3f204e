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
    const parsed: unknown = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
    return parsed;
  } catch {
    return undefined;
  }
}

/** '' for anything but a string. */
export function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The elements of an array that are objects; of anything else, none. */
export function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
