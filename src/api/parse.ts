/** `unknown` → a typed object with its defaults, or what is wrong with it. As strict as the API server with `fieldValidation=Strict`. */
import type { z } from 'zod';

import { issue, type Issue } from '../lib/issue.ts';
import { err, ok, type Result } from '../lib/result.ts';
import {
  configMapSchema,
  namespaceSchema,
  referenceGrantSchema,
  secretSchema,
  type ConfigMap,
  type Namespace,
  type ReferenceGrant,
  type Secret,
} from './core.ts';
import { explainIssue } from './explain-issue.ts';
import { nearest } from './nearest.ts';
import { isPlainObject, withoutNulls } from './schema-walk.ts';
import { API_VERSION, GROUP } from './v1alpha1/common.ts';
import { llmBackendSchema, type LLMBackend } from './v1alpha1/llmbackend.ts';
import { llmGatewaySchema, type LLMGateway } from './v1alpha1/llmgateway.ts';
import { llmQuotaSchema, type LLMQuota } from './v1alpha1/llmquota.ts';
import { llmRouteSchema, type LLMRoute } from './v1alpha1/llmroute.ts';

export type ApiObject = LLMRoute | LLMGateway | LLMBackend | LLMQuota | Secret | ConfigMap | Namespace | ReferenceGrant;

interface Kind {
  readonly apiVersions: readonly string[];
  readonly schema: z.ZodType<ApiObject>;
  /** False where a message must not quote what it is about. */
  readonly showValues: boolean;
}

const CORE_VERSIONS = ['v1'];

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['LLMRoute', { apiVersions: [API_VERSION], schema: llmRouteSchema, showValues: true }],
  ['LLMGateway', { apiVersions: [API_VERSION], schema: llmGatewaySchema, showValues: true }],
  ['LLMBackend', { apiVersions: [API_VERSION], schema: llmBackendSchema, showValues: true }],
  ['LLMQuota', { apiVersions: [API_VERSION], schema: llmQuotaSchema, showValues: true }],
  ['Secret', { apiVersions: CORE_VERSIONS, schema: secretSchema, showValues: false }],
  ['ConfigMap', { apiVersions: CORE_VERSIONS, schema: configMapSchema, showValues: true }],
  ['Namespace', { apiVersions: CORE_VERSIONS, schema: namespaceSchema, showValues: true }],
  [
    'ReferenceGrant',
    {
      apiVersions: ['gateway.networking.k8s.io/v1beta1', 'gateway.networking.k8s.io/v1'],
      schema: referenceGrantSchema,
      showValues: true,
    },
  ],
]);

/**
 * Never throws. The issues are all that one pass can tell: rules over several fields are checked only where the fields they look
 * at are well-formed, as the API server does it.
 */
export function parseObject(value: unknown): Result<ApiObject, readonly Issue[]> {
  if (!isPlainObject(value))
    return err([issue('', 'Invalid', 'is not a Kubernetes object: it must be a map with apiVersion, kind, metadata and spec')]);
  const { apiVersion, kind } = value;
  if (typeof apiVersion !== 'string' || apiVersion === '')
    return err([issue('apiVersion', 'Invalid', `is required, e.g. ${API_VERSION}`)]);
  if (typeof kind !== 'string' || kind === '') return err([issue('kind', 'Invalid', 'is required, e.g. LLMRoute')]);
  const known = KINDS.get(kind);
  if (known === undefined) return err([issue('kind', 'Invalid', unknownKind(kind))]);
  if (!known.apiVersions.includes(apiVersion)) {
    return err([
      issue(
        'apiVersion',
        'Invalid',
        `${JSON.stringify(apiVersion)} has no kind ${kind} that Fairlead reads; it must be ${known.apiVersions.join(' or ')}`,
      ),
    ]);
  }
  const { schema, showValues } = known;
  const given = hasNull(value) ? withoutNulls(value, schema) : value;
  const parsed = schema.safeParse(given);
  if (parsed.success) return ok(parsed.data);
  const reason = apiVersion.startsWith(`${GROUP}/`) ? 'InvalidSpec' : 'Invalid';
  return err(
    withoutFollowUps(parsed.error.issues).flatMap((found) => explainIssue(found, { schema, value: given, reason, showValues })),
  );
}

/** A text where a list belongs is not "too long" as well: of a value of the wrong type nothing else is said. */
function withoutFollowUps(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  const keyOf = ({ path }: z.core.$ZodIssue): string => JSON.stringify(path);
  const mistyped = new Set(issues.filter(({ code }) => code === 'invalid_type').map(keyOf));
  return issues.filter((found) => found.code === 'invalid_type' || !mistyped.has(keyOf(found)));
}

/** Hardly any object has one, and to look is cheaper than to follow its schema; deeper than any schema, what is there stays. */
function hasNull(value: unknown, levels = MAX_SCHEMA_LEVELS): boolean {
  if (typeof value !== 'object') return false;
  return value === null || (levels > 0 && Object.values(value).some((member) => hasNull(member, levels - 1)));
}

const MAX_SCHEMA_LEVELS = 32;

function unknownKind(kind: string): string {
  const meant = nearest(kind, [...KINDS.keys()]);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return `${JSON.stringify(kind)} is not a kind that Fairlead reads (${[...KINDS.keys()].join(', ')})${hint}`;
}
