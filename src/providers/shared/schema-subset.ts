/**
 * A JSON schema in the part of the language that a provider takes. What it does not take is put into words where its model can read
 * them, so that the wish is not lost; the answer is held to the whole schema where the route says so.
 */
import { isObject, type JsonObject } from '../../lib/json.ts';

export interface SchemaSubset {
  readonly keeps: ReadonlySet<string>;
  /** Objects must say that nothing else is in them. */
  readonly closed: boolean;
  /** It knows no `oneOf`: `anyOf` says most of it. */
  readonly oneOfAsAnyOf: boolean;
}

const names = (list: string): ReadonlySet<string> => new Set(list.split(' '));

/** https://docs.claude.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations */
export const ANTHROPIC_SCHEMA: SchemaSubset = {
  keeps: names('type enum const anyOf allOf $ref $defs definitions properties required items description title format default'),
  closed: true,
  oneOfAsAnyOf: true,
};

/** https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support */
export const GEMINI_SCHEMA: SchemaSubset = {
  keeps: names(
    '$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties additionalProperties required',
  ),
  closed: false,
  oneOfAsAnyOf: false,
};

/** Members that hold schemas by name, lists of them, or one. */
const BY_NAME = names('properties $defs definitions');
const LISTS = names('anyOf oneOf allOf prefixItems');
const SINGLE = names('items additionalProperties');
/** They say nothing of the answer. */
const SILENT = names('$schema $id $comment examples deprecated readOnly writeOnly additionalProperties');

export function subsetOf(schema: JsonObject, subset: SchemaSubset): JsonObject {
  const written: Record<string, unknown> = {};
  const words: string[] = [];
  for (const [name, value] of Object.entries(schema)) {
    const kept = name === 'oneOf' && subset.oneOfAsAnyOf ? 'anyOf' : name;
    if (subset.keeps.has(kept) && written[kept] === undefined) written[kept] = within(kept, value, subset);
    else if (name === 'const' && !subset.keeps.has('const')) written['enum'] = [value];
    else if (!SILENT.has(name)) words.push(`${name}: ${JSON.stringify(value)}`);
  }
  if (subset.closed && (schema['type'] === 'object' || isObject(schema['properties']))) written['additionalProperties'] = false;
  if (words.length > 0) {
    const said = typeof written['description'] === 'string' ? `${written['description']}\n` : '';
    written['description'] = `${said}{${words.join(', ')}}`;
  }
  return written;
}

function within(name: string, value: unknown, subset: SchemaSubset): unknown {
  const each = (inner: unknown): unknown => (isObject(inner) ? subsetOf(inner, subset) : inner);
  if (BY_NAME.has(name) && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, each(inner)]));
  if (LISTS.has(name) && Array.isArray(value)) return (value as readonly unknown[]).map(each);
  return SINGLE.has(name) ? each(value) : value;
}
