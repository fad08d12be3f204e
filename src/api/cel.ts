/**
 * Rules that go beyond types: each is declared once, as the CEL that a CRD carries and, in the same object, as the predicate that
 * holds it here. The CEL must stay within what cel-go offers on the oldest supported API server and within its cost budget, so:
 * bounded lists only, no regex over unbounded strings, `has()` before every optional member.
 */
import type { z } from 'zod';

import { nearest } from './nearest.ts';

export type PathSegment = string | number;

/** Where and by what a rule is broken, more exactly than the API server says it: `path` is relative to the rule's own node. */
export interface Culprit {
  readonly path: readonly PathSegment[];
  /** The offending value as the user wrote it. */
  readonly value: string;
  /** What would have been allowed: the nearest of these is suggested. */
  readonly allowed?: readonly string[];
}

export interface CelRule<T> {
  readonly rule: string;
  /** Said by the API server and by us; we add the culprit's value in parentheses. */
  readonly message: string;
  /** Where the API server reports it, relative to this node, e.g. `.window`. */
  readonly fieldPath?: `.${string}`;
  /** True or an empty list: the rule holds. Sees the value with its defaults, as CEL does. */
  readonly check: (value: T) => boolean | readonly Culprit[];
}

interface Validation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

const KEY = 'x-kubernetes-validations';

/** Attaches rules to a schema: to what it validates here, and to what its CRD says. */
export function withRules<S extends z.ZodType>(schema: S, ...rules: readonly CelRule<z.output<S>>[]): S {
  const validations: Validation[] = [
    ...declaredRules(schema),
    ...rules.map(({ rule, message, fieldPath }) => (fieldPath === undefined ? { rule, message } : { rule, message, fieldPath })),
  ];
  const checked = schema.superRefine((value, context) => {
    for (const rule of rules) {
      const outcome = rule.check(value);
      if (outcome === true) continue;
      if (outcome === false) {
        context.addIssue({ code: 'custom', message: rule.message, path: fieldPathSegments(rule.fieldPath) });
        continue;
      }
      for (const culprit of outcome) {
        const meant = nearest(culprit.value, culprit.allowed ?? []);
        const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
        context.addIssue({
          code: 'custom',
          message: `${rule.message} (${JSON.stringify(culprit.value)}${hint})`,
          path: [...culprit.path],
        });
      }
    }
  });
  return checked.meta({ [KEY]: validations });
}

function declaredRules(schema: z.ZodType): readonly Validation[] {
  const declared = schema.meta()?.[KEY];
  return Array.isArray(declared) ? (declared as readonly Validation[]) : [];
}

function fieldPathSegments(fieldPath: string | undefined): string[] {
  return fieldPath === undefined ? [] : fieldPath.slice(1).split('.');
}

/** `self.field == 'word'`, false where the field is not there (yet: its default may come later). */
export function celEquals(field: string, word: string): string {
  return `(has(self.${field}) && self.${field} == '${word}')`;
}

/**
 * The rules of a union in Kubernetes' form: a discriminator and one member per type. `required`: the member must be there when
 * its type is chosen; `optional`: it may be. The discriminator is guarded by has(): the API server evaluates the rules of a default
 * `{}` before the defaults inside it are set.
 */
export function unionRules<T extends Readonly<Record<string, unknown>>>(
  discriminator: keyof T & string,
  members: readonly { readonly type: string; readonly member: keyof T & string; readonly presence: 'required' | 'optional' }[],
): readonly CelRule<T>[] {
  return members.map(({ type, member, presence }) => {
    const chosen = celEquals(discriminator, type);
    return presence === 'required'
      ? {
          rule: `${chosen} == has(self.${member})`,
          message: `${member} must be set exactly when ${discriminator} is ${type}`,
          check: (value: T) => (value[discriminator] === type) === (value[member] !== undefined),
        }
      : {
          rule: `${chosen} || !has(self.${member})`,
          message: `${member} may be set only when ${discriminator} is ${type}`,
          check: (value: T) => value[discriminator] === type || value[member] === undefined,
        };
  });
}
