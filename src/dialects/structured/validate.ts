/**
 * JSON schemas against values, both from strangers: interpreted, never compiled, with a bound on the work. A schema that needs more,
 * or that says what is not understood here, gives `unchecked`, never a guess. Drafts 7 to 2020-12, references within the schema.
 */
import { isObject, type JsonObject } from '../../lib/json.ts';
import { type Pattern, patternOf } from './pattern.ts';

export type Verdict =
  | { readonly kind: 'valid' }
  /** `at`: JSON pointer into the value. */
  | { readonly kind: 'invalid'; readonly at: string; readonly why: string }
  | { readonly kind: 'unchecked'; readonly why: string };

/** Schemas visited, members and characters compared: some milliseconds. */
const MAX_WORK = 50_000;
const MAX_DEPTH = 200;
/** Characters of a text are compared in bulk. */
const CHARS_PER_STEP = 64;
/** Names that are looked for in a list of the schema's. */
const NAMES_PER_STEP = 16;

export function validate(schema: unknown, value: unknown): Verdict {
  const run = new Validation(schema);
  try {
    const found = run.check(schema, value, '', 0);
    return found === null ? { kind: 'valid' } : { kind: 'invalid', ...found };
  } catch (error) {
    if (error instanceof Unchecked) return { kind: 'unchecked', why: error.message };
    throw error;
  }
}

class Unchecked extends Error {}

interface Fault {
  readonly at: string;
  readonly why: string;
}

/** What is not understood, and would change the verdict. */
const NOT_UNDERSTOOD = ['unevaluatedProperties', 'unevaluatedItems', '$dynamicRef', '$recursiveRef', 'dependencies'] as const;

class Validation {
  readonly #root: unknown;
  #work = 0;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** null: it is valid. */
  check(schema: unknown, value: unknown, at: string, depth: number): Fault | null {
    this.#spend(1);
    if (depth > MAX_DEPTH) throw new Unchecked(`the schema nests deeper than ${MAX_DEPTH}`);
    if (schema === true || schema === undefined) return null;
    if (schema === false) return { at, why: 'nothing is allowed here' };
    if (!isObject(schema)) throw new Unchecked('a part of the schema is neither an object nor a boolean');
    for (const name of NOT_UNDERSTOOD) if (schema[name] !== undefined) throw new Unchecked(`${name} is not checked`);
    return (
      this.#checkReference(schema, value, at, depth) ??
      this.#checkAny(schema, value, at) ??
      this.#checkKind(schema, value, at, depth) ??
      this.#checkCombined(schema, value, at, depth)
    );
  }

  #checkReference(schema: JsonObject, value: unknown, at: string, depth: number): Fault | null {
    const reference = schema['$ref'];
    return reference === undefined ? null : this.check(this.#resolve(reference), value, at, depth + 1);
  }

  #resolve(reference: unknown): unknown {
    if (typeof reference !== 'string' || !/^#(?:\/|$)/.test(reference))
      throw new Unchecked(`the reference ${JSON.stringify(reference).slice(0, 80)} does not point into the schema`);
    this.#spend(reference.length / CHARS_PER_STEP);
    let found: unknown = this.#root;
    for (const step of reference.slice(1).split('/').slice(1)) {
      this.#spend(1);
      const name = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      const next: unknown = Array.isArray(found) ? (found as readonly unknown[])[Number(name)] : ownMember(found, name);
      if (next === undefined) throw new Unchecked(`the reference ${JSON.stringify(reference).slice(0, 80)} points at nothing`);
      found = next;
    }
    return found;
  }

  #checkAny(schema: JsonObject, value: unknown, at: string): Fault | null {
    const { type, enum: allowed } = schema;
    if (type !== undefined) {
      const types: readonly unknown[] = Array.isArray(type) ? type : [type];
      this.#spend(types.length / NAMES_PER_STEP);
      if (!types.some((each) => isOfType(each, value)))
        return { at, why: `expected ${types.join(' or ')}, found ${kindOf(value)}` };
    }
    if (Array.isArray(allowed) && !(allowed as readonly unknown[]).some((each) => this.#equal(each, value, 0)))
      return { at, why: 'it is not one of the values that are allowed' };
    if (schema['const'] !== undefined && !this.#equal(schema['const'], value, 0))
      return { at, why: 'it is not the value that is asked for' };
    return null;
  }

  #checkKind(schema: JsonObject, value: unknown, at: string, depth: number): Fault | null {
    if (typeof value === 'string') return this.#checkText(schema, value, at);
    if (typeof value === 'number') return checkNumber(schema, value, at);
    if (Array.isArray(value)) return this.#checkList(schema, value as readonly unknown[], at, depth);
    return isObject(value) ? this.#checkObject(schema, value, at, depth) : null;
  }

  #checkText(schema: JsonObject, value: string, at: string): Fault | null {
    const { minLength, maxLength, pattern } = schema;
    if (minLength !== undefined || maxLength !== undefined) {
      this.#spend(value.length / CHARS_PER_STEP);
      const length = characters(value);
      if (typeof minLength === 'number' && length < minLength) return { at, why: `shorter than ${minLength}` };
      if (typeof maxLength === 'number' && length > maxLength) return { at, why: `longer than ${maxLength}` };
    }
    if (pattern !== undefined && !this.#matches(pattern, value)) return { at, why: 'it does not match the pattern' };
    return null;
  }

  #matches(source: unknown, text: string): boolean {
    const pattern: Pattern | string = patternOf(source);
    if (typeof pattern === 'string') throw new Unchecked(pattern);
    this.#spend(pattern.workOf(text));
    return pattern.matches(text);
  }

  #checkList(schema: JsonObject, value: readonly unknown[], at: string, depth: number): Fault | null {
    const { minItems, maxItems, uniqueItems, prefixItems, items, additionalItems, contains } = schema;
    if (typeof minItems === 'number' && value.length < minItems) return { at, why: `fewer than ${minItems} items` };
    if (typeof maxItems === 'number' && value.length > maxItems) return { at, why: `more than ${maxItems} items` };
    if (uniqueItems === true && this.#hasEqualItems(value)) return { at, why: 'two items are equal' };
    // Up to draft 2019-09 a list of schemas is `items`, and what follows it `additionalItems`.
    const tuple: readonly unknown[] = Array.isArray(prefixItems) ? prefixItems : Array.isArray(items) ? items : [];
    const rest = Array.isArray(items) ? additionalItems : items;
    for (const [index, item] of value.entries()) {
      const each = index < tuple.length ? tuple[index] : rest;
      const fault = each === undefined ? null : this.check(each, item, `${at}/${index}`, depth + 1);
      if (fault !== null) return fault;
    }
    return contains === undefined ? null : this.#checkContains(schema, value, at, depth);
  }

  #checkContains(schema: JsonObject, value: readonly unknown[], at: string, depth: number): Fault | null {
    const { minContains, maxContains, contains } = schema;
    const found = value.filter((item) => this.check(contains, item, at, depth + 1) === null).length;
    if (found < (typeof minContains === 'number' ? minContains : 1)) return { at, why: 'too few items are as asked for' };
    if (typeof maxContains === 'number' && found > maxContains) return { at, why: 'too many items are as asked for' };
    return null;
  }

  #hasEqualItems(value: readonly unknown[]): boolean {
    return value.some((item, index) => {
      for (let before = 0; before < index; before++) if (this.#equal(value[before], item, 0)) return true;
      return false;
    });
  }

  #checkObject(schema: JsonObject, value: JsonObject, at: string, depth: number): Fault | null {
    const names = Object.keys(value);
    this.#spend(names.length);
    const { required, minProperties, maxProperties, propertyNames, dependentRequired, dependentSchemas } = schema;
    if (Array.isArray(required)) {
      this.#spend(required.length / NAMES_PER_STEP);
      for (const name of required as readonly unknown[])
        if (typeof name === 'string' && !Object.hasOwn(value, name)) return { at, why: `${JSON.stringify(name)} is missing` };
    }
    if (typeof minProperties === 'number' && names.length < minProperties)
      return { at, why: `fewer than ${minProperties} members` };
    if (typeof maxProperties === 'number' && names.length > maxProperties)
      return { at, why: `more than ${maxProperties} members` };
    for (const name of names) {
      const fault =
        (propertyNames === undefined ? null : this.check(propertyNames, name, at, depth + 1)) ??
        this.#checkMember(schema, name, value[name], `${at}/${escaped(name)}`, depth);
      if (fault !== null) return fault;
      const wantedNames = listOf(ownMember(dependentRequired, name));
      this.#spend(wantedNames.length / NAMES_PER_STEP);
      for (const wanted of wantedNames)
        if (typeof wanted === 'string' && !Object.hasOwn(value, wanted))
          return { at, why: `${JSON.stringify(wanted)} is missing` };
      const dependent = ownMember(dependentSchemas, name);
      const also = dependent === undefined ? null : this.check(dependent, value, at, depth + 1);
      if (also !== null) return also;
    }
    return null;
  }

  #checkMember(schema: JsonObject, name: string, value: unknown, at: string, depth: number): Fault | null {
    const { properties, patternProperties, additionalProperties } = schema;
    const own = ownMember(properties, name);
    let known = own !== undefined;
    const fault = known ? this.check(own, value, at, depth + 1) : null;
    if (fault !== null) return fault;
    if (isObject(patternProperties)) {
      for (const [pattern, each] of Object.entries(patternProperties)) {
        if (!this.#matches(pattern, name)) continue;
        known = true;
        const found = this.check(each, value, at, depth + 1);
        if (found !== null) return found;
      }
    }
    if (known || additionalProperties === undefined) return null;
    if (additionalProperties === false) return { at, why: 'a member of this name is not allowed' };
    return this.check(additionalProperties, value, at, depth + 1);
  }

  #checkCombined(schema: JsonObject, value: unknown, at: string, depth: number): Fault | null {
    const { allOf, anyOf, oneOf, not, if: condition } = schema;
    const holds = (each: unknown): boolean => this.check(each, value, at, depth + 1) === null;
    for (const each of listOf(allOf)) {
      const fault = this.check(each, value, at, depth + 1);
      if (fault !== null) return fault;
    }
    if (Array.isArray(anyOf) && !listOf(anyOf).some(holds)) return { at, why: 'it is none of the forms that are allowed' };
    if (Array.isArray(oneOf) && listOf(oneOf).filter(holds).length !== 1)
      return { at, why: 'it is not exactly one of the forms that are allowed' };
    if (not !== undefined && holds(not)) return { at, why: 'it is of a form that is not allowed' };
    if (condition === undefined) return null;
    const branch = holds(condition) ? schema['then'] : schema['else'];
    return branch === undefined ? null : this.check(branch, value, at, depth + 1);
  }

  #equal(a: unknown, b: unknown, depth: number): boolean {
    this.#spend(1);
    if (a === b) {
      if (typeof a === 'string') this.#spend(a.length / CHARS_PER_STEP);
      return true;
    }
    if (depth > MAX_DEPTH) throw new Unchecked(`a value nests deeper than ${MAX_DEPTH}`);
    if (Array.isArray(a) && Array.isArray(b))
      return a.length === b.length && a.every((item, index) => this.#equal(item, (b as readonly unknown[])[index], depth + 1));
    if (!isObject(a) || !isObject(b)) return false;
    const names = Object.keys(a);
    if (names.length !== Object.keys(b).length) return false;
    return names.every((name) => Object.hasOwn(b, name) && this.#equal(a[name], b[name], depth + 1));
  }

  #spend(steps: number): void {
    this.#work += steps;
    if (this.#work > MAX_WORK) throw new Unchecked('the schema asks for more work than an answer is worth');
  }
}

function checkNumber(schema: JsonObject, value: number, at: string): Fault | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  if (typeof minimum === 'number' && value < minimum) return { at, why: `less than ${minimum}` };
  if (typeof maximum === 'number' && value > maximum) return { at, why: `more than ${maximum}` };
  if (typeof exclusiveMinimum === 'number' && value <= exclusiveMinimum) return { at, why: `not more than ${exclusiveMinimum}` };
  if (typeof exclusiveMaximum === 'number' && value >= exclusiveMaximum) return { at, why: `not less than ${exclusiveMaximum}` };
  if (typeof multipleOf === 'number' && multipleOf > 0 && !isMultiple(value, multipleOf))
    return { at, why: `not a multiple of ${multipleOf}` };
  return null;
}

/** A pair of surrogates is one. */
function characters(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) !== 0xdc00) count++;
  return count;
}

/** 0.3 is one of 0.1, whatever binary fractions make of them. */
function isMultiple(value: number, of: number): boolean {
  const quotient = value / of;
  return Math.abs(quotient - Math.round(quotient)) <= Math.abs(quotient) * 4 * Number.EPSILON;
}

function isOfType(type: unknown, value: unknown): boolean {
  if (type === 'integer') return typeof value === 'number' && Number.isInteger(value);
  return type === kindOf(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function ownMember(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
