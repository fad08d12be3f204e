/**
 * Building blocks of the schemas: bounded strings, lists and maps with what the API server must know of them. Every bound counts
 * towards the cost of the CEL rules above it, so none is larger than a real configuration needs.
 */
import { z } from 'zod';

import { withRules } from '../cel.ts';
import { DURATION_PATTERN, parseDurationMs } from '../../lib/duration.ts';
import { DECIMAL_PATTERN } from '../../lib/money.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export const DNS_LABEL = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
export const DNS_SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$';
/** RFC 9110 token, the characters that real header names use. */
const HEADER_NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
/** Visible ASCII and inner spaces: nothing that could end a header line. */
const HEADER_VALUE = '^[ -~]*$';
/** Scheme, host, port and path; without user, query and fragment. */
export const HTTP_URL = '^https?://[A-Za-z0-9._:\\[\\]-]+(/[!-"$->@-~]*)?$';

export function text(maxLength: number, pattern?: string): z.ZodString {
  const bounded = z.string().min(1).max(maxLength);
  return pattern === undefined ? bounded : bounded.regex(new RegExp(pattern));
}

/** A name inside one object, e.g. of a model or a rule. */
export function entryName(): z.ZodString {
  return text(63, DNS_LABEL);
}

export function objectName(): z.ZodString {
  return text(253, DNS_SUBDOMAIN);
}

export function namespaceName(): z.ZodString {
  return text(63, DNS_LABEL);
}

/** A key of a Secret or ConfigMap. */
export function dataKey(): z.ZodString {
  return text(253, '^[-._a-zA-Z0-9]+$');
}

export function headerName(): z.ZodString {
  return text(64, HEADER_NAME);
}

export function headerValue(): z.ZodString {
  return z.string().max(1024).regex(new RegExp(HEADER_VALUE));
}

export function httpUrl(): z.ZodString {
  return text(512, HTTP_URL);
}

/** GEP-2257, above zero. */
export function duration(): z.ZodString {
  return withRules(text(28, DURATION_PATTERN), {
    rule: "duration(self) > duration('0s')",
    message: 'a duration must be longer than zero',
    check: (value) => (durationMs(value) ?? 1) > 0,
  });
}

/** undefined where `value` is no duration, which its own pattern reports. */
export function durationMs(value: string): number | undefined {
  const parsed = parseDurationMs(value);
  return parsed.ok ? parsed.value : undefined;
}

/** A non-negative decimal as a string, so that no float touches it. */
export function decimal(): z.ZodString {
  return text(19, DECIMAL_PATTERN);
}

/** A decimal string from "0" to "1". */
export function share(): z.ZodString {
  return text(11, '^(0([.][0-9]{1,9})?|1([.]0{1,9})?)$');
}

/** Largest integer that JSON carries exactly everywhere is 2^53 - 1; what we count stays below. */
const MAX_COUNT = 1_000_000_000_000;

export function count(minimum: number, maximum = MAX_COUNT): z.ZodInt {
  return z.int().min(minimum).max(maximum).meta({ format: 'int64' });
}

/**
 * An integer or a string. The bounds stand in the schema as a whole, not in its two forms, which a CRD may not bound apart: those
 * of an integer leave strings alone, and the other way round.
 */
export function integerOrString(bounds: {
  readonly minimum: number;
  readonly maxLength: number;
  readonly pattern: string;
}): z.ZodUnion<readonly [z.ZodInt, z.ZodString]> {
  const { minimum, maxLength, pattern } = bounds;
  return z
    .union([z.int().min(minimum).max(MAX_COUNT), z.string().max(maxLength).regex(new RegExp(pattern))])
    .meta({ 'x-kubernetes-int-or-string': true, minimum, maximum: MAX_COUNT, maxLength, pattern });
}

/** Kubernetes' resource quantity: an integer or a string like `500m` or `32Mi`. */
export function quantity(): z.ZodUnion<readonly [z.ZodInt, z.ZodString]> {
  return integerOrString({ minimum: 0, maxLength: 32, pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$' });
}

/** A list whose entries are told apart by one field, which server-side apply merges by. */
export function namedList<I extends z.ZodObject>(
  item: I,
  key: keyof z.output<I> & string,
  minItems: number,
  maxItems: number,
): z.ZodArray<I> {
  return z
    .array(item)
    .min(minItems)
    .max(maxItems)
    .superRefine((items, context) => {
      reportDuplicates(
        items.map((entry) => (entry as Readonly<Record<string, unknown>>)[key]),
        (index) =>
          context.addIssue({
            code: 'custom',
            path: [index, key],
            message: `Duplicate value: ${JSON.stringify(items[index]?.[key])}; each ${key} of this list may occur once`,
          }),
      );
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });
}

/** A list of distinct scalars. */
export function setOf<I extends z.ZodType<string>>(item: I, minItems: number, maxItems: number): z.ZodArray<I> {
  return z
    .array(item)
    .min(minItems)
    .max(maxItems)
    .superRefine((items, context) => {
      reportDuplicates(items, (index) =>
        context.addIssue({
          code: 'custom',
          path: [index],
          message: `Duplicate value: ${JSON.stringify(items[index])}; each may occur once`,
        }),
      );
    })
    .meta({ 'x-kubernetes-list-type': 'set' });
}

/** A list that is replaced as a whole. */
export function listOf<I extends z.ZodType>(item: I, minItems: number, maxItems: number): z.ZodArray<I> {
  return z.array(item).min(minItems).max(maxItems).meta({ 'x-kubernetes-list-type': 'atomic' });
}

export function mapOf<V extends z.ZodType>(value: V, maxProperties: number): z.ZodRecord<z.ZodString, V> {
  return z
    .record(z.string(), value)
    .superRefine((entries, context) => {
      const size = Object.keys(entries).length;
      if (size > maxProperties)
        context.addIssue({ code: 'custom', message: `has ${size} entries, at most ${maxProperties} are allowed` });
    })
    .meta({ maxProperties });
}

/** Any JSON object: request parameters that only the upstream understands. Kept as it is, never defaulted or pruned. */
export function jsonObject(maxProperties: number): z.ZodRecord<z.ZodString, z.ZodType<JsonValue>> {
  const anything: z.ZodType = z.unknown();
  return mapOf(anything as z.ZodType<JsonValue>, maxProperties).meta({ 'x-kubernetes-preserve-unknown-fields': true });
}

function reportDuplicates(values: readonly unknown[], report: (index: number) => void): void {
  const seen = new Set<unknown>();
  values.forEach((value, index) => {
    if (seen.has(value)) report(index);
    seen.add(value);
  });
}
