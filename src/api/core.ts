/** What Fairlead reads of Kubernetes' own kinds: their known fields are accepted, unknown ones refused, and only these views kept. */
import { z } from 'zod';

import { SecretValue } from '../lib/secret.ts';
import { clusterMetadataSchema, metadataSchema } from './v1alpha1/common.ts';

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Go's decoder skips line breaks, so wrapped base64 is as good. */
function base64(hint: string): z.ZodString {
  return z.string().refine((value) => BASE64.test(value.replace(/[\r\n]/g, '')), `must be base64; ${hint}`);
}

const dataKey = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[-._a-zA-Z0-9]+$/, 'is not a data key: use letters, digits, -, _ and .');
const unread = z.unknown().optional();

/**
 * `data` holds every value decoded as UTF-8, `stringData` merged over `data` as the API server does it. Values print as [redacted].
 */
export const secretSchema = z
  .strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('Secret'),
    metadata: metadataSchema,
    type: z.string().optional(),
    immutable: z.boolean().optional(),
    data: z.record(dataKey, base64('write plain text under stringData')).default({}),
    stringData: z.record(dataKey, z.string()).default({}),
  })
  .transform(({ apiVersion, kind, metadata, type = 'Opaque', data, stringData }) => {
    const values: Record<string, SecretValue> = {};
    for (const [key, encoded] of Object.entries(data))
      values[key] = new SecretValue(Buffer.from(encoded, 'base64').toString('utf8'));
    for (const [key, plain] of Object.entries(stringData)) values[key] = new SecretValue(plain);
    const readonlyValues: Readonly<Record<string, SecretValue>> = values;
    return { apiVersion, kind, metadata, type, data: readonlyValues };
  });

export const configMapSchema = z
  .strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('ConfigMap'),
    metadata: metadataSchema,
    immutable: z.boolean().optional(),
    data: z.record(dataKey, z.string()).default({}),
    binaryData: z.record(dataKey, base64('write plain text under data')).default({}),
  })
  .transform(({ apiVersion, kind, metadata, data }) => ({ apiVersion, kind, metadata, data }));

/** Cluster-scoped: its `metadata.namespace` is ''. */
export const namespaceSchema = z
  .strictObject({
    apiVersion: z.literal('v1'),
    kind: z.literal('Namespace'),
    metadata: clusterMetadataSchema,
    spec: unread,
    status: unread,
  })
  .transform(({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }));

/** Gateway API's ReferenceGrant: objects in `from` may refer to objects of its own namespace named by `to`. */
export const referenceGrantSchema = z.strictObject({
  apiVersion: z.enum(['gateway.networking.k8s.io/v1beta1', 'gateway.networking.k8s.io/v1']),
  kind: z.literal('ReferenceGrant'),
  metadata: metadataSchema,
  spec: z.strictObject({
    from: z
      .array(
        z.strictObject({ group: z.string().max(253), kind: z.string().min(1).max(63), namespace: z.string().min(1).max(63) }),
      )
      .min(1)
      .max(16),
    to: z
      .array(
        z.strictObject({
          group: z.string().max(253),
          kind: z.string().min(1).max(63),
          name: z.string().min(1).max(253).optional(),
        }),
      )
      .min(1)
      .max(16),
  }),
});

export type Secret = z.output<typeof secretSchema>;
export type ConfigMap = z.output<typeof configMapSchema>;
export type Namespace = z.output<typeof namespaceSchema>;
export type ReferenceGrant = z.output<typeof referenceGrantSchema>;
