import { z } from 'zod';

import { withRules, type CelRule, type Culprit } from '../cel.ts';
import { API_VERSION, atLeastOneSecond, conditionsField, metadataSchema, parentRefSchema } from './common.ts';
import { count, duration, entryName, listOf, namedList, setOf, share, text } from './fields.ts';
import { modelSchema } from './model.ts';
import { rateLimitSchema } from './ratelimit.ts';
import { rulesField } from './rule.ts';

const modelName = withRules(text(128, '^[!-~]+$'), {
  rule: "self.matches('^[^*]*[*]?$')",
  message: 'a model name is exact or ends in one *',
  check: (value) => /^[^*]*[*]?$/.test(value),
});

const access = withRules(
  z.strictObject({
    from: z
      .enum(['Same', 'All', 'Tenants'])
      .describe("Whose keys may call the route: Same (its own namespace's and platform keys), All, or Tenants (those listed)."),
    tenants: setOf(text(253).describe('A tenant: a namespace, or what a platform key names.'), 1, 256)
      .optional()
      .describe('For Tenants: who may call it.'),
  }),
  {
    rule: "(self.from == 'Tenants') == has(self.tenants)",
    message: 'tenants must be set exactly when from is Tenants',
    check: (value) => (value.from === 'Tenants') === (value.tenants !== undefined),
  },
);

const cache = z.strictObject({
  mode: z
    .enum(['Exact'])
    .default('Exact')
    .describe(
      'Exact: a request whose body is equal as JSON gets the same answer. Only whole answers of chat, completions, embeddings, messages and unstored responses, at most 1 MiB. Default: Exact.',
    ),
  ttl: atLeastOneSecond(duration()).default('1h').describe('How long an answer is kept. Default: 1h.'),
  scope: z
    .enum(['APIKey', 'Tenant', 'Route'])
    .default('Tenant')
    .describe('Who shares answers. Route: all who may call it, tenants among each other too. Default: Tenant.'),
});

const specFields = z.strictObject({
  parentRefs: listOf(parentRefSchema, 0, 8)
    .optional()
    .describe(
      "The LLMGateways that serve this route. Default: the cluster's default one (annotation `fairlead.dev/is-default-gateway`).",
    ),
  modelNames: setOf(modelName.describe('A name, e.g. `chat`, or a prefix, e.g. `gpt-4o*`.'), 1, 64).describe(
    'What clients send in `model`: exact, or with one trailing `*`. Listed by GET /v1/models to those who may use it. Within a namespace the oldest route keeps a name.',
  ),
  access: access
    .optional()
    .describe("Whose keys may call the route. Default: All in the gateway's namespace, Same in every other."),
  models: namedList(modelSchema, 'name', 1, 32).describe('The pool: the models that rules choose from.'),
  rules: rulesField.describe('Which models answer which requests; the first that matches wins.'),
  rateLimits: namedList(rateLimitSchema, 'name', 0, 32).optional().describe('Limits; every one that applies must have room.'),
  cache: cache
    .optional()
    .describe(
      "Answers repeated requests without an upstream call, from the gateway's Redis, or without one from each pod's memory. Default: off.",
    ),
});

type Spec = z.output<typeof specFields>;

/** Every rule below says that a name is in the pool; CEL gets it spelled out, we look it up once. */
function inPool(rule: string, field: string, references: (spec: Spec) => readonly Culprit[]): CelRule<Spec> {
  return {
    rule,
    message: `${field} must name an entry of spec.models`,
    check: (spec) => {
      const pool = spec.models.map((model) => model.name);
      return references(spec)
        .filter(({ value }) => !pool.includes(value))
        .map((culprit) => ({ ...culprit, allowed: pool }));
    },
  };
}

const POOL_HAS = (name: string): string => `self.models.exists(m, m.name == ${name})`;

/** `path` is an optional chain from a rule `r`, e.g. `failover.contentFilter`; each step is guarded by has(). */
function forRules(path: string, condition: string): string {
  const steps = path.split('.');
  const guards = steps.map((_, index) => `!has(r.${steps.slice(0, index + 1).join('.')})`);
  return `self.rules.all(r, ${guards.join(' || ')} || ${condition})`;
}

/** References of every rule, with the path to each from the spec. */
function ofRules(spec: Spec, references: (rule: Spec['rules'][number]) => readonly (Culprit | undefined)[]): readonly Culprit[] {
  return spec.rules.flatMap((rule, index) =>
    references(rule).flatMap((found) =>
      found === undefined ? [] : [{ path: ['rules', index, ...found.path], value: found.value }],
    ),
  );
}

function named(value: string | undefined, ...path: Culprit['path']): Culprit | undefined {
  return value === undefined ? undefined : { path, value };
}

const LEARNED = ['selection', 'learned'] as const;

const llmRouteSpecSchema = withRules(
  specFields,
  inPool(`self.rules.all(r, r.targets.all(t, ${POOL_HAS('t.model')}))`, 'rules.targets.model', (spec) =>
    ofRules(spec, (rule) => rule.targets.map((target, index) => named(target.model, 'targets', index, 'model'))),
  ),
  inPool(
    forRules('failover.contentFilter.targets', `r.failover.contentFilter.targets.all(t, ${POOL_HAS('t')})`),
    'rules.failover.contentFilter.targets',
    (spec) =>
      ofRules(spec, (rule) =>
        (rule.failover.contentFilter.targets ?? []).map((name, index) =>
          named(name, 'failover', 'contentFilter', 'targets', index),
        ),
      ),
  ),
  inPool(
    forRules('failover.contextOverflow.targets', `r.failover.contextOverflow.targets.all(t, ${POOL_HAS('t')})`),
    'rules.failover.contextOverflow.targets',
    (spec) =>
      ofRules(spec, (rule) =>
        (rule.failover.contextOverflow.targets ?? []).map((name, index) =>
          named(name, 'failover', 'contextOverflow', 'targets', index),
        ),
      ),
  ),
  inPool(forRules('mirror', POOL_HAS('r.mirror.model')), 'rules.mirror.model', (spec) =>
    ofRules(spec, (rule) => [named(rule.mirror?.model, 'mirror', 'model')]),
  ),
  inPool(
    forRules('selection.learned.onError', POOL_HAS('r.selection.learned.onError.use')),
    'rules.selection.learned.onError.use',
    (spec) => ofRules(spec, (rule) => [named(rule.selection.learned?.onError?.use, ...LEARNED, 'onError', 'use')]),
  ),
  inPool(
    forRules('selection.learned.scorer.embedding', POOL_HAS('r.selection.learned.scorer.embedding.model')),
    'rules.selection.learned.scorer.embedding.model',
    (spec) =>
      ofRules(spec, (rule) => [
        named(rule.selection.learned?.scorer.embedding?.model, ...LEARNED, 'scorer', 'embedding', 'model'),
      ]),
  ),
  ...(['of', 'weak', 'strong'] as const).map((field) =>
    inPool(
      forRules(`selection.learned.objective.${field}`, POOL_HAS(`r.selection.learned.objective.${field}`)),
      `rules.selection.learned.objective.${field}`,
      (spec) => ofRules(spec, (rule) => [named(rule.selection.learned?.objective[field], ...LEARNED, 'objective', field)]),
    ),
  ),
  inPool(
    forRules('selection.learned.objective.bands', `r.selection.learned.objective.bands.all(b, ${POOL_HAS('b.model')})`),
    'rules.selection.learned.objective.bands.model',
    (spec) =>
      ofRules(spec, (rule) =>
        (rule.selection.learned?.objective.bands ?? []).map((band, index) =>
          named(band.model, ...LEARNED, 'objective', 'bands', index, 'model'),
        ),
      ),
  ),
  inPool(
    `!has(self.rateLimits) || self.rateLimits.all(l, !has(l.onExceeded) || !has(l.onExceeded.to) || ${POOL_HAS('l.onExceeded.to')})`,
    'rateLimits.onExceeded.to',
    (spec) =>
      (spec.rateLimits ?? []).flatMap((limit, index) =>
        limit.onExceeded.to === undefined
          ? []
          : [{ path: ['rateLimits', index, 'onExceeded', 'to'], value: limit.onExceeded.to }],
      ),
  ),
);

const parentStatus = z.strictObject({
  parentRef: parentRefSchema.describe('Which LLMGateway.'),
  controllerName: text(253).describe('Who wrote this entry: `fairlead.dev/operator`.'),
  conditions: conditionsField(),
});

const status = z.strictObject({
  observedGeneration: count(0).optional().describe('The `metadata.generation` that this status is about.'),
  endpoint: text(512).optional().describe('Base URL for clients, e.g. `http://default.fairlead-system.svc:8080/v1`.'),
  models: z
    .strictObject({
      total: count(0, 1000).describe('Models in the pool.'),
      healthy: count(0, 1000).describe('Models that can serve now.'),
    })
    .optional()
    .describe('The pool in figures.'),
  conditions: conditionsField().describe('Accepted, ResolvedRefs, Programmed and Ready: the AND over all parents.'),
  parents: listOf(parentStatus, 0, 8).optional().describe('The same for each LLMGateway.'),
  backends: namedList(
    z.strictObject({
      name: entryName().describe('Name of an entry of `spec.models`.'),
      state: z.enum(['Healthy', 'Ejected', 'Probing', 'Unknown']).describe('Health as the gateway pods see it together.'),
      reason: text(64)
        .optional()
        .describe('Why it is not Healthy, e.g. `RateLimited`; `NoEndpoints`: no pod of its Service is ready.'),
      since: text(64).optional().meta({ format: 'date-time' }).describe('When it came into this state.'),
    }),
    'name',
    0,
    32,
  )
    .optional()
    .describe('Models that are not healthy; written on transitions.'),
  learned: namedList(
    z.strictObject({
      rule: entryName().describe('Name of a rule with learned selection.'),
      mode: z.enum(['Shadow', 'Active']).describe('Whether it decides (Active) or only records (Shadow).'),
      qualityLow: share().optional().describe('Lower confidence bound of the quality kept, e.g. "0.93".'),
      costShare: share().optional().describe('Cost as a share of what the most expensive target would have cost, e.g. "0.41".'),
    }),
    'rule',
    0,
    16,
  )
    .optional()
    .describe('What learned selection has found; rounded, written when a mode changes or once an hour.'),
});

export const llmRouteSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('LLMRoute'),
  metadata: metadataSchema,
  spec: llmRouteSpecSchema.describe(
    'The model names that clients may use, the pool behind them, and how one is chosen, limited and failed over.',
  ),
  status: status.optional().describe('What became of the spec. Written by the operator.'),
});

/** The models a client may name, the pool behind them, and how one is chosen, limited and failed over. */
export type LLMRoute = z.output<typeof llmRouteSchema>;
