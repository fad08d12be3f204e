import type { ProviderKind } from '../routetable/types.ts';
import { anthropic } from './anthropic/provider.ts';
import { azureOpenAI } from './azure-openai/provider.ts';
import { gemini } from './gemini/provider.ts';
import { openAICompatible } from './openai-compatible/provider.ts';
import { openAI } from './openai/provider.ts';
import type { Provider } from './provider.ts';

const PROVIDERS: Readonly<Record<ProviderKind, Provider>> = {
  OpenAI: openAI,
  AzureOpenAI: azureOpenAI,
  OpenAICompatible: openAICompatible,
  Anthropic: anthropic,
  Gemini: gemini,
  VertexAI: gemini,
  Bedrock: gemini,
  Mistral: openAICompatible,
  Cohere: gemini,
};

export function providerFor(kind: ProviderKind): Provider {
  return PROVIDERS[kind];
}
