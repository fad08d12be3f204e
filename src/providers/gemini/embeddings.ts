/** https://ai.google.dev/api/embeddings#method:-models.batchembedcontents; on Vertex AI by `predict`. */
import { isObject, type JsonObject, objectsOf } from '../../lib/json.ts';
import { segment } from '../shared/path.ts';
import { countOf, type EmbeddingDialect, type EmbeddingReply, vectorsOf } from '../shared/embeddings.ts';
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
    path: (name) =>
      `/${publisherModel(name).split('/').map(segment).join('/')}:${embedsContent(name) ? 'embedContent' : 'predict'}`,
    lacks: new Set(),
    maxTexts: /(?:^|\/)gemini-embedding/.test(model ?? '') ? 1 : 250,
    errors: GEMINI_RULES,
    write({ texts, dimensions, inputType }, name) {
      const task = taskOf(inputType);
      if (embedsContent(name)) {
        const config = {
          ...(task === null ? {} : { taskType: task }),
          ...(dimensions === null ? {} : { outputDimensionality: dimensions }),
        };
        return { content: { parts: texts.map((text) => ({ text })) }, embedContentConfig: config };
      }
      const instances = texts.map((content) => ({ content, ...(task === null ? {} : { task_type: task }) }));
      return { instances, ...(dimensions === null ? {} : { parameters: { outputDimensionality: dimensions } }) };
    },
    read(answer) {
      if (!isObject(answer)) return null;
      return isObject(answer['embedding']) ? readContent(answer, answer['embedding']) : readPredictions(answer);
    },
  };
}

/** A whole resource name is taken as it is. */
function publisherModel(name: string): string {
  return name.includes('/') ? name : `publishers/google/models/${name}`;
}

/** From the second generation on they have no `predict`, and take one text a call: https://github.com/vercel/ai/issues/15853 */
function embedsContent(name: string): boolean {
  return /(?:^|\/)gemini-embedding-[2-9](?!\d)/.test(name);
}

function readContent({ usageMetadata: usage }: JsonObject, { values }: JsonObject): EmbeddingReply | null {
  const vectors = vectorsOf([values]);
  return vectors === null ? null : { vectors, inputTokens: isObject(usage) ? countOf(usage['promptTokenCount']) : null };
}

function readPredictions(answer: JsonObject): EmbeddingReply | null {
  const embeddings = objectsOf(answer['predictions']).map((each) => each['embeddings']);
  const vectors = vectorsOf(embeddings.map((each) => (isObject(each) ? each['values'] : null)));
  if (vectors === null) return null;
  const counts = embeddings.map((each) => {
    const statistics = isObject(each) ? each['statistics'] : undefined;
    return isObject(statistics) ? countOf(statistics['token_count']) : null;
  });
  return { vectors, inputTokens: counts.includes(null) ? null : counts.reduce((sum: number, each) => sum + (each ?? 0), 0) };
}
