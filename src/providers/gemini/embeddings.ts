/** https://ai.google.dev/api/embeddings#method:-models.batchembedcontents; on Vertex AI by `predict`. */
import { isObject, objectsOf } from '../../lib/json.ts';
import { segment } from '../shared/path.ts';
import { countOf, type EmbeddingDialect, vectorsOf } from '../shared/embeddings.ts';
import { GEMINI_RULES } from './failure.ts';

/** Cohere's words for what a vector is for, in Google's. */
const TASKS: Readonly<Record<string, string>> = {
  search_document: 'RETRIEVAL_DOCUMENT',
  search_query: 'RETRIEVAL_QUERY',
  classification: 'CLASSIFICATION',
  clustering: 'CLUSTERING',
};

function taskOf(inputType: string | null): string | null {
  return inputType === null ? null : (TASKS[inputType] ?? inputType.toUpperCase());
}

export const geminiEmbeddings: EmbeddingDialect = {
  path: (model) => `/${resource(model).split('/').map(segment).join('/')}:batchEmbedContents`,
  lacks: new Set(),
  maxTexts: 100,
  errors: GEMINI_RULES,
  write({ texts, dimensions, inputType }, model) {
    const task = taskOf(inputType);
    const requests = texts.map((text) => ({
      model: resource(model),
      content: { parts: [{ text }] },
      ...(task === null ? {} : { taskType: task }),
      ...(dimensions === null ? {} : { outputDimensionality: dimensions }),
    }));
    return { requests };
  },
  read(answer) {
    if (!isObject(answer)) return null;
    const vectors = vectorsOf(objectsOf(answer['embeddings']).map(({ values }) => values));
    const usage = answer['usageMetadata'];
    return vectors === null ? null : { vectors, inputTokens: isObject(usage) ? countOf(usage['promptTokenCount']) : null };
  },
};

function resource(model: string): string {
  return model.includes('/') ? model : `models/${model}`;
}

/** https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api */
export function vertexEmbeddings(model: string | null): EmbeddingDialect {
  return {
    path: (name) => `/publishers/google/models/${segment(name)}:predict`,
    lacks: new Set(),
    maxTexts: model?.startsWith('gemini-embedding') === true ? 1 : 250,
    errors: GEMINI_RULES,
    write({ texts, dimensions, inputType }) {
      const task = taskOf(inputType);
      const instances = texts.map((content) => ({ content, ...(task === null ? {} : { task_type: task }) }));
      return { instances, ...(dimensions === null ? {} : { parameters: { outputDimensionality: dimensions } }) };
    },
    read(answer) {
      const embeddings = isObject(answer) ? objectsOf(answer['predictions']).map((each) => each['embeddings']) : [];
      const vectors = vectorsOf(embeddings.map((each) => (isObject(each) ? each['values'] : null)));
      if (vectors === null) return null;
      const counts = embeddings.map((each) => {
        const statistics = isObject(each) ? each['statistics'] : undefined;
        return isObject(statistics) ? countOf(statistics['token_count']) : null;
      });
      return { vectors, inputTokens: counts.includes(null) ? null : counts.reduce((sum: number, each) => sum + (each ?? 0), 0) };
    },
  };
}
