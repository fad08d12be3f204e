import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import { chatDialect } from '../openai/chat-dialect.ts';
import { OPENAI_STYLE } from '../openai/chat-request.ts';
import { isOpenAIOperation, type OpenAIOperation, OPERATION_PATHS, openAIExchange, overChat } from '../openai/exchange.ts';
import { OPENAI_LACKS } from '../openai/provider.ts';
import type { Provider } from '../provider.ts';
import { segment } from '../shared/path.ts';
import { AZURE_FAILURES } from './failure.ts';
import { AZURE_HEADROOM } from './headroom.ts';

/** https://learn.microsoft.com/azure/ai-foundry/openai/reference: no moderations, no variations. */
const MISSING: ReadonlySet<Operation> = new Set<Operation>(['moderations', 'images_variations']);

/** Versions of the undated API, which live below `/openai/v1`: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle */
const UNDATED: ReadonlySet<string> = new Set(['preview', 'latest', 'v1']);

const NAMED_IN_BODY: ReadonlySet<Operation> = new Set<Operation>(['responses', 'files', 'batches']);

const CHAT = chatDialect(AZURE_FAILURES, OPENAI_STYLE, OPENAI_LACKS);

/** `baseUrl` is the resource's endpoint, `https://{resource}.openai.azure.com`. */
export const azureOpenAI: Provider = {
  kind: 'AzureOpenAI',
  headroom: AZURE_HEADROOM,
  exchange(target, operation) {
    if (!isOpenAIOperation(operation)) return overChat(target, operation, CHAT, pathOf(target, 'chat'));
    return MISSING.has(operation) ? null : openAIExchange(target, operation, AZURE_FAILURES, pathOf(target, operation));
  },
};

/**
 * A dated version has the deployment in the path, but for Responses, which names it in the body as the undated API does for
 * everything, and for what is of no deployment: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch
 */
function pathOf(target: Target, operation: OpenAIOperation): (clientModel: string) => string {
  const { apiVersion, model } = target;
  const path = OPERATION_PATHS[operation];
  if (apiVersion === null || UNDATED.has(apiVersion)) {
    const undated = `/openai/v1${path}${apiVersion === null || apiVersion === 'v1' ? '' : `?api-version=${apiVersion}`}`;
    return () => undated;
  }
  const query = `?api-version=${encodeURIComponent(apiVersion.toWellFormed())}`;
  if (NAMED_IN_BODY.has(operation)) return () => `/openai${path}${query}`;
  if (model === null) return (clientModel) => `/openai/deployments/${segment(clientModel)}${path}${query}`;
  const fixed = `/openai/deployments/${segment(model)}${path}${query}`;
  return () => fixed;
}
