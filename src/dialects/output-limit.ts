/** The members by which a client bounds a model's output, and how a smaller bound is put in their place. */
import type { Operation } from '../lib/operation.ts';
import type { ProviderKind } from '../routetable/types.ts';
import { isObject, type JsonObject } from '../lib/json.ts';
import type { ParsedBody } from './parsed-body.ts';
import { type BodyEdit, bodyEdit } from './splice-body.ts';

/** Anthropic's and OpenAI's names. */
const MEMBERS: Readonly<Partial<Record<Operation, readonly string[]>>> = {
  chat: ['max_completion_tokens', 'max_tokens'],
  completions: ['max_tokens'],
  responses: ['max_output_tokens'],
  messages: ['max_tokens'],
};

/** Below this an answer is of no use to anybody. */
const LEAST_TOKENS = 64;

/** Whether a bound of this operation's output can be set. */
export function boundsOutput(operation: Operation): boolean {
  return MEMBERS[operation] !== undefined;
}

/**
 * Answers that one request to a target asks for, each of which is bounded by itself, after the target's edits. `translated`: where the
 * target's dialect, which is not the client's, says how many; null: nowhere, it is one. undefined: the client's own members reach it.
 */
export function answersOf(
  operation: Operation,
  json: JsonObject,
  { override, defaults }: Edit,
  translated: readonly string[] | null | undefined,
): number {
  // No translation has a place for the client's `n`. Of a default it is not known here whether it is used, and it is counted.
  if (translated !== undefined)
    return translated === null ? 1 : several(firstOf(valueAt(override, translated), valueAt(defaults, translated)));
  const sent = (name: string): unknown => firstOf(named(override, name), own(json, name), named(defaults, name));
  if (operation === 'chat') return several(sent('n'));
  if (operation !== 'completions') return 1;
  const prompt = sent('prompt');
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(1, prompt.length) : 1;
  return Math.max(several(sent('n')), several(sent('best_of'))) * prompts;
}

/** The least bound that makes sense for this request. */
export function leastOutputTokens(operation: Operation, json: JsonObject): number {
  // Anthropic takes no bound that is not above what may be thought.
  return LEAST_TOKENS + thinkingTokens(operation, json);
}

/** What the model may think before it answers, of all that it may write; 0: the client says nothing in tokens. */
export function thinkingTokens(operation: Operation, json: JsonObject): number {
  if (operation !== 'messages') return 0;
  const { thinking } = json;
  const budget =
    typeof thinking === 'object' && thinking !== null && !Array.isArray(thinking) ? (thinking as JsonObject)['budget_tokens'] : 0;
  return typeof budget === 'number' && budget > 0 ? budget : 0;
}

/**
 * Where an upstream that speaks another dialect than the client reads its bounds, by the names to go down by:
 * `['generationConfig', 'maxOutputTokens']`. The first is set where nobody gives any.
 */
export type BoundPaths = readonly (readonly string[])[];

type Edit = Pick<BodyEdit, 'override' | 'defaults'>;

/** What the client says, for each answer, where a target's `override` does not say it for the client; null: nothing. */
export function outputTokensOfClient(
  operation: Operation,
  json: JsonObject,
  { override }: Edit,
  translated: BoundPaths | null,
): number | null {
  if (translated === null) return largest(operation, (name) => (named(override, name) === undefined ? own(json, name) : null));
  return translated.some((path) => valueAt(override, path) !== undefined) ? null : largest(operation, (name) => own(json, name));
}

/**
 * What a target's own `override`, the client or the target's `defaults` say, for each answer; null: nobody bounds it. `translated`:
 * the target's edits are in another dialect than the client's; null: in the same.
 */
export function outputTokensAsked(
  operation: Operation,
  json: JsonObject,
  { override, defaults }: Edit,
  translated: BoundPaths | null,
): number | null {
  if (translated === null)
    return largest(operation, (name) => firstOf(named(override, name), own(json, name), named(defaults, name)));
  const client = largest(operation, (name) => own(json, name));
  let found: number | null = null;
  for (const path of translated) {
    const value = valueAt(override, path);
    // Defaults count where they are the member itself: below another one, whatever of it the client gives takes their place.
    const said = value === undefined ? (client ?? (path.length === 1 ? valueAt(defaults, path) : null)) : value;
    if (isBound(said)) found = Math.max(found ?? 0, whole(said));
  }
  return found;
}

function largest(operation: Operation, valueOf: (name: string) => unknown): number | null {
  let found: number | null = null;
  for (const name of MEMBERS[operation] ?? []) {
    const value = valueOf(name);
    if (isBound(value)) found = Math.max(found ?? 0, whole(value));
  }
  return found;
}

function isBound(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

/** JSON's 1e999 is Infinity, with which nothing can be counted. */
function whole(tokens: number): number {
  return Math.min(Math.floor(tokens), Number.MAX_SAFE_INTEGER);
}

/** null where an edit replaces the member that would hold it, and gives none; undefined where it says nothing of either. */
function valueAt(members: readonly (readonly [string, unknown])[], [name = '', ...below]: readonly string[]): unknown {
  let value: unknown = named(members, name);
  if (value === undefined) return undefined;
  for (const each of below) value = isObject(value) && Object.hasOwn(value, each) ? value[each] : null;
  return value;
}

/**
 * The members to set, so that no answer is longer than `maxTokens`: all that are given, or where nobody gives any one. What is no
 * bound may mean to an upstream that there is none (Ollama's and llama.cpp's -1), or be read as one (vLLM's numbers in strings).
 */
function bounds(
  operation: Operation,
  json: JsonObject,
  provider: ProviderKind,
  { override, defaults }: Edit,
  maxTokens: number,
): ReadonlyMap<string, number> {
  const members = MEMBERS[operation] ?? [];
  const set = new Map<string, number>();
  for (const name of members) {
    const value = firstOf(named(override, name), own(json, name), named(defaults, name));
    if (value === undefined || value === null) continue;
    set.set(name, lower(value, maxTokens));
  }
  // OpenAI's newer models refuse the older name, and most others know no other.
  const [newer = '', older = newer] = members;
  if (set.size === 0) set.set(provider === 'OpenAI' || provider === 'AzureOpenAI' ? newer : older, maxTokens);
  return set;
}

/** For a target that takes the client's bytes. */
export function clampedEdit(edit: BodyEdit, body: ParsedBody, provider: ProviderKind, maxTokens: number): BodyEdit {
  const set = bounds(body.operation, body.outline, provider, edit, maxTokens);
  return bodyEdit({ ...edit, override: [...edit.override.filter(([name]) => !set.has(name)), ...set] });
}

/** For a target that speaks another dialect, into which the client's is translated. */
export function clampedBody(body: ParsedBody, provider: ProviderKind, maxTokens: number): ParsedBody {
  const set = bounds(body.operation, body.outline, provider, NO_EDIT, maxTokens);
  return body.with(Object.fromEntries(set));
}

const NO_EDIT: Edit = { override: [], defaults: [] };

/** The last word on a body of another dialect, whatever the target's edits made of it: no bound in it is above `maxTokens`. */
export function clampWritten(written: Record<string, unknown>, paths: BoundPaths, maxTokens: number): void {
  const given = paths.filter((path) => (valueAt(Object.entries(written), path) ?? null) !== null);
  for (const path of given.length > 0 ? given : paths.slice(0, 1)) lowerAt(written, path, maxTokens);
}

/** What lies below the top is the table's own: it is copied. */
function lowerAt(written: Record<string, unknown>, [name = '', ...below]: readonly string[], maxTokens: number): void {
  if (below.length === 0) {
    written[name] = lower(written[name], maxTokens);
    return;
  }
  const inner = isObject(written[name]) ? { ...written[name] } : {};
  lowerAt(inner, below, maxTokens);
  written[name] = inner;
}

/** What is no bound may mean that there is none. */
function lower(value: unknown, maxTokens: number): number {
  return isBound(value) ? Math.min(Math.floor(value), maxTokens) : maxTokens;
}

/** Of those that say something, null included: it is what the upstream gets. */
function firstOf(...values: readonly unknown[]): unknown {
  return values.find((value) => value !== undefined);
}

function named<T>(members: readonly (readonly [string, T])[], name: string): T | undefined {
  return members.find(([each]) => each === name)?.[1];
}

function own(json: JsonObject, name: string): unknown {
  return Object.hasOwn(json, name) ? json[name] : undefined;
}

/** Some upstreams read a number in a string as one (vLLM); none writes fewer than one answer. */
function several(n: unknown): number {
  const count = typeof n === 'string' ? Number(n) : n;
  return typeof count === 'number' && count > 1 ? Math.min(Math.ceil(count), Number.MAX_SAFE_INTEGER) : 1;
}
