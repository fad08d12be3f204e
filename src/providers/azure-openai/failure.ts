/** Azure's failures: its own names, then OpenAI's (the service passes most of them through). */
import { STATUS_RULES, TYPE_RULES, type ErrorRule } from '../shared/classify.ts';
import { OPENAI_RULES, type FailureTable } from '../openai/failure.ts';
import { OPENAI_FINISHES } from '../openai/finish.ts';

const AZURE_RULES: readonly ErrorRule[] = [
  // Inner code, in both spellings of its holder: azure-openai/chat-400-prompt-filter-custom-blocklist-doc, …-old-inner-error-doc
  { names: ['responsibleaipolicyviolation'], verdict: 'prompt_filtered' },
  // Images: https://github.com/epam/ai-dial-adapter-openai/pull/48
  { names: ['contentfilter'], verdict: 'prompt_filtered' },
  // azure-openai/chat-json-404-not-found-2
  { names: ['deploymentnotfound'], verdict: 'not_found' },
  // A 400 about what is deployed, where OpenAI says 404: https://github.com/langchain-ai/langmem/issues/13
  { names: ['operationnotsupported'], verdict: 'not_found' },
  // Models of others, 400s: https://github.com/orgs/community/discussions/149698
  { names: ['unknown_model', 'unavailable_model'], verdict: 'not_found' },
  // API Management's quota, a 403: https://learn.microsoft.com/azure/api-management/quota-policy
  { status: [403], message: /^Out of (?:call volume|bandwidth) quota\b/, verdict: 'quota_exhausted' },
  // A 401 that is about a role, not about who is asking: https://github.com/microsoft/semantic-kernel/issues/10020
  { names: ['permissiondenied'], verdict: 'permission' },
];

export const AZURE_FAILURES: FailureTable = {
  errors: [...AZURE_RULES, ...OPENAI_RULES, ...STATUS_RULES, ...TYPE_RULES],
  finishes: OPENAI_FINISHES,
};
