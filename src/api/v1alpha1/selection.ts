/** How a target is chosen within a tier, and what learned selection is told. */
import { z } from 'zod';

import { unionRules, withRules } from '../cel.ts';
import { serviceRefSchema } from './common.ts';
import { dataKey, duration, entryName, httpUrl, listOf, objectName, share, text } from './fields.ts';

const artifactRef = z.strictObject({
  kind: z.enum(['ConfigMap']).default('ConfigMap').describe('What holds the artifact. Default: ConfigMap.'),
  name: objectName().describe('Its name, in the same namespace, e.g. `chat-router`.'),
  key: dataKey().default('router.json').describe('Key in its data. Default: `router.json`.'),
});

const external = withRules(
  z.strictObject({
    url: httpUrl().optional().describe('Where scores are asked for by POST, e.g. `https://scorer.example.com/score`.'),
    serviceRef: serviceRefSchema
      .optional()
      .describe('A Service of the same namespace that is asked instead; its `path` is the whole path.'),
  }),
  {
    rule: 'has(self.url) != has(self.serviceRef)',
    message: 'exactly one of url and serviceRef must be set',
    check: (value) => (value.url !== undefined) !== (value.serviceRef !== undefined),
  },
);

const scorerFields = z.strictObject({
  type: z
    .enum(['Lexical', 'Embedding', 'ONNX', 'External'])
    .describe(
      "What predicts each model's quality for a prompt: Lexical (n-grams and structure of the text, no network), Embedding (an /v1/embeddings endpoint), ONNX (a mounted model) or External (an HTTP service).",
    ),
  lexical: z
    .strictObject({ artifactRef: artifactRef.describe('The trained router, as `fairlead router train` writes it.') })
    .optional()
    .describe('Settings for Lexical.'),
  embedding: z
    .strictObject({
      model: entryName().describe('Name of the entry of `spec.models` that serves /v1/embeddings.'),
      artifactRef: artifactRef.describe('The labelled examples or clusters, as `fairlead router train` writes them.'),
    })
    .optional()
    .describe('Settings for Embedding.'),
  onnx: z
    .strictObject({ path: text(512, '^/[!-~]*$').describe('File of the model in the gateway pods, e.g. `/models/router.onnx`.') })
    .optional()
    .describe('Settings for ONNX.'),
  external: external.optional().describe('Settings for External.'),
});

const scorer = withRules(
  scorerFields,
  ...unionRules<z.output<typeof scorerFields>>('type', [
    { type: 'Lexical', member: 'lexical', presence: 'required' },
    { type: 'Embedding', member: 'embedding', presence: 'required' },
    { type: 'ONNX', member: 'onnx', presence: 'required' },
    { type: 'External', member: 'external', presence: 'required' },
  ]),
);

const band = z.strictObject({
  upTo: share().describe('Upper end of the band of predicted difficulty, from "0" to "1", itself excluded, e.g. "0.3".'),
  model: entryName().describe('Name of the entry of `spec.models` that answers prompts of this band.'),
});

const objectiveFields = z.strictObject({
  type: z
    .enum(['QualityFloor', 'CostTarget', 'Threshold', 'Bands'])
    .describe(
      "What is held: QualityFloor (at least a share of one model's quality, at the least cost), CostTarget (a share of the cost, at the best quality), Threshold (a strong model above a predicted gain, a weak one below) or Bands (a model for each band of difficulty).",
    ),
  qualityFloor: share()
    .optional()
    .describe('For QualityFloor: the share of the quality of `of` that is kept, with statistical confidence, e.g. "0.95".'),
  of: entryName().optional().describe('For QualityFloor: name of the entry of `spec.models` that quality is measured against.'),
  costShare: share()
    .optional()
    .describe('For CostTarget: cost at most, as a share of what the most expensive target would cost, e.g. "0.4".'),
  threshold: share().optional().describe('For Threshold: the predicted gain from which `strong` answers, e.g. "0.3".'),
  weak: entryName().optional().describe('For Threshold: name of the entry of `spec.models` that answers below it.'),
  strong: entryName().optional().describe('For Threshold: name of the entry of `spec.models` that answers from it on.'),
  bands: listOf(band, 1, 8).optional().describe('For Bands: ascending by `upTo`; the last reaches "1".'),
});

const OBJECTIVE_FIELDS = {
  QualityFloor: ['qualityFloor', 'of'],
  CostTarget: ['costShare'],
  Threshold: ['threshold', 'weak', 'strong'],
  Bands: ['bands'],
} as const;

type Objective = z.output<typeof objectiveFields>;

function objectiveRule(type: Objective['type']): { rule: string; message: string; check(value: Objective): boolean } {
  const fields = OBJECTIVE_FIELDS[type];
  return {
    rule: fields.map((field) => `(self.type == '${type}') == has(self.${field})`).join(' && '),
    message: `${fields.join(', ')} must be set exactly when type is ${type}`,
    check: (value) => fields.every((field) => (value.type === type) === (value[field] !== undefined)),
  };
}

const objective = withRules(
  objectiveFields,
  objectiveRule('QualityFloor'),
  objectiveRule('CostTarget'),
  objectiveRule('Threshold'),
  objectiveRule('Bands'),
);

const learned = z.strictObject({
  scorer: scorer.describe("What predicts each model's quality for a prompt."),
  objective: objective.describe('What is held.'),
  mode: z
    .enum(['Auto', 'Shadow', 'Active'])
    .default('Auto')
    .describe(
      'Auto (Shadow until the evidence clears the objective, then Active), Shadow (decides and records, but sends to the strategy Weighted) or Active. Default: Auto.',
    ),
  onError: z
    .strictObject({ use: entryName().describe('Name of the entry of `spec.models` that answers.') })
    .optional()
    .describe('What answers when the scorer fails or is late. Default: the first target of the tier.'),
  deadline: duration().default('30ms').describe('How long the scorer may take. Default: 30ms.'),
});

const selectionFields = z.strictObject({
  strategy: z
    .enum(['Weighted', 'RoundRobin', 'LeastBusy', 'LowestLatency', 'LeastCost', 'Utility', 'Learned'])
    .default('Weighted')
    .describe(
      'Weighted (by `weight`), RoundRobin (in turn), LeastBusy (in flight over capacity), LowestLatency (time to first token), LeastCost (estimated cost of this request), Utility (quality against cost and latency) or Learned (predicted quality for this prompt). Default: Weighted.',
    ),
  learned: learned.optional().describe('Settings for Learned.'),
});

export const selectionSchema = withRules(
  selectionFields,
  ...unionRules<z.output<typeof selectionFields>>('strategy', [{ type: 'Learned', member: 'learned', presence: 'required' }]),
);

export type Learned = z.output<typeof learned>;
