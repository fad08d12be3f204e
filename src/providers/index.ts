import type { ProviderKind } from '../routetable/types.ts';
import { azureOpenAI } from './azure-openai/provider.ts';
import { openAICompatible } from './openai-compatible/provider.ts';
import { openAI } from './openai/provider.ts';
import type { Provider } from './provider.ts';

const PROVIDERS: Readonly<Record<ProviderKind, Provider>> = {
  OpenAI: openAI,
  AzureOpenAI: azureOpenAI,
  OpenAICompatible: openAICompatible,
};

export function providerFor(kind: ProviderKind): Provider {
  return PROVIDERS[kind];
}
