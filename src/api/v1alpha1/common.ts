/** What every kind shares: metadata, references, conditions. */
import { z } from 'zod';

import { withRules } from '../cel.ts';
import { count, dataKey, durationMs, listOf, mapOf, namespaceName, objectName, text } from './fields.ts';

export const GROUP = 'fairlead.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

const LABEL_NAME = '([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)';
const LABEL_KEY = new RegExp(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?${LABEL_NAME}$`);
const LABEL_VALUE = new RegExp(`^${LABEL_NAME}?$`);

function labelKey(): z.ZodString {
  return z
    .string()
    .regex(LABEL_KEY, 'is not a label key: write [prefix/]name, the name at most 63 characters of A-Z, a-z, 0-9, -, _ and .');
}

function labelValue(): z.ZodString {
  return z
    .string()
    .regex(
      LABEL_VALUE,
      'is not a label value: at most 63 characters of A-Z, a-z, 0-9, -, _ and ., beginning and ending with a letter or digit',
    );
}

/** What the API server adds to metadata and we have no use for: accepted, so that `kubectl get -o yaml` can be read back. */
const ignored = z.unknown().optional();

const metadataFields = {
  name: objectName(),
  labels: z.record(labelKey(), labelValue()).default({}),
  annotations: z.record(labelKey(), z.string()).default({}),
  generation: z.int().optional(),
  creationTimestamp: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: ignored,
  generateName: ignored,
  selfLink: ignored,
  deletionTimestamp: ignored,
  deletionGracePeriodSeconds: ignored,
  finalizers: ignored,
  ownerReferences: ignored,
  managedFields: ignored,
};

/** The CRD leaves metadata to the API server; this is how a file is held to the same. */
export const metadataSchema = z
  .strictObject({ ...metadataFields, namespace: namespaceName().default('default') })
  .transform(kept);

/** For cluster-scoped kinds: the namespace is ''. */
export const clusterMetadataSchema = z.strictObject(metadataFields).transform((metadata) => kept({ ...metadata, namespace: '' }));

type Metadata = { namespace: string } & z.output<z.ZodObject<typeof metadataFields>>;

function kept({ name, namespace, labels, annotations, generation, creationTimestamp, uid }: Metadata): ObjectMeta {
  return {
    name,
    namespace,
    labels,
    annotations,
    ...(generation === undefined ? {} : { generation }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(uid === undefined ? {} : { uid }),
  };
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Absent on the laptop. */
  readonly generation?: number;
  /** RFC 3339; absent on the laptop. */
  readonly creationTimestamp?: string;
  readonly uid?: string;
}

/** A duration of at least one second: what counters and caches work in. */
export function atLeastOneSecond(schema: z.ZodString): z.ZodString {
  return withRules(schema, {
    rule: "duration(self) >= duration('1s')",
    message: 'must be at least 1s',
    check: (value) => (durationMs(value) ?? 1000) >= 1000,
  });
}

export function atMostThirtyDays(schema: z.ZodString): z.ZodString {
  return withRules(schema, {
    rule: "duration(self) <= duration('720h')",
    message: 'must be at most 720h; calendar counts by the month or year',
    check: (value) => (durationMs(value) ?? 0) <= 720 * 3_600_000,
  });
}

export function secretKeyRef(
  defaultKey: string,
): z.ZodObject<{ name: z.ZodString; key: z.ZodDefault<z.ZodString> }, z.core.$strict> {
  return z.strictObject({
    name: objectName().describe('Name of a Secret in the same namespace, e.g. `azure-openai`.'),
    key: dataKey().default(defaultKey).describe(`Key in the Secret's data whose value is read. Default: \`${defaultKey}\`.`),
  });
}

export const secretRefSchema = z.strictObject({
  name: objectName().describe('Name of a Secret in the same namespace.'),
});

export function configMapKeyRef(
  defaultKey: string,
): z.ZodObject<{ name: z.ZodString; key: z.ZodDefault<z.ZodString> }, z.core.$strict> {
  return z.strictObject({
    name: objectName().describe('Name of a ConfigMap in the same namespace.'),
    key: dataKey().default(defaultKey).describe(`Key in the ConfigMap's data whose value is read. Default: \`${defaultKey}\`.`),
  });
}

export const serviceRefSchema = z.strictObject({
  name: text(63, '^[a-z]([-a-z0-9]*[a-z0-9])?$').describe(
    'Name of a Service in the same namespace, e.g. `vllm`. Each address of its EndpointSlices is a target with its own health.',
  ),
  port: count(1, 65_535).describe('Port of the Service, by number, e.g. 8000.'),
  path: text(256, '^/[!-~]*$').default('/v1').describe('Path under which the API is served. Default: `/v1`.'),
});

const selectorRequirement = withRules(
  z.strictObject({
    key: text(317).describe('Label key that the requirement is about.'),
    operator: z
      .enum(['In', 'NotIn', 'Exists', 'DoesNotExist'])
      .describe("How the label's value is compared: In and NotIn need `values`; Exists and DoesNotExist take none."),
    values: listOf(z.string().max(63).describe('A label value.'), 1, 16).optional().describe('The values for In and NotIn.'),
  }),
  {
    rule: "(self.operator == 'In' || self.operator == 'NotIn') == has(self.values)",
    message: 'values must be set exactly when operator is In or NotIn',
    check: ({ operator, values }) => (operator === 'In' || operator === 'NotIn') === (values !== undefined),
  },
);

export const labelSelectorSchema = z.strictObject({
  matchLabels: mapOf(z.string().max(63).describe('The value the label must have.'), 16)
    .optional()
    .describe('Labels that must all be present with these values.'),
  matchExpressions: listOf(selectorRequirement, 0, 16).optional().describe('Requirements that must all hold.'),
});
export type LabelSelector = z.output<typeof labelSelectorSchema>;

/** Kubernetes' metav1.Condition. */
export const conditionSchema = z.strictObject({
  type: text(316).describe('Kind of the condition, in UpperCamel, e.g. `Programmed`.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  observedGeneration: count(0)
    .optional()
    .describe('The `metadata.generation` this was decided on; older than the object: it is not yet decided.'),
  lastTransitionTime: text(64)
    .optional()
    .meta({ format: 'date-time' })
    .describe('When `status` last changed. It does not move while the status stays.'),
  reason: text(1024).describe('One word, in UpperCamel, that says why; stable, for programs, e.g. `SecretNotFound`.'),
  message: z.string().max(4096).optional().describe('For a person: names what is wrong and what would be right.'),
});
export type Condition = z.output<typeof conditionSchema>;

export function conditionsField(): z.ZodOptional<z.ZodArray<typeof conditionSchema>> {
  return z
    .array(conditionSchema)
    .max(16)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional()
    .describe('What `kubectl wait --for=condition=…` reads, one entry a type.');
}

export const parentRefSchema = z.strictObject({
  name: objectName().describe('Name of an LLMGateway, e.g. `default`.'),
  namespace: namespaceName().optional().describe("Its namespace. Default: the route's own."),
});
