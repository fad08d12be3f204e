import { requestHeaders } from '../openai/exchange.ts';
import type { Provider } from '../provider.ts';
import { segment } from '../shared/path.ts';
import { embeddingsExchange } from '../shared/embeddings.ts';
import { translated } from '../shared/translate.ts';
import { geminiDialect } from './dialect.ts';
import { geminiEmbeddings } from './embeddings.ts';

/** `baseUrl` ends in the API's version (`https://generativelanguage.googleapis.com/v1beta`). */
export const gemini: Provider = {
  kind: 'Gemini',
  headroom: [],
  exchange(target, operation) {
    const headers = requestHeaders(target, target.credential?.value.reveal() ?? '');
    if (operation === 'embeddings') return embeddingsExchange(target, headers, geminiEmbeddings);
    return translated({ target, operation, upstream: geminiDialect, path: generatePath, headers });
  },
};

/** `models/…` and tuned models are named by their whole path. */
function generatePath(model: string, stream: boolean): string {
  const named = model.includes('/') ? model : `models/${model}`;
  const path = named.split('/').map(segment).join('/');
  return `/${path}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`;
}
