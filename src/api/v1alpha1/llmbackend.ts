import { z } from 'zod';

import { API_VERSION, conditionsField, metadataSchema } from './common.ts';
import { count, text } from './fields.ts';
import { backendSpecSchema } from './model.ts';

const status = z.strictObject({
  observedGeneration: count(0).optional().describe('The `metadata.generation` that this status is about.'),
  state: z.enum(['Healthy', 'Ejected', 'Probing', 'Unknown']).optional().describe('Health as the gateway pods see it together.'),
  reason: text(64)
    .optional()
    .describe('Why it is not Healthy, e.g. `RateLimited`; `NoEndpoints`: no pod of its Service is ready.'),
  since: text(64).optional().meta({ format: 'date-time' }).describe('When it came into this state.'),
  conditions: conditionsField(),
});

export const llmBackendSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('LLMBackend'),
  metadata: metadataSchema,
  spec: backendSpecSchema.describe(
    "The deployment behind it: an entry of LLMRoute's `spec.models`, word for word, without `name` and `backendRef`.",
  ),
  status: status.optional().describe('What the gateway pods see of it. Written by the operator, on transitions only.'),
});

/** A model promoted to an object, so that many routes and teams share one deployment's credentials, capacity and price. */
export type LLMBackend = z.output<typeof llmBackendSchema>;
