import type { HeadroomHeader } from '../provider.ts';
import { OPENAI_FORM } from '../shared/headroom.ts';

/** https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota; resets are whole seconds; fixture azure-openai/responses-json-stop-tools */
export const AZURE_HEADROOM: readonly HeadroomHeader[] = OPENAI_FORM;
