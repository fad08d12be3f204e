/** Turns what a schema found into an Issue that names the value and what would be right. */
import type { z } from 'zod';

import { issue, type Issue } from '../lib/issue.ts';
import { DURATION_PATTERN } from '../lib/duration.ts';
import { DECIMAL_PATTERN } from '../lib/money.ts';
import type { PathSegment } from './cel.ts';
import { nearest } from './nearest.ts';
import { knownFields } from './schema-walk.ts';
import { DNS_LABEL, DNS_SUBDOMAIN, HTTP_URL } from './v1alpha1/fields.ts';
import { BUDGET_PATTERN, TIME_ZONE_PATTERN } from './v1alpha1/ratelimit.ts';

export interface ExplainContext {
  readonly schema: z.core.$ZodType;
  readonly value: unknown;
  readonly reason: string;
  /** False for Secrets: no message may quote a value. */
  readonly showValues: boolean;
}

const PATTERN_MEANING: ReadonlyMap<string, string> = new Map([
  [DURATION_PATTERN, 'a duration like 500ms, 30s, 10m or 24h (there is no unit for days)'],
  [DECIMAL_PATTERN, 'a decimal string like "0.15" or "500"'],
  [BUDGET_PATTERN, 'an amount like "500" or "0.25": up to four decimals, below 8 million'],
  [TIME_ZONE_PATTERN, 'the IANA name of a time zone like "Europe/Rome"'],
  [DNS_LABEL, 'a name of lower-case letters, digits and -, beginning and ending with a letter or digit'],
  [DNS_SUBDOMAIN, 'a name of lower-case letters, digits, - and ., beginning and ending with a letter or digit'],
  [HTTP_URL, 'an http:// or https:// URL without user, query and fragment'],
]);

/** Path as the API server writes it: `spec.rules[0].targets[1].model`, `metadata.labels[example.com/team]`. */
export function formatPath(path: readonly PathSegment[]): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(segment)) text += text === '' ? segment : `.${segment}`;
    else text += `[${segment}]`;
  }
  return text;
}

export function explainIssue(found: z.core.$ZodIssue, context: ExplainContext): readonly Issue[] {
  const path = found.path.map((segment) => (typeof segment === 'number' ? segment : String(segment)));
  if (found.code === 'unrecognized_keys') {
    const known = knownFields(context.schema, path);
    return found.keys.map((key) => {
      const meant = nearest(key, known);
      return issue(
        formatPath([...path, key]),
        context.reason,
        `unknown field ${JSON.stringify(key)}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      );
    });
  }
  return [issue(formatPath(path), context.reason, message(found, valueAt(context.value, path), context.showValues))];
}

function message(found: z.core.$ZodIssue, value: unknown, showValues: boolean): string {
  const got = showValues ? show(value) : 'this value';
  switch (found.code) {
    case 'invalid_type':
      if (value === undefined) return `is required; it must be ${typeName(found.expected)}`;
      return `${showValues ? got : 'this'} is ${kindOf(value)}; it must be ${typeName(found.expected)}${quoteHint(found.expected, value)}`;
    case 'invalid_value': {
      const allowed = found.values.map(String);
      if (value === undefined) return `is required; it must be ${choice(allowed)}`;
      const meant = typeof value === 'string' ? nearest(value, allowed) : undefined;
      return `${got} is not supported; it must be ${choice(allowed)}${meant === undefined || allowed.length === 1 ? '' : `; did you mean ${meant}?`}`;
    }
    case 'too_small':
      return found.origin === 'string'
        ? found.minimum === 1
          ? 'must not be empty'
          : `must have at least ${found.minimum} characters`
        : bound(found.origin, got, value, 'at least', found.minimum);
    case 'too_big':
      return found.origin === 'string'
        ? `is too long: ${String(value).length} characters, at most ${found.maximum} are allowed`
        : bound(found.origin, got, value, 'at most', found.maximum);
    case 'invalid_format': {
      const pattern = 'pattern' in found && typeof found.pattern === 'string' ? unslashed(found.pattern) : '';
      const meaning = PATTERN_MEANING.get(pattern);
      if (meaning !== undefined) return `${got} is not ${meaning}`;
      return isOurs(found.message) ? `${got} ${found.message}` : `${got} must match ${pattern}`;
    }
    case 'invalid_union':
      return `${got} must be an integer or a string${unionHint(found)}`;
    case 'invalid_key':
      return `the key ${show(found.path.at(-1))} ${found.issues[0]?.message ?? 'is not allowed'}`;
    default:
      return found.message;
  }
}

/** zod's own texts begin with a capital letter; ours continue a sentence. */
function isOurs(text: string): boolean {
  return /^[a-z]/.test(text);
}

/** Where one alternative has the value's type, what it holds against the value is worth more than the list of types. */
function unionHint(found: z.core.$ZodIssueInvalidUnion): string {
  for (const issues of found.errors) {
    const [first] = issues;
    if (first !== undefined && first.code === 'invalid_format' && 'pattern' in first && typeof first.pattern === 'string') {
      const pattern = unslashed(first.pattern);
      return `; a string must be ${PATTERN_MEANING.get(pattern) ?? `like ${pattern}`}`;
    }
    if (first !== undefined && first.code === 'too_small') return `; an integer must be at least ${first.minimum}`;
    if (first !== undefined && first.code === 'too_big') return `; at most ${first.maximum}`;
  }
  return '';
}

function bound(origin: string, got: string, value: unknown, word: string, limit: number | bigint): string {
  if (origin === 'array') return `has ${Array.isArray(value) ? value.length : 'too many'} entries; it must have ${word} ${limit}`;
  return `${got} is out of range; it must be ${word} ${limit}`;
}

/** YAML 1.1 reads `y`, `on` and `010` as something else than text: the usual cause of a wrong type where text is expected. */
function quoteHint(expected: string, value: unknown): string {
  return expected === 'string' && (typeof value === 'boolean' || typeof value === 'number') ? '; put it in quotes' : '';
}

function choice(allowed: readonly string[]): string {
  if (allowed.length <= 1) return allowed.join('');
  return `one of ${allowed.slice(0, -1).join(', ')} or ${allowed.at(-1) ?? ''}`;
}

function typeName(expected: string): string {
  switch (expected) {
    case 'int':
      return 'an integer';
    case 'array':
      return 'a list';
    case 'object':
      return 'an object';
    case 'record':
      return 'a map';
    default:
      return `a ${expected}`;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

const SHOWN_CHARACTERS = 80;

function show(value: unknown): string {
  switch (typeof value) {
    case 'string': {
      const safe = withoutPassword(value);
      return JSON.stringify(safe.length > SHOWN_CHARACTERS ? `${safe.slice(0, SHOWN_CHARACTERS)}…` : safe);
    }
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return 'this';
  }
}

function unslashed(pattern: string): string {
  return pattern.replace(/^\/(.*)\/[a-z]*$/s, '$1').replaceAll('\\/', '/');
}

function valueAt(value: unknown, path: readonly PathSegment[]): unknown {
  let at = value;
  for (const segment of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, segment)) return undefined;
    at = (at as Readonly<Record<PathSegment, unknown>>)[segment];
  }
  return at;
}

/** A URL's user name and password are a credential, wherever somebody wrote them. */
function withoutPassword(text: string): string {
  return text.replace(/:\/\/[^/@\s]*@/g, '://[redacted]@');
}
