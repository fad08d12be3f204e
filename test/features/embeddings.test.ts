// Promise: OpenAI's embeddings, by OpenAI's own client, from every kind of provider that has embeddings; what one cannot take is
// refused by its name before the call, or asked of another.
import { describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { request } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import { FakeUpstream } from './support/upstream.ts';

interface Kind {
  readonly provider: (url: string) => string;
  readonly path: string;
  /** What is asked for two texts, of two dimensions. */
  readonly asked: unknown;
  readonly answer: unknown;
  /** null: the provider does not tell, and characters are counted. */
  readonly tokens: number | null;
}

const VECTORS = [
  [0.5, -0.25],
  [1, 2],
];
const [FIRST, SECOND] = VECTORS;

const KINDS: Readonly<Record<string, Kind>> = {
  Gemini: {
    provider: (url) => `{type: Gemini, gemini: {model: gemini-embedding-001, baseURL: "${url}/v1beta"}}`,
    path: '/v1beta/models/gemini-embedding-001:batchEmbedContents',
    asked: {
      requests: ['a', 'b'].map((text) => ({
        model: 'models/gemini-embedding-001',
        content: { parts: [{ text }] },
        outputDimensionality: 2,
      })),
    },
    answer: { embeddings: VECTORS.map((values) => ({ values })) },
    tokens: null,
  },
  VertexAI: {
    provider: (url) =>
      `{type: VertexAI, vertexAI: {model: text-embedding-005, project: p, location: us-central1, baseURL: "${url}/v1"}}`,
    path: '/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict',
    asked: { instances: [{ content: 'a' }, { content: 'b' }], parameters: { outputDimensionality: 2 } },
    answer: { predictions: VECTORS.map((values) => ({ embeddings: { values, statistics: { token_count: 3 } } })) },
    tokens: 6,
  },
  Cohere: {
    provider: (url) => `{type: Cohere, cohere: {model: embed-v4.0, baseURL: "${url}/v2"}}`,
    path: '/v2/embed',
    asked: {
      model: 'embed-v4.0',
      texts: ['a', 'b'],
      input_type: 'search_document',
      embedding_types: ['float'],
      output_dimension: 2,
    },
    answer: { id: 'e', embeddings: { float: VECTORS }, meta: { billed_units: { input_tokens: 4 } } },
    tokens: 4,
  },
  'Cohere on Bedrock': {
    provider: (url) => `{type: Bedrock, bedrock: {model: cohere.embed-multilingual-v3, region: us-east-1, baseURL: "${url}"}}`,
    path: '/model/cohere.embed-multilingual-v3/invoke',
    asked: { texts: ['a', 'b'], input_type: 'search_document', embedding_types: ['float'], output_dimension: 2 },
    answer: { embeddings: { float: VECTORS }, response_type: 'embeddings_by_type' },
    tokens: null,
  },
  Ollama: {
    provider: (url) => `{type: OpenAICompatible, openAICompatible: {model: nomic-embed-text, baseURL: "${url}/api"}}`,
    path: '/api/embed',
    asked: { model: 'nomic-embed-text', input: ['a', 'b'], dimensions: 2 },
    answer: { model: 'nomic-embed-text', embeddings: VECTORS, prompt_eval_count: 8 },
    tokens: 8,
  },
  Mistral: {
    provider: (url) => `{type: Mistral, mistral: {model: codestral-embed, baseURL: "${url}/v1"}}`,
    path: '/v1/embeddings',
    asked: { model: 'codestral-embed', input: ['a', 'b'], output_dimension: 2, encoding_format: 'float' },
    answer: {
      object: 'list',
      model: 'codestral-embed',
      data: VECTORS.map((embedding, index) => ({ object: 'embedding', index, embedding })),
      usage: { prompt_tokens: 5, total_tokens: 5 },
    },
    tokens: 5,
  },
};

const routeYaml = (models: readonly string[]): string => `
apiVersion: fairlead.dev/v1alpha1
kind: LLMRoute
metadata: {name: embed, namespace: default}
spec:
  modelNames: [embed]
  models:
${models.map((provider, index) => `  - {name: m${index}, provider: ${provider}, auth: {type: None}}`).join('\n')}
  rules:
  - {name: default, targets: [${models.map((_, index) => `{model: m${index}, priority: ${index}}`).join(', ')}]}
`;

async function serve(kind: Kind) {
  const upstream = await FakeUpstream.start((call) => call.answer(200, JSON.stringify(kind.answer)));
  const gateway = await startGateway(routeYaml([kind.provider(new URL(upstream.url).origin)]));
  const client = new OpenAI({ apiKey: 'sk', baseURL: `http://127.0.0.1:${gateway.port}/v1`, maxRetries: 0 });
  return { upstream, gateway, client };
}

describe('embeddings', () => {
  it.each(Object.entries(KINDS))('of %s', async (_, kind) => {
    const { upstream, gateway, client } = await serve(kind);
    const body = { model: 'embed', input: ['a', 'b'], dimensions: 2 };
    const got = await client.embeddings.create({ ...body, encoding_format: 'float' });
    expect(got.data.map(({ index, embedding }) => [index, embedding])).toEqual([
      [0, FIRST],
      [1, SECOND],
    ]);
    expect(upstream.calls[0]?.path).toBe(kind.path);
    expect(upstream.calls[0]?.json()).toEqual(kind.asked);
    expect(got.usage.prompt_tokens).toBe(kind.tokens ?? 1);
    expect(gateway.requests[0]?.usage).toMatchObject({
      inputTokens: kind.tokens ?? 1,
      outputTokens: 0,
      estimated: kind.tokens === null,
    });
  });

  it.each(Object.entries(KINDS).filter(([name]) => name !== 'Mistral'))(
    'of %s, as the client unpacks them by itself',
    async (_, kind) => {
      const { client } = await serve(kind);
      const got = await client.embeddings.create({ model: 'embed', input: ['a', 'b'], dimensions: 2 });
      expect(got.data.map(({ embedding }) => embedding)).toEqual(VECTORS);
    },
  );

  it.each(['gemini-embedding-2', 'publishers/google/models/gemini-embedding-2-preview'])(
    'of %s on Vertex AI, which has no predict',
    async (model) => {
      const { upstream, client } = await serve({
        ...(KINDS['VertexAI'] as Kind),
        provider: (url) => `{type: VertexAI, vertexAI: {model: ${model}, project: p, location: global, baseURL: "${url}/v1"}}`,
        answer: { embedding: { values: FIRST }, usageMetadata: { promptTokenCount: 7 }, truncated: false },
      });
      const body = { model: 'embed', dimensions: 2, encoding_format: 'float' } as const;
      const got = await client.embeddings.create({ ...body, input: ['a'] });
      expect([got.data[0]?.embedding, got.usage.prompt_tokens]).toEqual([FIRST, 7]);
      const name = model.split('/').at(-1);
      expect(upstream.calls[0]?.path).toBe(`/v1/projects/p/locations/global/publishers/google/models/${name}:embedContent`);
      expect(upstream.calls[0]?.json()).toEqual({
        content: { parts: [{ text: 'a' }] },
        embedContentConfig: { outputDimensionality: 2 },
      });
      await expect(client.embeddings.create({ ...body, input: ['a', 'b'] })).rejects.toMatchObject({ status: 400 });
    },
  );

  it('of many texts, each of which fits into the model, go to it however long they are together', async () => {
    const data = Array.from({ length: 100 }, (_, index) => ({ object: 'embedding', index, embedding: FIRST }));
    const usage = { prompt_tokens: 40_000, total_tokens: 40_000 };
    const { client } = await serve({
      ...(KINDS['Mistral'] as Kind),
      provider: (url) => `{type: OpenAI, openAI: {model: text-embedding-3-small, baseURL: "${url}/v1"}}`,
      answer: { object: 'list', model: 'text-embedding-3-small', data, usage },
    });
    const create = (input: string[]) => client.embeddings.create({ model: 'embed', input, encoding_format: 'float' });
    expect((await create(data.map(({ index }) => `text ${index}: ${'word '.repeat(400)}`))).data).toHaveLength(100);
    await expect(create(['a', 'word '.repeat(10_000)])).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
      param: 'input',
    });
  });

  it('that are fewer than the texts are an error', async () => {
    const { client } = await serve({ ...(KINDS['Ollama'] as Kind), answer: { embeddings: [FIRST] } });
    await expect(client.embeddings.create({ model: 'embed', input: ['a', 'b'] })).rejects.toMatchObject({ status: 502 });
  });

  it('of tokens, or of more texts than a call takes, go to whoever takes them', async () => {
    const titan = await FakeUpstream.start((call) =>
      call.answer(200, JSON.stringify({ embedding: FIRST, inputTextTokenCount: 2 })),
    );
    const openai = await FakeUpstream.start((call) => call.answer(200, JSON.stringify(KINDS['Mistral']?.answer)));
    const gateway = await startGateway(
      routeYaml([
        `{type: Bedrock, bedrock: {model: "amazon.titan-embed-text-v2:0", region: us-east-1, baseURL: "${new URL(titan.url).origin}"}}`,
        `{type: OpenAI, openAI: {model: text-embedding-3-small, baseURL: "${openai.url}"}}`,
      ]),
    );
    const ask = async (input: unknown): Promise<unknown> => {
      const got = await request(gateway.port, { path: '/v1/embeddings', body: { model: 'embed', input } });
      return [got.status, got.headers['x-fairlead-model']];
    };
    expect(await ask('one')).toEqual([200, 'm0']);
    expect(await ask(['one', 'two'])).toEqual([200, 'm1']);
    expect(await ask([[1, 2, 3]])).toEqual([200, 'm1']);
    expect(titan.calls.map((call) => call.json())).toEqual([{ inputText: 'one' }]);
  });

  it('are refused by name where nobody can', async () => {
    const { client, upstream } = await serve(KINDS['Cohere'] as Kind);
    const body = { model: 'embed', input: [1, 2, 3] };
    await expect(client.embeddings.create(body)).rejects.toMatchObject({
      status: 400,
      param: 'input',
      code: 'unsupported_request',
    });
    expect(upstream.calls).toHaveLength(0);
  });
});
