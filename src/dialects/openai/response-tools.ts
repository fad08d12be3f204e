/**
 * The tools of a Responses request that are no plain functions but can be told as such elsewhere, and back: functions in a
 * namespace, and custom tools, whose input is a text. https://platform.openai.com/docs/guides/function-calling (custom tools);
 * namespaces are what the Codex CLI sends.
 */
import { isObject, objectsOf, parseJson, stringOf, type JsonObject } from '../../lib/json.ts';

export interface ToolOrigin {
  readonly kind: 'function' | 'custom';
  readonly name: string;
  readonly namespace: string | null;
}

export interface ResponseTool {
  readonly path: string;
  readonly tool: JsonObject;
  /** What it is called where there are only functions; unique. */
  readonly plainName: string;
  /** null: only the provider that runs it knows it. */
  readonly origin: ToolOrigin | null;
}

/** What most providers allow. */
const MAX_NAME_CHARS = 64;

export function responseTools(json: JsonObject): readonly ResponseTool[] {
  const tools: ResponseTool[] = [];
  const taken = new Set<string>();
  const plain = (name: string): string => {
    let free = name;
    for (let count = 2; taken.has(free); count++) free = `${name.slice(0, MAX_NAME_CHARS - 4)}_${count}`;
    taken.add(free);
    return free;
  };
  const listed = objectsOf(json['tools']).map((tool, index) => ({ tool, path: `tools[${index}]` }));
  // First what has a name of its own, which nothing may change.
  for (const { tool, path } of listed) {
    const { type } = tool;
    const name = stringOf(tool['name']);
    if (type === 'function' || type === 'custom') {
      taken.add(name);
      tools.push({ path, tool, plainName: name, origin: { kind: type, name, namespace: null } });
    } else if (type !== 'namespace') tools.push({ path, tool, plainName: name, origin: null });
  }
  for (const { tool: group, path } of listed.filter(({ tool: { type } }) => type === 'namespace')) {
    const namespace = stringOf(group['name']);
    for (const [index, tool] of objectsOf(group['tools']).entries()) {
      const name = stringOf(tool['name']);
      const plainName = plain(`${namespace}__${name}`.replaceAll(/[^\w-]/g, '_').slice(0, MAX_NAME_CHARS));
      const origin: ToolOrigin | null = tool['type'] === 'function' ? { kind: 'function', name, namespace } : null;
      tools.push({ path: `${path}.tools[${index}]`, tool, plainName, origin });
    }
  }
  return tools;
}

/** By the plain name, those that are no plain functions. */
export function toolOrigins(json: JsonObject): ReadonlyMap<string, ToolOrigin> {
  const origins = new Map<string, ToolOrigin>();
  for (const { plainName, origin } of responseTools(json))
    if (origin !== null && (origin.kind === 'custom' || origin.namespace !== null)) origins.set(plainName, origin);
  return origins;
}

/** A custom tool as a function with one text; what its input must look like is told in words. */
export function customAsFunction(tool: JsonObject): { readonly description: string; readonly parameters: JsonObject } {
  const format = isObject(tool['format']) ? tool['format'] : {};
  const grammar = stringOf(format['definition']);
  const rule = grammar === '' ? '' : `The input must follow this ${stringOf(format['syntax'])} grammar:\n${grammar}`;
  return {
    description: [stringOf(tool['description']), rule].filter((text) => text !== '').join('\n\n'),
    parameters: { type: 'object', properties: { input: { type: 'string' } }, required: ['input'], additionalProperties: false },
  };
}

/** The text in the arguments of such a function; what a model wrote otherwise is taken as it is. */
export function customInput(given: string): string {
  const parsed = parseJson(given);
  return isObject(parsed) && typeof parsed['input'] === 'string' ? parsed['input'] : given;
}
