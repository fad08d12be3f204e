/** The parts of an `Exchange` that all of OpenAI's shape share; only the path and the failure table differ. */
import type { Operation } from '../../lib/operation.ts';
import type { Target } from '../../routetable/types.ts';
import type { Exchange, StreamReader } from '../provider.ts';
import { translated } from '../shared/translate.ts';
import { type UpstreamDialect } from '../shared/upstream-dialect.ts';
import { readAnswer } from './answer.ts';
import { ChatStream, type DeltaNote } from './chat-stream.ts';
import { DeltaShortcut, KnownForms } from './delta-shortcut.ts';
import type { FailureTable } from './failure.ts';
import { withoutForeignReasoning } from './own-reasoning.ts';
import { OpaqueStream, ResponsesStream } from './responses-stream.ts';
import type { StreamContext } from './stream-base.ts';

/** Anthropic's operations are not among them. */
export type OpenAIOperation = Exclude<Operation, 'messages' | 'count_tokens'>;

/** Under the API's base: https://platform.openai.com/docs/api-reference */
export function isOpenAIOperation(operation: Operation): operation is OpenAIOperation {
  return operation !== 'messages' && operation !== 'count_tokens';
}

export const OPERATION_PATHS: Readonly<Record<OpenAIOperation, string>> = {
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
  responses: '/responses',
  images_generations: '/images/generations',
  images_edits: '/images/edits',
  images_variations: '/images/variations',
  audio_speech: '/audio/speech',
  audio_transcriptions: '/audio/transcriptions',
  audio_translations: '/audio/translations',
  moderations: '/moderations',
  files: '/files',
  batches: '/batches',
};

/** `pathOf`: path and query below the base URL's own path, from the name of the model that the client sent. */
export function openAIExchange(
  target: Target,
  operation: OpenAIOperation,
  table: FailureTable,
  pathOf: (clientModel: string) => string,
): Exchange {
  const base = new URL(target.baseUrl);
  const prefix = base.pathname.replace(/\/+$/, '');
  const secret = target.credential?.value.reveal() ?? '';
  const forms = new KnownForms<DeltaNote>();
  return {
    origin: base.origin,
    path: (clientModel) => prefix + pathOf(clientModel),
    headers: requestHeaders(target, secret),
    readAnswer: (status, headers, body, complete) => readAnswer(table, operation, secret, status, headers, body, complete),
    readStream: (headers) => streamReader(operation, { table, secret, headers }, forms),
    translation: null,
    ...(operation === 'responses' ? { adapt: withoutForeignReasoning } : {}),
  };
}

/** Clients of other dialects by way of chat completions. */
export function overChat(
  target: Target,
  operation: Operation,
  upstream: UpstreamDialect,
  path: (model: string) => string,
): Exchange | null {
  return translated({
    target,
    operation,
    upstream,
    path,
    headers: requestHeaders(target, target.credential?.value.reveal() ?? ''),
  });
}

/** Nothing of the client's is in here: its credentials and cookies are not the upstream's to see. */
export function requestHeaders(target: Target, secret: string): readonly string[] {
  const headers = ['accept-encoding', 'identity'];
  const { credential } = target;
  // What signs is not sent.
  if (credential !== null && credential.aws === undefined)
    headers.push(credential.header, credential.header === 'authorization' ? `Bearer ${secret}` : secret);
  for (const [name, value] of target.headers) {
    if (name !== 'accept-encoding' && name !== credential?.header) headers.push(name, value);
  }
  return headers;
}

function streamReader(operation: OpenAIOperation, context: StreamContext, forms: KnownForms<DeltaNote>): StreamReader {
  switch (operation) {
    case 'chat':
    case 'completions':
      return new ChatStream(context, new DeltaShortcut(forms));
    case 'responses':
      return new ResponsesStream(context);
    case 'embeddings':
    case 'images_generations':
    case 'images_edits':
    case 'images_variations':
    case 'audio_speech':
    case 'audio_transcriptions':
    case 'audio_translations':
    case 'moderations':
    case 'files':
    case 'batches':
      return new OpaqueStream(context);
  }
}
