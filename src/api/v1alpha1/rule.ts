/** One rule of a route: what it matches, which models may answer, how one is chosen and what happens when it fails. */
import { z } from 'zod';

import { celEquals, withRules } from '../cel.ts';
import { atLeastOneSecond } from './common.ts';
import { count, decimal, duration, entryName, headerName, headerValue, listOf, namedList, setOf, share, text } from './fields.ts';
import { selectionSchema } from './selection.ts';

const match = withRules(
  z.strictObject({
    headers: namedList(
      z.strictObject({
        name: headerName().describe('Name of a request header, in any case, e.g. `x-tier`.'),
        value: headerValue().describe('The value that it must have, compared exactly, e.g. `gold`.'),
      }),
      'name',
      1,
      8,
    )
      .optional()
      .describe('Request headers that must all be there with these values.'),
    tenant: text(253).optional().describe("The caller's tenant: the namespace of its key, or what a platform key names."),
    path: text(256, '^/[!-~]*$')
      .optional()
      .describe('The path called, without query, compared exactly, e.g. `/v1/chat/completions`.'),
    stream: z.boolean().optional().describe('Whether the client asks for a stream.'),
    tools: z.boolean().optional().describe('Whether the request gives tools.'),
    jsonSchema: z.boolean().optional().describe('Whether the request demands an answer in a JSON schema.'),
    images: z.boolean().optional().describe('Whether the request carries images.'),
    minPromptTokens: count(1)
      .optional()
      .describe('Matches prompts of at least this many tokens, as the gateway estimates them, e.g. 8000.'),
  }),
  {
    rule: 'has(self.headers) || has(self.tenant) || has(self.path) || has(self.stream) || has(self.tools) || has(self.jsonSchema) || has(self.images) || has(self.minPromptTokens)',
    message: 'a match must have at least one condition; a rule without matches takes every request',
    check: (value) => Object.values(value).some((condition) => condition !== undefined),
  },
);

const target = z.strictObject({
  model: entryName().describe('Name of an entry of `spec.models`.'),
  priority: count(0, 100).default(0).describe('Tier: all targets of a lower number are tried first. Default: 0.'),
  weight: count(0, 1_000_000)
    .default(1)
    .describe(
      "Share of requests within the tier, relative to the others' weights; 0: only when nothing else of the tier can serve. Default: 1.",
    ),
});

const constraints = z.strictObject({
  maxTimeToFirstToken: z
    .strictObject({
      percentile: count(1, 99).default(95).describe('Which percentile of the recent window is compared. Default: 95.'),
      value: duration().describe('What it may be at most, e.g. `800ms`.'),
    })
    .optional()
    .describe('Leaves out targets that have been slower than this to their first token.'),
  minOutputTokensPerSecond: count(1, 1_000_000)
    .optional()
    .describe('Leaves out targets that have been generating more slowly than this, in tokens a second, e.g. 30.'),
  maxCostPerRequest: decimal()
    .optional()
    .describe('Leaves out targets on which this request is estimated to cost more, in US dollars, e.g. "0.02".'),
  onNoCandidate: z
    .enum(['Relax', 'Reject'])
    .default('Relax')
    .describe(
      'What happens when no target meets them all: Relax (latency, then cost is given up) or Reject (503 with the reasons). Default: Relax.',
    ),
});

const FAILOVER_REASONS = [
  'ConnectFailure',
  'Timeout',
  'RateLimited',
  'QuotaExhausted',
  'Overloaded',
  'ServerError',
  'StreamBroken',
  'Auth',
  'NotFound',
] as const;

const timeouts = z.strictObject({
  connect: duration().default('2s').describe('Until the connection stands, TLS included. Default: 2s.'),
  firstToken: duration().default('60s').describe('For streams: from the call to the first output. Default: 60s.'),
  idle: duration().default('120s').describe('For streams: between two pieces of output. Default: 120s.'),
  total: duration()
    .default('600s')
    .describe(
      'For one attempt, from the request sent to the last byte of its answer; for a stream it ends with the first output. Default: 600s.',
    ),
});

const fallbackTargets = setOf(entryName().describe('Name of an entry of `spec.models`.'), 1, 16).optional();

const contentFilter = withRules(
  z.strictObject({
    mode: z
      .enum(['Return', 'Failover'])
      .default('Return')
      .describe(
        "What happens when a provider's filter refuses: Return (the client gets the refusal) or Failover (the request goes to `targets`: sending a refused prompt to another provider is your decision). Default: Return.",
      ),
    stages: setOf(z.enum(['Prompt', 'Completion']).describe('A stage.'), 1, 2)
      .default(['Prompt', 'Completion'])
      .describe('Which refusals count: of the Prompt, of the Completion. Default: both.'),
    targets: fallbackTargets.describe('Where a refused request goes, in this order.'),
  }),
  {
    rule: `!${celEquals('mode', 'Failover')} || has(self.targets)`,
    message: 'targets must be set when mode is Failover',
    fieldPath: '.targets',
    check: (value) => value.mode !== 'Failover' || value.targets !== undefined,
  },
);

const contextOverflow = withRules(
  z.strictObject({
    mode: z
      .enum(['Return', 'Failover'])
      .default('Return')
      .describe(
        "What happens when a prompt exceeds a model's context: Return (the client gets the error) or Failover (the request goes to `targets`). Default: Return.",
      ),
    targets: fallbackTargets.describe('Where such a request goes, in this order: models with a larger context.'),
  }),
  {
    rule: `!${celEquals('mode', 'Failover')} || has(self.targets)`,
    message: 'targets must be set when mode is Failover',
    fieldPath: '.targets',
    check: (value) => value.mode !== 'Failover' || value.targets !== undefined,
  },
);

const failover = z.strictObject({
  maxAttempts: count(1, 16).default(3).describe('Upstream calls for one request at most, the first included. Default: 3.'),
  timeouts: timeouts.prefault({}).describe('How long is waited, and for what.'),
  reasons: setOf(z.enum(FAILOVER_REASONS).describe('A reason.'), 0, 9)
    .default([...FAILOVER_REASONS])
    .describe('The failures after which the next target is tried. Default: all of them. An empty list turns failover off.'),
  contentFilter: contentFilter.prefault({}).describe("What happens when a provider's content filter refuses a request."),
  contextOverflow: contextOverflow.prefault({}).describe("What happens when a prompt does not fit into the model's context."),
  hedge: z
    .strictObject({
      afterPercentile: count(50, 99)
        .default(95)
        .describe(
          'A second target is asked when the first is slower than this percentile of its own time to first token. Default: 95.',
        ),
      maxExtraRequests: share().default('0.05').describe('Extra calls at most, as a share of all, e.g. "0.05". Default: "0.05".'),
    })
    .optional()
    .describe('Asks a second target when the first is slow, and takes whichever answers first. Default: off.'),
  afterOutput: z
    .enum(['Error', 'Continue'])
    .default('Error')
    .describe(
      'What happens when a stream breaks after output has reached the client: Error (an explicit error event) or Continue (another target continues the text where that is possible, else Error). Default: Error.',
    ),
});

const structuredOutput = z.strictObject({
  validate: z
    .boolean()
    .default(true)
    .describe('Whether answers are checked against the JSON schema that the client gave. Default: true.'),
  repair: z
    .boolean()
    .default(false)
    .describe('Whether an answer that is nearly valid is mended (fences, trailing commas, cut ends). Default: false.'),
  onInvalid: z
    .enum(['Return', 'Failover'])
    .default('Return')
    .describe(
      'What happens to an invalid answer: Return (the client gets it, and a header says so) or Failover (the next target is tried). Default: Return.',
    ),
  holdStream: z
    .boolean()
    .default(false)
    .describe(
      'Whether a stream is held until it is known to be valid; without it a stream is checked but cannot fail over. Default: false.',
    ),
});

const ruleSchema = z.strictObject({
  name: entryName().describe('What status, headers and metrics call this rule; unique in the route, e.g. `interactive`.'),
  matches: listOf(match, 0, 8)
    .optional()
    .describe('The rule takes a request that meets any of these. The last rule has none and takes what is left.'),
  targets: namedList(target, 'model', 1, 16).describe('The models that may answer, in priority tiers.'),
  selection: selectionSchema.prefault({}).describe('How a target is chosen within a tier.'),
  constraints: constraints.optional().describe('Hard limits: a target that breaks one is not a candidate.'),
  failover: failover
    .prefault({})
    .describe('What happens when a target fails, inside one request, before its first output reaches the client.'),
  structuredOutput: structuredOutput.optional().describe('Checks answers to requests with a JSON schema. Default: off.'),
  sessionAffinity: z
    .strictObject({
      header: headerName().describe('Request header that names the session, e.g. `x-session-id`.'),
      ttl: atLeastOneSecond(duration())
        .default('10m')
        .describe('How long a session stays with its target after its last request. Default: 10m.'),
    })
    .optional()
    .describe("Keeps a session on one target, which makes the provider's prompt cache hit. Default: off."),
  mirror: z
    .strictObject({
      model: entryName().describe('Name of an entry of `spec.models`. Its answers are measured and thrown away.'),
      percent: count(1, 100).describe('Share of requests that is copied to it, in percent, e.g. 1.'),
    })
    .optional()
    .describe('Sends a copy of some requests to another model. Default: off.'),
});
export type Rule = z.output<typeof ruleSchema>;

type Rules = readonly Rule[];

const catchesAll = (rule: Rule): boolean => rule.matches === undefined || rule.matches.length === 0;

export const rulesField = withRules(namedList(ruleSchema, 'name', 1, 16), {
  rule: 'size(self) == 0 || (!has(self[size(self) - 1].matches) || size(self[size(self) - 1].matches) == 0) && self.filter(r, !has(r.matches) || size(r.matches) == 0).size() == 1',
  message: 'the last rule, and only the last, must have no matches',
  check: (rules: Rules) => rules.length === 0 || (rules.filter(catchesAll).length === 1 && rules.slice(-1).every(catchesAll)),
});
