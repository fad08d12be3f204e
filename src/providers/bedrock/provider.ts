import type { Target } from '../../routetable/types.ts';
import { requestHeaders } from '../openai/exchange.ts';
import type { Exchange, Provider } from '../provider.ts';
import { embeddingsExchange } from '../shared/embeddings.ts';
import type { Frame } from '../shared/frames.ts';
import { EventStreamFrames } from '../shared/frames.ts';
import { segment } from '../shared/path.ts';
import { RawMessagesTranslation } from '../shared/raw-messages.ts';
import { exchangeOf, translated } from '../shared/translate.ts';
import { isObject, parseJson, stringOf } from '../../lib/json.ts';
import { converseDialect, EVENT_STREAM, withErrorType } from './dialect.ts';
import { bedrockEmbeddings } from './embeddings.ts';
import { BEDROCK_RULES } from './failure.ts';
import { invokeInterventionOf } from './guardrail.ts';
import { isClaude } from './request.ts';
import { signerOf } from './sign.ts';

/** https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html */
const VERSION = 'bedrock-2023-05-31';

/** `baseUrl` is the runtime's endpoint, `https://bedrock-runtime.{region}.amazonaws.com`. */
export const bedrock: Provider = {
  kind: 'Bedrock',
  headroom: [],
  exchange(target, operation) {
    // Anthropic's own clients get Anthropic's own dialect, all of it; Converse is for everything else.
    if (operation === 'messages' && target.model !== null && isClaude(target.model)) return invokeExchange(target);
    if (operation === 'embeddings') {
      const embeddings = bedrockEmbeddings(target.model);
      if (embeddings === null) return null;
      return { ...embeddingsExchange(target, headersOf(target), embeddings), sign: signerOf(target) };
    }
    const exchange = translated({
      target,
      operation,
      upstream: converseDialect(target),
      path: (model, stream) => `/model/${segment(model)}/${stream ? 'converse-stream' : 'converse'}`,
      headers: headersOf(target),
    });
    return exchange === null ? null : { ...exchange, sign: signerOf(target) };
  },
};

function invokeExchange(target: Target): Exchange {
  const translation = new RawMessagesTranslation({
    target,
    version: VERSION,
    betasInBody: true,
    errors: BEDROCK_RULES,
    errorFacts: withErrorType,
    streamType: EVENT_STREAM,
    frames: () => new EventStreamFrames(),
    unwrap,
    interventionOf: invokeInterventionOf,
  });
  const path = (model: string, stream: boolean): string =>
    `/model/${segment(model)}/${stream ? 'invoke-with-response-stream' : 'invoke'}`;
  return { ...exchangeOf(target, path, headersOf(target), translation), sign: signerOf(target) };
}

/** `{bytes: base64}` in each `chunk`. */
function unwrap({ event, data }: Frame): string | null {
  if (event.startsWith('!')) return null;
  const chunk = event === 'chunk' ? parseJson(data) : undefined;
  return isObject(chunk) ? Buffer.from(stringOf(chunk['bytes']), 'base64').toString('utf8') : '';
}

function headersOf(target: Target): readonly string[] {
  return requestHeaders(target, target.credential?.value.reveal() ?? '');
}
