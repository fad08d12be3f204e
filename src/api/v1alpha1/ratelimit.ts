/** Limits of a route: what is counted, for whom, and what happens beyond. */
import { z } from 'zod';

import { celEquals, withRules } from '../cel.ts';
import { atLeastOneSecond, atMostThirtyDays } from './common.ts';
import { count, duration, entryName, headerName, integerOrString, setOf, text } from './fields.ts';

const SCOPES = ['APIKey', 'Tenant', 'Route', 'Model', 'Header'] as const;

/** Below 8 million, because nano-USD are counted in numbers that are whole up to 2^53; four decimals are enough for a budget. */
export const BUDGET_PATTERN = '^[0-7]?[0-9]{1,6}(\\.[0-9]{1,4})?$';

export const TIME_ZONE_PATTERN = '^[A-Za-z0-9_+/-]+$';

/** Requests, Tokens and Concurrency are integers, USD is money and so a string: the CEL rule says which. */
const limitValue = integerOrString({ minimum: 1, maxLength: 12, pattern: BUDGET_PATTERN });

const onExceeded = withRules(
  z.strictObject({
    action: z
      .enum(['Reject', 'Downgrade'])
      .default('Reject')
      .describe(
        "Reject (429 with the limit's name and when to come back) or Downgrade (the model in `to` answers instead). Default: Reject.",
      ),
    to: entryName().optional().describe('For Downgrade: name of an entry of `spec.models`.'),
  }),
  {
    rule: `${celEquals('action', 'Downgrade')} == has(self.to)`,
    message: 'to must be set exactly when action is Downgrade',
    check: (value) => (value.action === 'Downgrade') === (value.to !== undefined),
  },
);

const calendar = z.strictObject({
  period: z
    .enum(['Hour', 'Day', 'Week', 'Month', 'Year'])
    .describe('The period after whose end counting begins anew; weeks begin on Monday.'),
  timeZone: text(64, TIME_ZONE_PATTERN)
    .default('UTC')
    .describe('IANA name of the time zone that the period follows, e.g. `Europe/Rome`. Default: UTC.'),
});

export const rateLimitSchema = withRules(
  z.strictObject({
    name: entryName().describe('What a limited client, status and metrics are told; unique in this list, e.g. `tenant-tpm`.'),
    per: setOf(z.enum(SCOPES).describe('A scope.'), 0, 5)
      .default([])
      .describe(
        'Counted separately for each combination of these: APIKey, Tenant, Route, Model (the name the client sent), Header (the value of `header.name`). Default: none, one counter for all requests.',
      ),
    header: z
      .strictObject({
        name: headerName().describe('Name of the request header, e.g. `x-team`.'),
        maxValues: count(1, 100_000)
          .default(1000)
          .describe('Distinct values that are counted separately; what comes beyond shares one counter. Default: 1000.'),
      })
      .optional()
      .describe('Which header, where `per` has Header.'),
    unit: z
      .enum(['Requests', 'Tokens', 'Concurrency', 'USD'])
      .describe('What is counted: Requests, Tokens (input and output), Concurrency (requests under way) or USD (cost).'),
    limit: limitValue.describe(
      'How much is allowed: an integer from 1 for Requests, Tokens and Concurrency, e.g. 600; a decimal string for USD with up to four decimals, below 8 million, e.g. "500" or "0.25".',
    ),
    window: atMostThirtyDays(atLeastOneSecond(duration()))
      .optional()
      .describe('Sliding window, from 1s to 720h, e.g. `1m` or `24h`. Excludes `calendar`; none for Concurrency.'),
    calendar: calendar.optional().describe('Period of the calendar, for budgets. Excludes `window`; none for Concurrency.'),
    onExceeded: onExceeded.prefault({}).describe('What happens to a request beyond the limit.'),
  }),
  {
    rule: "self.unit == 'USD' ? type(self.limit) == string : type(self.limit) == int",
    message: 'limit must be an integer for Requests, Tokens and Concurrency, and a decimal string like "500" for USD',
    fieldPath: '.limit',
    check: (value) => (value.unit === 'USD' ? typeof value.limit === 'string' : typeof value.limit === 'number'),
  },
  {
    rule: "type(self.limit) == int || self.limit.matches('[1-9]')",
    message: 'a limit of 0 USD admits nothing: write an amount above 0 like "0.25"',
    fieldPath: '.limit',
    check: (value) => typeof value.limit === 'number' || /[1-9]/.test(value.limit),
  },
  {
    rule: "self.unit == 'Concurrency' ? !has(self.window) && !has(self.calendar) : has(self.window) != has(self.calendar)",
    message: 'exactly one of window and calendar must be set; for Concurrency neither',
    check: (value) =>
      value.unit === 'Concurrency'
        ? value.window === undefined && value.calendar === undefined
        : (value.window !== undefined) !== (value.calendar !== undefined),
  },
  {
    rule: "(has(self.per) && 'Header' in self.per) == has(self.header)",
    message: 'header must be set exactly when per has Header',
    check: (value) => value.per.includes('Header') === (value.header !== undefined),
  },
);
