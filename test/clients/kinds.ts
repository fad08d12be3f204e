/** A model of every kind of provider, all of them the mock's. */
/** Model name that clients send, and the entry's provider in YAML's flow style. `origin`: the mock's. */
export function kinds(origin: string): ReadonlyMap<string, string> {
  const compatible = (path: string): string =>
    `{type: OpenAICompatible, openAICompatible: {model: some-model, baseURL: "${origin}${path}"}}`;
  const bedrock = (model: string): string =>
    `{type: Bedrock, bedrock: {region: eu-central-1, model: "${model}", baseURL: "${origin}"}}`;
  return new Map([
    ['of-openai', `{type: OpenAI, openAI: {model: gpt-4o, baseURL: "${origin}/v1"}}`],
    ['of-azure', `{type: AzureOpenAI, azureOpenAI: {deployment: gpt-4o, apiVersion: "2024-10-21", endpoint: "${origin}"}}`],
    ['of-anthropic', `{type: Anthropic, anthropic: {model: claude-sonnet-4-5, baseURL: "${origin}/v1"}}`],
    ['of-gemini', `{type: Gemini, gemini: {model: gemini-2.5-flash, baseURL: "${origin}/v1beta"}}`],
    [
      'of-vertex',
      `{type: VertexAI, vertexAI: {project: p, location: europe-west4, model: gemini-2.5-flash, baseURL: "${origin}/v1"}}`,
    ],
    ['of-bedrock', bedrock('amazon.nova-pro-v1:0')],
    ['of-bedrock-anthropic', bedrock('anthropic.claude-sonnet-4-5-20250929-v1:0')],
    ['of-mistral', `{type: Mistral, mistral: {model: mistral-large-latest, baseURL: "${origin}/v1"}}`],
    ['of-cohere', `{type: Cohere, cohere: {model: command-a-03-2025, baseURL: "${origin}/v2"}}`],
    ['of-ollama', compatible('/api')],
    ['of-vllm', compatible('/v1')],
  ]);
}
