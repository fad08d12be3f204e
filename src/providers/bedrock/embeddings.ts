/** Models that embed, by InvokeModel: Amazon's Titan takes one text a call, Cohere's a list. */
import { isObject } from '../../lib/json.ts';
import { readCohereEmbed, writeCohereEmbed } from '../cohere/embeddings.ts';
import { countOf, type EmbeddingDialect, vectorsOf } from '../shared/embeddings.ts';
import { segment } from '../shared/path.ts';
import { withErrorType } from './dialect.ts';
import { BEDROCK_RULES } from './failure.ts';

const COMMON = {
  path: (model: string): string => `/model/${segment(model)}/invoke`,
  errors: BEDROCK_RULES,
  errorFacts: withErrorType,
};

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html */
const TITAN: EmbeddingDialect = {
  ...COMMON,
  lacks: new Set(['input_type']),
  maxTexts: 1,
  write: ({ texts, dimensions }) => ({ inputText: texts[0] ?? '', ...(dimensions === null ? {} : { dimensions }) }),
  read(answer) {
    if (!isObject(answer)) return null;
    const vectors = vectorsOf([answer['embedding']]);
    return vectors === null ? null : { vectors, inputTokens: countOf(answer['inputTextTokenCount']) };
  },
};

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html: what was read is told by a header. */
const COHERE: EmbeddingDialect = {
  ...COMMON,
  lacks: new Set(),
  maxTexts: 96,
  write: writeCohereEmbed,
  read(answer, headers) {
    const found = readCohereEmbed(answer);
    const told = Number(headers['x-amzn-bedrock-input-token-count'] ?? NaN);
    return found === null || found.inputTokens !== null ? found : { ...found, inputTokens: countOf(told) };
  },
};

/** null: the model does not embed. */
export function bedrockEmbeddings(model: string | null): EmbeddingDialect | null {
  if (model === null) return null;
  if (/(?:^|[./])cohere\./.test(model)) return COHERE;
  return /titan-embed/.test(model) ? TITAN : null;
}
