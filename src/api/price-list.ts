/** The price list of a gateway's ConfigMap: text → entries, and what is wrong with the others. */
import { z } from 'zod';

import { issue, type Issue } from '../lib/issue.ts';
import { parseJsonOrThrow } from '../lib/json-parse.ts';
import { withRules } from './cel.ts';
import { explainIssue, formatPath } from './explain-issue.ts';
import { count, decimal, text } from './v1alpha1/fields.ts';
import { capabilities, PROVIDER_TYPES } from './v1alpha1/model.ts';

const prices = {
  input: decimal(),
  cachedInput: decimal().optional(),
  cacheWrite: decimal().optional(),
  cacheWriteHour: decimal().optional(),
  output: decimal(),
  reasoning: decimal().optional(),
};

const pricing = z.strictObject({
  ...prices,
  /** USD for each request beside its tokens. */
  request: decimal().optional(),
  longContext: z
    .array(z.strictObject({ aboveInputTokens: count(1), ...prices }))
    .max(8)
    .optional(),
});

const entry = withRules(
  z.strictObject({
    provider: z.enum(PROVIDER_TYPES).optional(),
    model: text(256, '^[^*]+[*]?$'),
    pricing: pricing.optional(),
    capabilities: capabilities.optional(),
  }),
  {
    rule: 'has(self.pricing) || has(self.capabilities)',
    message: 'at least one of pricing and capabilities must be set',
    check: (value) => value.pricing !== undefined || value.capabilities !== undefined,
  },
);

/** USD as decimal strings, of tokens by the million. `model` is a name or, with one `*` at its end, the beginning of names. */
export type PriceListEntry = z.output<typeof entry>;
export type ListedPricing = z.output<typeof pricing>;

const envelope = z.strictObject({ models: z.array(z.unknown()).max(10_000) });

export interface PriceList {
  readonly entries: readonly PriceListEntry[];
  /** Paths are inside the list: `models[3].pricing.input`. An entry that has one is not among the entries. */
  readonly issues: readonly Issue[];
}

/** Never throws. */
export function parsePriceList(source: string): PriceList {
  let value: unknown;
  try {
    value = parseJsonOrThrow(source);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : 'it cannot be read';
    return { entries: [], issues: [issue('', 'Invalid', `is not JSON: ${why}`)] };
  }
  const list = envelope.safeParse(value);
  if (!list.success) return { entries: [], issues: explained(list.error, envelope, value, '') };
  const entries: PriceListEntry[] = [];
  const issues: Issue[] = [];
  for (const [index, item] of list.data.models.entries()) {
    const parsed = entry.safeParse(item);
    if (parsed.success) entries.push(parsed.data);
    else issues.push(...explained(parsed.error, entry, item, formatPath(['models', index])));
  }
  return { entries, issues };
}

function explained(error: z.ZodError, schema: z.ZodType, value: unknown, at: string): readonly Issue[] {
  return error.issues
    .flatMap((found) => explainIssue(found, { schema, value, reason: 'Invalid', showValues: true }))
    .map(({ path, reason, message }) => issue(at === '' || path === '' ? at + path : `${at}.${path}`, reason, message));
}
