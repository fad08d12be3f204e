/** The LLMGateway of a laptop: serves where the files have none, in place of whatever gateway a route names. */
import type { ApiObject } from '../api/parse.ts';
import { parseObject } from '../api/parse.ts';
import { API_VERSION } from '../api/v1alpha1/common.ts';
import type { LLMGateway } from '../api/v1alpha1/llmgateway.ts';
import { API_KEY_LABEL } from '../auth/new-key.ts';
import { formatIssue } from '../lib/issue.ts';

/** So that keys of files without namespaces are platform keys, which may name a tenant. */
const NAMESPACE = 'default';

export const STAND_IN_WITHOUT_KEYS = standIn('None');
export const STAND_IN_WITH_KEYS = standIn('APIKey');

/** A Secret that the stand-in takes for a client key. */
export function isClientKey(object: ApiObject): boolean {
  return object.kind === 'Secret' && object.metadata.labels[API_KEY_LABEL] === 'true';
}

function standIn(clientAuth: 'APIKey' | 'None'): LLMGateway {
  const parsed = parseObject({
    apiVersion: API_VERSION,
    kind: 'LLMGateway',
    metadata: { name: 'default', namespace: NAMESPACE, annotations: { 'fairlead.dev/is-default-gateway': 'true' } },
    spec: { clientAuth: { type: clientAuth }, allowedRoutes: { namespaces: { from: 'All' } }, drain: { timeout: '10s' } },
  });
  if (!parsed.ok) throw new Error(`the stand-in gateway is not valid: ${parsed.error.map(formatIssue).join('; ')}`);
  if (parsed.value.kind !== 'LLMGateway') throw new Error(`the stand-in gateway is a ${parsed.value.kind}`);
  return parsed.value;
}
