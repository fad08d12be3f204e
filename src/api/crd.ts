/** The CustomResourceDefinitions, made from the schemas. Pure; `cmd/generate` writes them to `crds/`. */
import type { z } from 'zod';

import { toStructural, type StructuralSchema } from './structural.ts';
import { GROUP, VERSION } from './v1alpha1/common.ts';
import { llmBackendSchema } from './v1alpha1/llmbackend.ts';
import { llmGatewaySchema } from './v1alpha1/llmgateway.ts';
import { llmQuotaSchema } from './v1alpha1/llmquota.ts';
import { llmRouteSchema } from './v1alpha1/llmroute.ts';

interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** 1: with `-o wide` only. */
  readonly priority?: 1;
}

export interface KindDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  readonly schema: z.ZodObject;
  readonly columns: readonly Column[];
}

const AGE: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Since when it exists.' };
const REASON: Column = {
  name: 'Reason',
  type: 'string',
  jsonPath: '.status.conditions[?(@.status!="True")].reason',
  description: 'Reason of the first condition that is not True.',
  priority: 1,
};

function conditionColumn(type: string, description: string): Column {
  return { name: type, type: 'string', jsonPath: `.status.conditions[?(@.type=="${type}")].status`, description };
}

export const KINDS: readonly KindDefinition[] = [
  {
    kind: 'LLMRoute',
    plural: 'llmroutes',
    shortName: 'llmr',
    description:
      'LLMRoute is a set of model names that clients may call, the pool of models behind them, and how one is chosen, limited and failed over. With the Secret of its keys it is a working endpoint.',
    schema: llmRouteSchema,
    columns: [
      { name: 'Models', type: 'integer', jsonPath: '.status.models.total', description: 'Models in the pool.' },
      { name: 'Healthy', type: 'integer', jsonPath: '.status.models.healthy', description: 'Models that can serve now.' },
      conditionColumn('Programmed', 'Whether every ready gateway pod serves it as it is now.'),
      conditionColumn('Ready', 'Whether each rule has a target that can serve.'),
      { name: 'Endpoint', type: 'string', jsonPath: '.status.endpoint', description: 'Base URL for clients.' },
      {
        name: 'Gateway',
        type: 'string',
        jsonPath: '.status.parents[0].parentRef.name',
        description: 'The LLMGateway that serves it.',
        priority: 1,
      },
      REASON,
      AGE,
    ],
  },
  {
    kind: 'LLMGateway',
    plural: 'llmgateways',
    shortName: 'llmgw',
    description:
      'LLMGateway is a fleet of gateway pods. The one that bears the annotation fairlead.dev/is-default-gateway: "true" serves the routes that name none.',
    schema: llmGatewaySchema,
    columns: [
      { name: 'Replicas', type: 'integer', jsonPath: '.status.replicas', description: 'Pods that are ready.' },
      {
        name: 'Current',
        type: 'integer',
        jsonPath: '.status.programmed',
        description: 'Pods that serve the newest configuration.',
      },
      conditionColumn('Programmed', 'Whether every ready pod serves the newest configuration.'),
      { name: 'Endpoint', type: 'string', jsonPath: '.status.endpoint', description: 'Base URL for clients.' },
      REASON,
      AGE,
    ],
  },
  {
    kind: 'LLMBackend',
    plural: 'llmbackends',
    shortName: 'llmb',
    description:
      "LLMBackend is a model promoted to an object, so that many routes and teams share one deployment's credentials, capacity and price. Routes of other namespaces need a ReferenceGrant.",
    schema: llmBackendSchema,
    columns: [
      { name: 'Provider', type: 'string', jsonPath: '.spec.provider.type', description: 'What is spoken upstream.' },
      { name: 'State', type: 'string', jsonPath: '.status.state', description: 'Health as the gateway pods see it together.' },
      { name: 'Reason', type: 'string', jsonPath: '.status.reason', description: 'Why it is not Healthy.', priority: 1 },
      AGE,
    ],
  },
  {
    kind: 'LLMQuota',
    plural: 'llmquotas',
    shortName: 'llmq',
    description:
      "LLMQuota is limits that a platform sets over all routes of its LLMGateways, or over some of them, counted together and in addition to each route's own.",
    schema: llmQuotaSchema,
    columns: [
      { name: 'Over', type: 'string', jsonPath: '.spec.targetRefs[0].kind', description: 'Kind of its first target.' },
      { name: 'Target', type: 'string', jsonPath: '.spec.targetRefs[0].name', description: 'Name of its first target.' },
      { name: 'Limit', type: 'string', jsonPath: '.spec.limits[0].name', description: 'Name of its first limit.' },
      conditionColumn('Programmed', 'Whether every ready gateway pod holds it as it is now.'),
      REASON,
      AGE,
    ],
  },
];

const TYPE_META: Readonly<Record<string, StructuralSchema>> = {
  apiVersion: { description: `Version of the schema: ${GROUP}/${VERSION}.`, type: 'string' },
  kind: { description: 'What this object is.', type: 'string' },
  // The API server's own: it refuses a schema that says more, a description included.
  metadata: { type: 'object' },
};

/** Schema of a whole object; metadata is the API server's own affair. */
export function objectSchema(definition: KindDefinition): StructuralSchema {
  const { properties = {}, required = [] } = toStructural(definition.schema);
  const typed = new Set(Object.keys(TYPE_META));
  const rest = required.filter((name) => !typed.has(name));
  return {
    description: definition.description,
    type: 'object',
    ...(rest.length === 0 ? {} : { required: rest }),
    properties: { ...properties, ...TYPE_META },
  };
}

export function customResourceDefinition(definition: KindDefinition): Readonly<Record<string, unknown>> {
  const { kind, plural, shortName, columns } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ['fairlead'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: objectSchema(definition) },
        },
      ],
    },
  };
}
