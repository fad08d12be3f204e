import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import { OPERATION_PATHS, openAIExchange } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { AZURE_FAILURES } from './failure.ts';

/** https://learn.microsoft.com/azure/ai-foundry/openai/reference: no moderations, no variations. */
const MISSING: ReadonlySet<Operation> = new Set<Operation>(['moderations', 'images_variations']);

/** Versions of the undated API, which live below `/openai/v1`: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle */
const UNDATED: ReadonlySet<string> = new Set(['preview', 'latest', 'v1']);

/** No deployment may have these names, and as path segments they would leave the deployment's path. */
const DOT_SEGMENTS: ReadonlySet<string> = new Set(['', '.', '..']);

/** `baseUrl` is the resource's endpoint, `https://{resource}.openai.azure.com`. */
export const azureOpenAI: Provider = {
  kind: 'AzureOpenAI',
  exchange(target, operation) {
    return MISSING.has(operation) ? null : openAIExchange(target, operation, AZURE_FAILURES, pathOf(target, operation));
  },
};

/**
 * A dated version has the deployment in the path, but for Responses, which names it in the body as the undated API does for
 * everything.
 */
function pathOf(target: Target, operation: Operation): (clientModel: string) => string {
  const { apiVersion, model } = target;
  const path = OPERATION_PATHS[operation];
  if (apiVersion === null || UNDATED.has(apiVersion)) {
    const undated = `/openai/v1${path}${apiVersion === null || apiVersion === 'v1' ? '' : `?api-version=${apiVersion}`}`;
    return () => undated;
  }
  const query = `?api-version=${encodeURIComponent(apiVersion.toWellFormed())}`;
  if (operation === 'responses') return () => `/openai/responses${query}`;
  if (model === null) return (clientModel) => `/openai/deployments/${segment(clientModel)}${path}${query}`;
  const fixed = `/openai/deployments/${segment(model)}${path}${query}`;
  return () => fixed;
}

/** The client's name may be any text: half a surrogate pair cannot be encoded, and is no deployment's name either. */
function segment(name: string): string {
  return DOT_SEGMENTS.has(name) ? '_' : encodeURIComponent(name.toWellFormed());
}
