import type { ProviderKind } from '../routetable/types.ts';
import { anthropic } from './anthropic/provider.ts';
import { azureOpenAI } from './azure-openai/provider.ts';
import { bedrock } from './bedrock/provider.ts';
import { cohere } from './cohere/provider.ts';
import { gemini } from './gemini/provider.ts';
import { mistral } from './mistral/provider.ts';
import { openAICompatible } from './openai-compatible/provider.ts';
import { openAI } from './openai/provider.ts';
import type { Provider } from './provider.ts';
import { vertexAI } from './vertex-ai/provider.ts';

const PROVIDERS: Readonly<Record<ProviderKind, Provider>> = {
  OpenAI: openAI,
  AzureOpenAI: azureOpenAI,
  OpenAICompatible: openAICompatible,
  Anthropic: anthropic,
  Gemini: gemini,
  VertexAI: vertexAI,
  Bedrock: bedrock,
  Mistral: mistral,
  Cohere: cohere,
};

export function providerFor(kind: ProviderKind): Provider {
  return PROVIDERS[kind];
}
