/** What must be refused, and in which words. */
import { fullBackend, fullGateway, fullQuota, fullRoute, type Draft } from './fixtures.ts';

const route = fullRoute();
const gateway = fullGateway();
const backend = fullBackend();
const quota = fullQuota();

/** Base, path, value there, the issue that must be among those reported. */
export type Violation = readonly [Draft, string, unknown, string];

export const LEARNED = 'spec.rules.1.selection.learned';
const LIMITS = 'spec.rateLimits';

/** At least one for every CEL rule of the CRDs; `parse.test.ts` holds that. */
export const VIOLATIONS: readonly Violation[] = [
  [route, 'spec.modelNames.0', 'a*b', 'spec.modelNames[0]: a model name is exact or ends in one *'],
  [route, 'spec.access.from', 'All', 'spec.access: tenants must be set exactly when from is Tenants'],
  [route, 'spec.access.tenants', undefined, 'spec.access: tenants must be set exactly when from is Tenants'],
  [route, 'spec.models.0.backendRef', { name: 'x' }, 'spec.models[0]: exactly one of backendRef and provider must be set'],
  [route, 'spec.models.1.backendRef', undefined, 'spec.models[1]: exactly one of backendRef and provider must be set'],
  [
    route,
    'spec.models.0.auth',
    undefined,
    'spec.models[0]: auth must be set with provider; write {type: None} where no credential is sent',
  ],
  ...[{ auth: { type: 'None' } }, { defaults: {} }, { unsupported: 'Drop' }].map((more): Violation => [
    route,
    'spec.models.1',
    { name: 'shared', backendRef: { name: 'x' }, ...more },
    "spec.models[1]: with backendRef only name may be set: auth, capacity, pricing, capabilities, tls, headers, defaults, override and unsupported are the LLMBackend's",
  ]),
  [
    route,
    'spec.models.0.provider',
    { type: 'AzureOpenAI' },
    'spec.models[0].provider: azureOpenAI must be set exactly when type is AzureOpenAI',
  ],
  [
    route,
    'spec.models.0.provider.type',
    'VertexAI',
    'spec.models[0].provider: vertexAI must be set exactly when type is VertexAI',
  ],
  [route, 'spec.models.0.provider.type', 'Bedrock', 'spec.models[0].provider: bedrock must be set exactly when type is Bedrock'],
  [
    route,
    'spec.models.3.provider.type',
    'OpenAI',
    'spec.models[3].provider: openAICompatible must be set exactly when type is OpenAICompatible',
  ],
  ...[
    ['openAI', 'OpenAI'],
    ['anthropic', 'Anthropic'],
    ['gemini', 'Gemini'],
    ['mistral', 'Mistral'],
    ['cohere', 'Cohere'],
  ].map(([member = '', type = '']): Violation => [
    backend,
    `spec.provider.${member}`,
    {},
    `spec.provider: ${member} may be set only when type is ${type}`,
  ]),
  [
    route,
    'spec.models.3.provider.openAICompatible.baseURL',
    'http://a',
    'spec.models[3].provider.openAICompatible: exactly one of baseURL and serviceRef must be set',
  ],
  [backend, 'spec.auth', { type: 'APIKey' }, 'spec.auth: apiKey must be set exactly when type is APIKey'],
  ...[
    ['aws', 'AWS'],
    ['gcp', 'GCP'],
  ].map(([member = '', type = '']): Violation => [
    backend,
    `spec.auth.${member}`,
    {},
    `spec.auth: ${member} may be set only when type is ${type}`,
  ]),
  [backend, 'spec.auth', { type: 'None', entra: {} }, 'spec.auth: entra may be set only when type is Entra'],
  [route, 'spec.models.0.tls', {}, 'spec.models[0].tls: at least one of caRef and serverName must be set'],

  [route, 'spec.rules.0.matches', undefined, 'spec.rules: the last rule, and only the last, must have no matches'],
  [route, 'spec.rules.0.matches', [], 'spec.rules: the last rule, and only the last, must have no matches'],
  [route, 'spec.rules.1.matches', [{ tools: true }], 'spec.rules: the last rule, and only the last, must have no matches'],
  [
    route,
    'spec.rules.0.matches',
    [{}],
    'spec.rules[0].matches[0]: a match must have at least one condition; a rule without matches takes every request',
  ],
  [
    route,
    'spec.rules.0.targets.1.model',
    'share',
    'spec.rules[0].targets[1].model: rules.targets.model must name an entry of spec.models ("share"; did you mean shared?)',
  ],
  [
    route,
    'spec.rules.0.failover.contentFilter.targets',
    ['x'],
    'spec.rules[0].failover.contentFilter.targets[0]: rules.failover.contentFilter.targets must name an entry of spec.models ("x")',
  ],
  [
    route,
    'spec.rules.0.failover.contentFilter.targets',
    undefined,
    'spec.rules[0].failover.contentFilter.targets: targets must be set when mode is Failover',
  ],
  [
    route,
    'spec.rules.0.failover.contextOverflow.targets',
    ['x'],
    'spec.rules[0].failover.contextOverflow.targets[0]: rules.failover.contextOverflow.targets must name an entry of spec.models ("x")',
  ],
  [
    route,
    'spec.rules.0.failover.contextOverflow.targets',
    undefined,
    'spec.rules[0].failover.contextOverflow.targets: targets must be set when mode is Failover',
  ],
  [
    route,
    'spec.rules.0.failover.timeouts.idle',
    '0s',
    'spec.rules[0].failover.timeouts.idle: a duration must be longer than zero',
  ],
  [
    route,
    'spec.rules.0.mirror.model',
    'x',
    'spec.rules[0].mirror.model: rules.mirror.model must name an entry of spec.models ("x")',
  ],
  [route, 'spec.rules.0.sessionAffinity.ttl', '10ms', 'spec.rules[0].sessionAffinity.ttl: must be at least 1s'],
  [
    route,
    'spec.rules.1.selection.strategy',
    undefined,
    'spec.rules[1].selection: learned must be set exactly when strategy is Learned',
  ],
  [
    route,
    'spec.rules.0.selection',
    { strategy: 'Learned' },
    'spec.rules[0].selection: learned must be set exactly when strategy is Learned',
  ],
  [
    route,
    `${LEARNED}.onError.use`,
    'x',
    'spec.rules[1].selection.learned.onError.use: rules.selection.learned.onError.use must name an entry of spec.models ("x")',
  ],
  [
    route,
    `${LEARNED}.scorer.type`,
    'ONNX',
    'spec.rules[1].selection.learned.scorer: lexical must be set exactly when type is Lexical',
  ],
  [route, `${LEARNED}.scorer.type`, 'ONNX', 'spec.rules[1].selection.learned.scorer: onnx must be set exactly when type is ONNX'],
  [
    route,
    `${LEARNED}.scorer.type`,
    'Embedding',
    'spec.rules[1].selection.learned.scorer: embedding must be set exactly when type is Embedding',
  ],
  [
    route,
    `${LEARNED}.scorer.type`,
    'External',
    'spec.rules[1].selection.learned.scorer: external must be set exactly when type is External',
  ],
  [
    route,
    `${LEARNED}.scorer`,
    { type: 'External', external: {} },
    'spec.rules[1].selection.learned.scorer.external: exactly one of url and serviceRef must be set',
  ],
  [
    route,
    `${LEARNED}.scorer`,
    { type: 'Embedding', embedding: { model: 'x', artifactRef: { name: 'a' } } },
    'spec.rules[1].selection.learned.scorer.embedding.model: rules.selection.learned.scorer.embedding.model must name an entry of spec.models ("x")',
  ],
  [
    route,
    `${LEARNED}.objective.qualityFloor`,
    undefined,
    'spec.rules[1].selection.learned.objective: qualityFloor, of must be set exactly when type is QualityFloor',
  ],
  [
    route,
    `${LEARNED}.objective.type`,
    'CostTarget',
    'spec.rules[1].selection.learned.objective: costShare must be set exactly when type is CostTarget',
  ],
  [
    route,
    `${LEARNED}.objective.weak`,
    'llama',
    'spec.rules[1].selection.learned.objective: threshold, weak, strong must be set exactly when type is Threshold',
  ],
  [
    route,
    `${LEARNED}.objective.type`,
    'Bands',
    'spec.rules[1].selection.learned.objective: bands must be set exactly when type is Bands',
  ],
  [
    route,
    `${LEARNED}.objective.of`,
    'x',
    'spec.rules[1].selection.learned.objective.of: rules.selection.learned.objective.of must name an entry of spec.models ("x")',
  ],
  ...['weak', 'strong'].map((field): Violation => [
    route,
    `${LEARNED}.objective`,
    { type: 'Threshold', threshold: '0.3', weak: 'llama', strong: 'azure', [field]: 'x' },
    `spec.rules[1].selection.learned.objective.${field}: rules.selection.learned.objective.${field} must name an entry of spec.models ("x")`,
  ]),
  [
    route,
    `${LEARNED}.objective`,
    {
      type: 'Bands',
      bands: [
        { upTo: '0.3', model: 'llama' },
        { upTo: '1', model: 'x' },
      ],
    },
    'spec.rules[1].selection.learned.objective.bands[1].model: rules.selection.learned.objective.bands.model must name an entry of spec.models ("x")',
  ],

  [
    route,
    `${LIMITS}.0.calendar`,
    { period: 'Day' },
    'spec.rateLimits[0]: exactly one of window and calendar must be set; for Concurrency neither',
  ],
  [
    route,
    `${LIMITS}.0.window`,
    undefined,
    'spec.rateLimits[0]: exactly one of window and calendar must be set; for Concurrency neither',
  ],
  [
    route,
    `${LIMITS}.1.window`,
    '1m',
    'spec.rateLimits[1]: exactly one of window and calendar must be set; for Concurrency neither',
  ],
  [route, `${LIMITS}.0.window`, '999ms', 'spec.rateLimits[0].window: must be at least 1s'],
  [
    route,
    `${LIMITS}.0.window`,
    '744h',
    'spec.rateLimits[0].window: must be at most 720h; calendar counts by the month or year',
  ],
  [
    route,
    `${LIMITS}.3.limit`,
    '0.00',
    'spec.rateLimits[3].limit: a limit of 0 USD admits nothing: write an amount above 0 like "0.25"',
  ],
  [
    route,
    `${LIMITS}.0.limit`,
    '600',
    'spec.rateLimits[0].limit: limit must be an integer for Requests, Tokens and Concurrency, and a decimal string like "500" for USD',
  ],
  [
    route,
    `${LIMITS}.3.limit`,
    500,
    'spec.rateLimits[3].limit: limit must be an integer for Requests, Tokens and Concurrency, and a decimal string like "500" for USD',
  ],
  [route, `${LIMITS}.2.header`, undefined, 'spec.rateLimits[2]: header must be set exactly when per has Header'],
  [route, `${LIMITS}.2.per`, undefined, 'spec.rateLimits[2]: header must be set exactly when per has Header'],
  [
    route,
    `${LIMITS}.3.onExceeded.to`,
    undefined,
    'spec.rateLimits[3].onExceeded: to must be set exactly when action is Downgrade',
  ],
  [
    route,
    `${LIMITS}.3.onExceeded.action`,
    undefined,
    'spec.rateLimits[3].onExceeded: to must be set exactly when action is Downgrade',
  ],
  [
    route,
    `${LIMITS}.3.onExceeded.to`,
    'lama',
    'spec.rateLimits[3].onExceeded.to: rateLimits.onExceeded.to must name an entry of spec.models ("lama"; did you mean llama?)',
  ],

  [
    quota,
    'spec.limits.0.onExceeded',
    { action: 'Downgrade', to: 'llama' },
    'spec.limits[0].onExceeded.action: limits.onExceeded.action of a quota must be Reject: it has no models to downgrade to ("Downgrade")',
  ],
  [quota, 'spec.limits.0.window', '744h', 'spec.limits[0].window: must be at most 720h; calendar counts by the month or year'],
  [
    quota,
    'spec.limits.3.limit',
    '0',
    'spec.limits[3].limit: a limit of 0 USD admits nothing: write an amount above 0 like "0.25"',
  ],

  [gateway, 'spec.replicas', 3, 'spec: replicas and autoscaling exclude each other'],
  [
    gateway,
    'spec',
    { autoscaling: { maxReplicas: 3 }, resources: { requests: { memory: '256Mi' } } },
    'spec: autoscaling by CPU needs cpu in resources.requests',
  ],
  [gateway, 'spec.autoscaling.maxReplicas', 2, 'spec.autoscaling: minReplicas must not be above maxReplicas'],
  [gateway, 'spec.redis.mode', undefined, 'spec.redis: sentinel must be set exactly when mode is Sentinel'],
  [gateway, 'spec.clientAuth.type', undefined, 'spec.clientAuth: jwt must be set exactly when type is JWT'],
  [
    gateway,
    'spec.allowedRoutes.namespaces.from',
    undefined,
    'spec.allowedRoutes.namespaces: selector must be set exactly when from is Selector',
  ],
  [
    gateway,
    'spec.allowedRoutes.namespaces.selector.matchExpressions.0.operator',
    'Exists',
    'spec.allowedRoutes.namespaces.selector.matchExpressions[0]: values must be set exactly when operator is In or NotIn',
  ],
];

/** What the schema itself says, not a rule. */
export const MALFORMED: readonly Violation[] = [
  [route, 'spec.modelName', ['x'], 'spec.modelName: unknown field "modelName"; did you mean modelNames?'],
  [route, 'spec.rules.0.targets.0.weigth', 1, 'spec.rules[0].targets[0].weigth: unknown field "weigth"; did you mean weight?'],
  [route, 'metadata.foo', 1, 'metadata.foo: unknown field "foo"'],
  [route, 'sepc', {}, 'sepc: unknown field "sepc"; did you mean spec?'],
  [route, 'spec.modelNames', undefined, 'spec.modelNames: is required; it must be a list'],
  [route, 'spec', null, 'spec: is required; it must be an object'],
  [route, 'spec.models', [], 'spec.models: has 0 entries; it must have at least 1'],
  [route, 'spec.rules.0.targets.0.weight', '80', 'spec.rules[0].targets[0].weight: "80" is a string; it must be a number'],
  [
    route,
    'spec.rules.0.matches.0.headers.0.value',
    true,
    'spec.rules[0].matches[0].headers[0].value: true is a boolean; it must be a string; put it in quotes',
  ],
  [
    route,
    'spec.rules.0.selection.strategy',
    'leastbusy',
    'spec.rules[0].selection.strategy: "leastbusy" is not supported; it must be one of Weighted, RoundRobin, LeastBusy, LowestLatency, LeastCost, Utility or Learned; did you mean LeastBusy?',
  ],
  [
    route,
    'spec.rateLimits.0.window',
    '1d',
    'spec.rateLimits[0].window: "1d" is not a duration like 500ms, 30s, 10m or 24h (there is no unit for days)',
  ],
  [
    route,
    'spec.models.0.pricing.input',
    '1e-6',
    'spec.models[0].pricing.input: "1e-6" is not a decimal string like "0.15" or "500"',
  ],
  [
    route,
    'spec.models.3.name',
    'claude',
    'spec.models[3].name: Duplicate value: "claude"; each name of this list may occur once',
  ],
  [quota, 'spec.limits.1.name', 'team', 'spec.limits[2].name: Duplicate value: "team"; each name of this list may occur once'],
  [quota, 'spec.targetRefs', [], 'spec.targetRefs: has 0 entries; it must have at least 1'],
  [
    quota,
    'spec.targetRefs.0.kind',
    'LLMBackend',
    'spec.targetRefs[0].kind: "LLMBackend" is not supported; it must be one of LLMGateway or LLMRoute',
  ],
  [quota, 'spec.limits.0.limit', 0, 'spec.limits[0].limit: 0 is out of range; it must be at least 1'],
  [
    quota,
    'spec.limits.3.limit',
    '0.00001',
    'spec.limits[3].limit: "0.00001" is not an amount like "500" or "0.25": up to four decimals, below 8 million',
  ],
  [route, 'spec.modelNames.1', 'chat', 'spec.modelNames[1]: Duplicate value: "chat"; each may occur once'],
  [
    route,
    'spec.rules.0.targets.1.model',
    'azure',
    'spec.rules[0].targets[1].model: Duplicate value: "azure"; each model of this list may occur once',
  ],
  [
    route,
    'metadata.name',
    'Chat',
    'metadata.name: "Chat" is not a name of lower-case letters, digits, - and ., beginning and ending with a letter or digit',
  ],
  [
    route,
    'metadata.labels',
    { 'a b': 'c' },
    'metadata.labels[a b]: the key "a b" is not a label key: write [prefix/]name, the name at most 63 characters of A-Z, a-z, 0-9, -, _ and .',
  ],
  [
    route,
    'kind',
    'LLMRout',
    'kind: "LLMRout" is not a kind that Fairlead reads (LLMRoute, LLMGateway, LLMBackend, LLMQuota, Secret, ConfigMap, Namespace, ReferenceGrant); did you mean LLMRoute?',
  ],
  [
    route,
    'apiVersion',
    'fairlead.dev/v1',
    'apiVersion: "fairlead.dev/v1" has no kind LLMRoute that Fairlead reads; it must be fairlead.dev/v1alpha1',
  ],
];
