import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import { anthropicDialect } from '../anthropic/dialect.ts';
import { geminiDialect } from '../gemini/dialect.ts';
import { vertexEmbeddings } from '../gemini/embeddings.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Exchange, Provider } from '../provider.ts';
import { embeddingsExchange } from '../shared/embeddings.ts';
import { SseFrames } from '../shared/frames.ts';
import { segment } from '../shared/path.ts';
import { RawMessagesTranslation } from '../shared/raw-messages.ts';
import { exchangeOf, translated } from '../shared/translate.ts';
import type { UpstreamDialect } from '../shared/upstream-dialect.ts';
import { VERTEX_ANTHROPIC_RULES } from './failure.ts';

/** https://docs.claude.com/en/api/claude-on-vertex-ai */
const VERSION = 'vertex-2023-10-16';

/** `baseUrl` ends in the location, `https://{host}/v1/projects/{project}/locations/{location}`. */
export const vertexAI: Provider = {
  kind: 'VertexAI',
  headroom: [],
  exchange(target, operation) {
    const headers = requestHeaders(target, target.credential?.value.reveal() ?? '');
    const { model } = target;
    // Where the client's name goes through, it is one of Google's.
    const claude = /^(?:publishers\/anthropic\/models\/)?(claude.*)$/.exec(model ?? '')?.[1];
    if (claude !== undefined) return claudeExchange({ ...target, model: claude }, operation, headers);
    if (operation === 'embeddings') return embeddingsExchange(target, headers, vertexEmbeddings(model));
    return translated({ target, operation, upstream: geminiDialect, path: geminiPath, headers });
  },
};

/** A whole resource name is taken as it is: `publishers/google/models/…`, `endpoints/…`. */
function geminiPath(model: string, stream: boolean): string {
  const named = model.includes('/') ? model : `publishers/google/models/${model}`;
  return `/${named.split('/').map(segment).join('/')}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`;
}

function claudePath(model: string, stream: boolean): string {
  return `/publishers/anthropic/models/${segment(model)}:${stream ? 'streamRawPredict' : 'rawPredict'}`;
}

function claudeExchange(target: Target, operation: Operation, headers: readonly string[]): Exchange | null {
  if (operation === 'messages') {
    const translation = new RawMessagesTranslation({
      target,
      version: VERSION,
      betasInBody: false,
      errors: VERTEX_ANTHROPIC_RULES,
      errorFacts: (_, facts) => facts,
      streamType: 'text/event-stream',
      frames: () => new SseFrames(),
      unwrap: ({ data }) => data,
    });
    return exchangeOf(target, claudePath, headers, translation);
  }
  return translated({ target, operation, upstream: overClaude(target), path: claudePath, headers });
}

/** As at Anthropic's own address, but for where the model and the version are said. */
function overClaude(target: Target): UpstreamDialect {
  const dialect = anthropicDialect(target);
  return {
    ...dialect,
    errors: VERTEX_ANTHROPIC_RULES,
    write(conversation, model) {
      const { model: _named, ...body } = dialect.write(conversation, model);
      return { anthropic_version: VERSION, ...body };
    },
  };
}
