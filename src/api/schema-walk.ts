/** Reads zod schemas as a tree, by the path of a value: for hints on unknown fields, and to drop nulls as the API server does. */
import { z } from 'zod';

import type { PathSegment } from './cel.ts';

/** The schema of what is really there, without the wrappers that make it optional, defaulted or transformed. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault)
      inner = inner._zod.def.innerType;
    else if (inner instanceof z.ZodPipe) inner = inner._zod.def.in;
    else return inner;
  }
}

function child(schema: z.core.$ZodType, segment: PathSegment): z.core.$ZodType | undefined {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) {
    const shape: Readonly<Record<PathSegment, z.core.$ZodType>> = inner.shape;
    return Object.hasOwn(shape, segment) ? shape[segment] : undefined;
  }
  if (inner instanceof z.ZodArray) return inner.element;
  if (inner instanceof z.ZodRecord) return inner.valueType;
  return undefined;
}

/** Names of the fields that the object at `path` may have; empty where there is no such object. */
export function knownFields(schema: z.core.$ZodType, path: readonly PathSegment[]): readonly string[] {
  let at: z.core.$ZodType | undefined = schema;
  for (const segment of path) at = at === undefined ? undefined : child(at, segment);
  const inner = at === undefined ? undefined : unwrap(at);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/**
 * A null where a field is known means that the field was not given: the API server prunes it and then applies the default.
 * Nulls in lists and in free-form JSON stay. Returns the same value where there is nothing to drop; never changes its input.
 */
export function withoutNulls(value: unknown, schema: z.core.$ZodType): unknown {
  const inner = unwrap(schema);
  if (Array.isArray(value)) {
    if (!(inner instanceof z.ZodArray)) return value;
    const items = value.map((item) => withoutNulls(item, inner.element));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (
    !isPlainObject(value) ||
    !(inner instanceof z.ZodObject || (inner instanceof z.ZodRecord && !(inner.valueType instanceof z.ZodUnknown)))
  )
    return value;
  const kept: [string, unknown][] = [];
  let changed = false;
  for (const [key, member] of Object.entries(value)) {
    const memberSchema = child(inner, key);
    if (memberSchema !== undefined && member === null) {
      changed = true;
      continue;
    }
    const cleaned = memberSchema === undefined ? member : withoutNulls(member, memberSchema);
    changed ||= cleaned !== member;
    kept.push([key, cleaned]);
  }
  return changed ? Object.fromEntries(kept) : value;
}

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
