import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { matchEndpoint } from './endpoints.ts';

/** One line a case, so that a wrong one reads well. */
function say(line: string): string {
  const [method = '', url = ''] = line.split(' ', 2);
  const found = matchEndpoint(method, url);
  switch (found.kind) {
    case 'operation':
      return [found.operation, found.path, found.urlModel ?? '-', found.apiVersion ?? '-'].join(' ');
    case 'models':
    case 'usage':
      return `${found.kind} ${found.path}`;
    case 'model':
      return `model ${found.id}`;
    case 'stored':
      return `${found.collection} ${found.method} ${found.id} ${found.below} ${found.query}`;
    case 'not_found':
      return found.suggestion === null ? '404' : `404 → ${found.suggestion}`;
    case 'method_not_allowed':
      return `405 ${found.allow}`;
    case 'not_implemented':
      return `501 ${found.feature}`;
  }
}

describe('matchEndpoint', () => {
  it.each([
    ['POST /v1/chat/completions', 'chat /v1/chat/completions - -'],
    ['POST /v1/completions', 'completions /v1/completions - -'],
    ['POST /v1/embeddings', 'embeddings /v1/embeddings - -'],
    ['POST /v1/responses', 'responses /v1/responses - -'],
    ['POST /v1/images/generations', 'images_generations /v1/images/generations - -'],
    ['POST /v1/images/edits', 'images_edits /v1/images/edits - -'],
    ['POST /v1/images/variations', 'images_variations /v1/images/variations - -'],
    ['POST /v1/audio/speech', 'audio_speech /v1/audio/speech - -'],
    ['POST /v1/audio/transcriptions', 'audio_transcriptions /v1/audio/transcriptions - -'],
    ['POST /v1/audio/translations', 'audio_translations /v1/audio/translations - -'],
    ['POST /v1/moderations', 'moderations /v1/moderations - -'],
    ['POST /v1/chat/completions?x=1&api-version=2024-10-21', 'chat /v1/chat/completions - 2024-10-21'],
    ['POST http://gw:8080/v1/embeddings', 'embeddings /v1/embeddings - -'],
    ['POST HTTPS://gw/openai/v1/responses?api-version=preview', 'responses /openai/v1/responses - preview'],
    ['POST /openai/responses?api-version=2025-04-01-preview', 'responses /openai/responses - 2025-04-01-preview'],
    [
      'POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21',
      'chat /openai/deployments/gpt-4o/chat/completions gpt-4o 2024-10-21',
    ],
    ['POST /openai/deployments/a%2Fb/completions', 'completions /openai/deployments/a%2Fb/completions a/b -'],
    ['POST /openai/deployments/team/llama/embeddings?', 'embeddings /openai/deployments/team/llama/embeddings team/llama -'],
    ['POST /openai/deployments/w/audio/transcriptions', 'audio_transcriptions /openai/deployments/w/audio/transcriptions w -'],
    ['POST /openai/deployments/i/images/generations', 'images_generations /openai/deployments/i/images/generations i -'],
    ['POST /openai/deployments//chat/completions', '404'],
    ['POST /openai/deployments/%zz/chat/completions', '404'],
    ['POST /openai/deployments/m/responses', '404'],
    ['GET /v1/usage', 'usage /v1/usage'],
    ['GET /v1/models', 'models /v1/models'],
    ['GET /v1/models?limit=1', 'models /v1/models'],
    ['GET /openai/v1/models', 'models /openai/v1/models'],
    ['GET /openai/models?api-version=1', 'models /openai/models'],
    ['GET /v1/models/gpt-4o', 'model gpt-4o'],
    ['GET /v1/models/meta-llama/Llama-3%2E1%20x?y', 'model meta-llama/Llama-3.1 x'],
    ['GET /v1/models/%ff', '404'],
    ['GET /v1/models/', '404 → /v1/models'],
    ['DELETE /v1/models/ft:x', '405 GET'],
    ['POST /v1/models', '405 GET'],
    ['GET /v1/chat/completions', '405 POST'],
    ['OPTIONS /openai/deployments/m/embeddings', '405 POST'],
    ['GET /v1/responses/resp_1', 'responses GET resp_1  '],
    [
      'GET /v1/responses/resp_1?stream=true&api-version=x&starting_after=7#y',
      'responses GET resp_1  stream=true&starting_after=7',
    ],
    ['DELETE /openai/responses/resp_1?api-version=preview', 'responses DELETE resp_1  '],
    ['POST /openai/v1/responses/ad5663da-63e6/cancel', 'responses POST ad5663da-63e6 /cancel '],
    ['GET /v1/responses/resp_1/input_items?limit=2', 'responses GET resp_1 /input_items limit=2'],
    ['POST /v1/files', 'files /v1/files - -'],
    ['POST /openai/files?api-version=2024-10-21&model=gpt%204o', 'files /openai/files gpt 4o 2024-10-21'],
    ['GET /v1/files', '501 lists of files; ask for each by its id'],
    ['GET /v1/files?purpose=batch&limit=2', '501 lists of files; ask for each by its id'],
    ['PUT /v1/files', '405 POST'],
    ['GET /v1/files/file-1', 'files GET file-1  '],
    ['DELETE /openai/files/file-1?api-version=2024-10-21', 'files DELETE file-1  '],
    ['GET /openai/v1/files/file-1/content', 'files GET file-1 /content '],
    ['POST /v1/files/file-1', '405 GET, DELETE'],
    ['GET /v1/files/file-1/lines', '501 this part of the Files API'],
    ['POST /v1/batches?model=x', 'batches /v1/batches - -'],
    ['GET /openai/v1/batches?limit=2', '501 lists of batches; ask for each by its id'],
    ['GET /v1/batches/batch_1', 'batches GET batch_1  '],
    ['POST /v1/batches/batch_1/cancel', 'batches POST batch_1 /cancel '],
    ['DELETE /v1/batches/batch_1', '405 GET'],
    ['POST /v1/uploads', '501 uploads'],
    ['POST /v1/responses/resp_1', '405 GET, DELETE'],
    ['GET /v1/responses/resp_1/cancel', '405 POST'],
    ['GET /v1/responses/resp_1/other', '501 this part of the Responses API'],
    ['GET /v1/responses/a%2F..%2Ffiles', '501 this part of the Responses API'],
    ['POST /v1/responses/input_tokens', '501 this part of the Responses API'],
    ['POST /v1/responses/compact', '501 this part of the Responses API'],
    ['DELETE /v1/chat/completions/c1', '501 stored chat completions'],
    ['GET /v1/realtime?model=x', '501 realtime'],
    ['POST /v1/messages', 'messages /v1/messages - -'],
    ['POST /v1/rerank', '501 rerank'],
    ['POST /v1/fine_tuning/jobs', '501 fine_tuning'],
    ['POST /openai/assistants?api-version=1', '501 assistants'],
    ['GET /openai/deployments', '501 deployments'],
    ['POST /chat/completions', '404 → /v1/chat/completions'],
    ['POST /v1/v1/chat/completions', '404 → /v1/chat/completions'],
    ['POST /v1//embeddings/', '404 → /v1/embeddings'],
    ['POST /v1/filesystem', '404'],
    ['POST /V1/chat/completions', '404'],
    ['GET /', '404'],
    ['OPTIONS *', '404'],
    ['GET /v1/toString', '404'],
  ])('%s → %s', (line, found) => {
    expect(say(line)).toBe(found);
  });

  it('gives the ordinary ones without making anything', () => {
    expect(matchEndpoint('POST', '/v1/chat/completions')).toBe(matchEndpoint('POST', '/v1/chat/completions'));
  });

  it('takes any request line', () => {
    const piece = fc.constantFrom(
      '/',
      '/v1',
      '/openai',
      '/deployments',
      '/models',
      '/chat/completions',
      '?',
      '#',
      '%',
      '%2',
      '%2f',
      '&api-version=',
      'http://',
      '..',
      '\0',
      'é',
    );
    fc.assert(
      fc.property(fc.string(), fc.array(piece), (method, url) => typeof matchEndpoint(method, url.join('')).kind === 'string'),
    );
  });
});
