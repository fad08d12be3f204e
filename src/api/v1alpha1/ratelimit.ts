/** Limits of a route: what is counted, for whom, and what happens beyond. */
import { z } from 'zod';

import { celEquals, withRules } from '../cel.ts';
import { atLeastOneSecond } from './common.ts';
import { count, duration, entryName, headerName, integerOrString, setOf, text } from './fields.ts';
import { DECIMAL_PATTERN } from '../../lib/money.ts';

const SCOPES = ['APIKey', 'Tenant', 'Route', 'Model', 'Header'] as const;

/** Requests, Tokens and Concurrency are integers, USD is money and so a string: the CEL rule says which. */
const limitValue = integerOrString({ minimum: 1, maxLength: 19, pattern: DECIMAL_PATTERN });

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
  timeZone: text(64, '^[A-Za-z0-9_+/-]+$')
    .default('UTC')
    .describe('IANA name of the time zone that the period follows, e.g. `Europe/Rome`. Default: UTC.'),
});

export const rateLimitSchema = withRules(
  z.strictObject({
    name: entryName().describe('What a limited client, status and metrics are told; unique in the route, e.g. `tenant-tpm`.'),
    per: setOf(z.enum(SCOPES).describe('A scope.'), 0, 5)
      .default([])
      .describe(
        'Counted separately for each combination of these: APIKey, Tenant, Route, Model (the name the client sent), Header (the value of `header.name`). Default: one counter for the route.',
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
      'How much is allowed: an integer from 1 for Requests, Tokens and Concurrency, e.g. 600; a decimal string for USD, e.g. "500".',
    ),
    window: atLeastOneSecond(duration())
      .optional()
      .describe('Sliding window, from 1s, e.g. `1m` or `24h`. Excludes `calendar`; none for Concurrency.'),
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

export type RateLimit = z.output<typeof rateLimitSchema>;
