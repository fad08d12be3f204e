/** https://docs.ollama.com/api/embed */
import { isObject } from '../../lib/json.ts';
import { COMPATIBLE_FAILURES } from '../openai-compatible/failure.ts';
import { countOf, type EmbeddingDialect, vectorsOf } from '../shared/embeddings.ts';

export const ollamaEmbeddings: EmbeddingDialect = {
  path: () => '/embed',
  lacks: new Set(['input_type']),
  maxTexts: Infinity,
  errors: COMPATIBLE_FAILURES.errors,
  write: ({ texts, dimensions }, model) => ({ model, input: texts, ...(dimensions === null ? {} : { dimensions }) }),
  read(answer) {
    if (!isObject(answer)) return null;
    const vectors = vectorsOf(answer['embeddings']);
    return vectors === null ? null : { vectors, inputTokens: countOf(answer['prompt_eval_count']) };
  },
};
