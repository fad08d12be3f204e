/** What the readers of all client dialects have in common: collecting what a request uses, lacks meaning for, and gets wrong. */
import { isObject, type JsonObject } from '../../lib/json.ts';
import { ownerOf, type SignatureOwner } from './signature.ts';
import type { CacheTtl, Feature, Part, Problem, Source, Tool, ToolChoice, Turn } from './conversation.ts';

export class Findings {
  readonly uses = new Map<Feature, string>();
  readonly foreign: string[] = [];
  readonly invalid: Problem[] = [];
  readonly hints: string[] = [];
  readonly thoughts = new Map<SignatureOwner | null, string>();

  use(feature: Feature, field: string): void {
    if (!this.uses.has(feature)) this.uses.set(feature, field);
  }

  /** The answer is as good without this member. */
  hint(field: string): void {
    if (this.hints.length < MAX_HINTS) this.hints.push(field);
  }

  /** Members of something smaller than a request that nobody but this dialect knows: an answer is worth more than a refusal for them. */
  passOver(holder: JsonObject, known: ReadonlySet<string>, path: string): void {
    for (const name in holder) if (!known.has(name) && !isNoOp(holder[name])) this.hint(`${path}.${name}`);
  }

  /** A thought that came back; `proof`: its signature, or all there is of it. */
  thought(proof: string | null, path: string): void {
    const owner = ownerOf(proof);
    if (!this.thoughts.has(owner)) this.thoughts.set(owner, path);
  }

  refuse(param: string, message: string): void {
    if (this.invalid.length < MAX_PROBLEMS) this.invalid.push({ param, message });
  }

  /** Members that nobody but this dialect knows; those that change nothing pass. */
  addForeign(field: string, value: unknown): void {
    if (!isNoOp(value)) this.foreign.push(field);
  }

  /** null: absent or null, or of the wrong type, which is then said. */
  number(json: JsonObject, field: string, feature: Feature | null = null, noOp: number | null = null): number | null {
    const value = json[field];
    if (value === undefined || value === null) return null;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      this.refuse(field, `Invalid type for '${field}': expected a number.`);
      return null;
    }
    if (value === noOp) return null;
    if (feature !== null) this.use(feature, field);
    return value;
  }

  string(json: JsonObject, field: string): string | null {
    const value = json[field];
    if (value === undefined || value === null) return null;
    if (typeof value === 'string') return value;
    this.refuse(field, `Invalid type for '${field}': expected a string.`);
    return null;
  }

  /** One text or a list of texts. */
  stops(value: unknown, field: string): readonly string[] {
    if (value === undefined || value === null) return [];
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const texts = list.filter((item): item is string => typeof item === 'string' && item !== '');
    if (texts.length < list.length)
      this.refuse(field, `Invalid '${field}': expected a text or a list of texts, none of them empty.`);
    if (texts.length > 0) this.use('stop', field);
    return texts;
  }

  /** A schema of a tool's arguments or of an answer; absent means an object without members. */
  schema(value: unknown, field: string): JsonObject {
    if (value === undefined || value === null) return NO_PARAMETERS;
    if (isObject(value)) return value;
    this.refuse(field, `Invalid type for '${field}': expected a JSON schema.`);
    return NO_PARAMETERS;
  }

  tools(tools: readonly Tool[], field: string): readonly Tool[] {
    if (tools.length > 0) this.use('tools', field);
    if (tools.some(({ strict }) => strict === true)) this.use('strictTools', `${field}[].strict`);
    if (tools.some(({ cached }) => cached !== null)) this.use('cacheMarkers', `${field}[].cache_control`);
    return tools;
  }

  toolResult(parts: readonly Part[], field: string): void {
    if (parts.some(isMedia)) this.use('toolResultImages', field);
  }

  toolChoice(choice: ToolChoice | null, field: string): ToolChoice | null {
    if (choice === null || choice.kind === 'auto') return choice;
    this.use(choice.kind === 'tool' ? 'toolChoiceNamed' : choice.kind === 'none' ? 'toolChoiceNone' : 'toolChoice', field);
    return choice;
  }

  /** `cache_control: {type: ephemeral, ttl}` of Anthropic, which OpenRouter and others take in chat too. */
  cached(holder: JsonObject, path: string): CacheTtl | null {
    const marker = holder['cache_control'];
    if (!isObject(marker)) return null;
    this.use('cacheMarkers', `${path}.cache_control`);
    return marker['ttl'] === '1h' ? '1h' : '5m';
  }

  /** A `data:` URL or another; base64 that is none is refused here, by its place. */
  url(url: string, path: string): Source {
    const data = DATA_URL.exec(url.slice(0, MAX_DATA_HEAD_CHARS));
    if (data === null) return { kind: 'url', url };
    return this.base64(url.slice(data[0].length), (data[1] ?? '').toLowerCase(), path);
  }

  base64(data: string, mediaType: string, path: string): Source {
    if (!isBase64(data)) this.refuse(path, `Invalid '${path}': the data is not base64.`);
    return { kind: 'data', mediaType, data };
  }
}

const MAX_PROBLEMS = 8;
const MAX_HINTS = 32;
const MAX_DATA_HEAD_CHARS = 256;
const DATA_URL = /^data:([\w.+-]{1,60}\/[\w.+-]{1,90})?(?:;[\w=.+-]{1,60})*;base64,/i;
const NO_PARAMETERS: JsonObject = { type: 'object', properties: {} };

/** RFC 4648 section 4, with or without its padding. */
function isBase64(text: string): boolean {
  return text !== '' && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** What a tool's result may have beside its text. */
export function isMedia({ kind }: Part): boolean {
  return kind === 'image' || kind === 'file' || kind === 'audio';
}

export function namesOf(list: string): ReadonlySet<string> {
  return new Set(list.split(' '));
}

/** Null, false, zero and what is empty ask for nothing. */
export function isNoOp(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

/** Neighbouring turns of one role as one: several providers want roles to alternate. */
export class Turns {
  readonly turns: Turn[] = [];
  #role: Turn['role'] | null = null;
  #parts: Part[] = [];

  add(role: Turn['role'], parts: readonly Part[]): void {
    if (role !== this.#role) {
      this.#role = role;
      this.#parts = [];
      this.turns.push({ role, parts: this.#parts });
    }
    // One by one, here and elsewhere: as arguments of one call, those of a large request overflow the stack.
    for (const part of parts) this.#parts.push(part);
  }
}
