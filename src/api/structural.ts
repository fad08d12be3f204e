/** zod schema → the structural OpenAPI v3 schema that a CustomResourceDefinition takes. */
import { z } from 'zod';

import type { JsonValue } from './v1alpha1/fields.ts';

export interface StructuralSchema {
  readonly description?: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'number';
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly default?: JsonValue;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly items?: StructuralSchema;
  readonly additionalProperties?: StructuralSchema;
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly {
    readonly rule: string;
    readonly message: string;
    readonly fieldPath?: string;
  }[];
}

/** In the order in which they are written. */
const COPIED = [
  'description',
  'type',
  'format',
  'enum',
  'default',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'required',
  'x-kubernetes-int-or-string',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
] as const;

/** What zod writes and Kubernetes either forbids or has no need of. */
const DROPPED = new Set(['$schema', 'additionalProperties', 'anyOf', 'properties', 'items', 'propertyNames']);

type Json = Readonly<Record<string, unknown>>;

export function toStructural(schema: z.ZodType): StructuralSchema {
  return structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Json, '');
}

function structural(schema: Json, path: string): StructuralSchema {
  const unknown = Object.keys(schema).filter((key) => !DROPPED.has(key) && !(COPIED as readonly string[]).includes(key));
  if (unknown.length > 0) throw new Error(`${path || 'root'}: ${unknown.join(', ')} has no place in a structural schema`);
  const out: Record<string, unknown> = {};
  for (const key of COPIED) {
    const value = schema[key];
    if (value === undefined || isNoLimit(key, value)) continue;
    out[key] = key === 'pattern' && typeof value === 'string' ? value.replaceAll('\\/', '/') : value;
  }
  if ('x-kubernetes-preserve-unknown-fields' in schema) return out;
  if (isJson(schema['properties'])) {
    out['properties'] = Object.fromEntries(
      Object.entries(schema['properties']).map(([name, property]) => [name, structural(property as Json, `${path}.${name}`)]),
    );
  }
  if (isJson(schema['items'])) out['items'] = structural(schema['items'], `${path}[]`);
  if (isJson(schema['additionalProperties']))
    out['additionalProperties'] = structural(schema['additionalProperties'], `${path}{}`);
  if (schema['anyOf'] !== undefined && out['x-kubernetes-int-or-string'] !== true)
    throw new Error(`${path}: unions are discriminated by a field in Kubernetes, not by anyOf`);
  return out;
}

/** zod bounds every integer by what JavaScript holds exactly; an empty list may always be empty. */
function isNoLimit(key: string, value: unknown): boolean {
  return (
    (key === 'maximum' && value === Number.MAX_SAFE_INTEGER) ||
    (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) ||
    (key === 'minItems' && value === 0)
  );
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
