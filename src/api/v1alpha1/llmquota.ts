import { z } from 'zod';

import { withRules } from '../cel.ts';
import { API_VERSION, conditionsField, metadataSchema } from './common.ts';
import { count, listOf, namedList, namespaceName, objectName } from './fields.ts';
import { rateLimitSchema } from './ratelimit.ts';

const targetRef = z.strictObject({
  kind: z.enum(['LLMGateway', 'LLMRoute']).describe('LLMGateway: every route that it serves. LLMRoute: that route.'),
  name: objectName().describe('Its name, e.g. `default`.'),
  namespace: namespaceName()
    .optional()
    .describe(
      "Its namespace. An LLMGateway must be of the quota's own; an LLMRoute of another namespace is limited at the LLMGateways of the quota's. Default: the quota's own.",
    ),
});

const specFields = z.strictObject({
  targetRefs: listOf(targetRef, 1, 16).describe('What is limited: all that these targets answer, together.'),
  limits: namedList(rateLimitSchema, 'name', 1, 16).describe(
    "As LLMRoute's `rateLimits`, in addition to those of each route; `per: [Route]` counts the routes apart. Clients, status and metrics see `namespace/quota/limit` as their names.",
  ),
});

export const llmQuotaSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('LLMQuota'),
  metadata: metadataSchema,
  spec: withRules(specFields, {
    rule: "self.limits.all(l, !has(l.onExceeded) || !has(l.onExceeded.action) || l.onExceeded.action == 'Reject')",
    message: 'limits.onExceeded.action of a quota must be Reject: it has no models to downgrade to',
    check: (spec) =>
      spec.limits.flatMap(({ onExceeded }, index) =>
        onExceeded.action === 'Reject'
          ? []
          : [{ path: ['limits', index, 'onExceeded', 'action'], value: onExceeded.action, allowed: ['Reject'] }],
      ),
  }).describe('Limits, and what they are of.'),
  status: z
    .strictObject({
      observedGeneration: count(0).optional().describe('The `metadata.generation` that this status is about.'),
      conditions: conditionsField(),
    })
    .optional()
    .describe('What became of the spec. Written by the operator.'),
});

/** Limits that a platform sets over gateways and routes, beside those that routes set themselves. */
export type LLMQuota = z.output<typeof llmQuotaSchema>;
