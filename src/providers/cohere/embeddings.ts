/** https://docs.cohere.com/reference/embed; on Bedrock the same body under the model's own path. */
import { isObject } from '../../lib/json.ts';
import { countOf, type EmbeddingDialect, type EmbeddingRequest, vectorsOf } from '../shared/embeddings.ts';
import { COHERE_RULES } from './failure.ts';

/** It must be said; what is looked through is embedded more often than what is looked for. */
const DEFAULT_INPUT_TYPE = 'search_document';

export function writeCohereEmbed({ texts, dimensions, inputType }: EmbeddingRequest): Record<string, unknown> {
  return {
    texts,
    input_type: inputType ?? DEFAULT_INPUT_TYPE,
    embedding_types: ['float'],
    ...(dimensions === null ? {} : { output_dimension: dimensions }),
  };
}

/** Lists by their type, or (older models on Bedrock) one list. */
export function readCohereEmbed(answer: unknown): ReturnType<EmbeddingDialect['read']> {
  if (!isObject(answer)) return null;
  const { embeddings, meta } = answer;
  const vectors = vectorsOf(isObject(embeddings) ? embeddings['float'] : embeddings);
  const billed = isObject(meta) ? meta['billed_units'] : undefined;
  return vectors === null ? null : { vectors, inputTokens: isObject(billed) ? countOf(billed['input_tokens']) : null };
}

export const cohereEmbeddings: EmbeddingDialect = {
  path: () => '/embed',
  lacks: new Set(),
  maxTexts: 96,
  errors: COHERE_RULES,
  write: (request, model) => ({ model, ...writeCohereEmbed(request) }),
  read: readCohereEmbed,
};
