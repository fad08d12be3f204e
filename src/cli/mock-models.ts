/**
 * Upstreams for the demo and for tests: one server on the loopback that answers like OpenAI and Azure, without a model behind it.
 * Deterministic: the same sequence of requests gets the same answers.
 */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { parseJsonOrThrow } from '../lib/json-parse.ts';

export interface MockModels {
  /** `http://127.0.0.1:41234`: OpenAI's API is under `/v1`, Azure's under `/openai`. */
  readonly origin: string;
  close(): Promise<void>;
}

interface Chat {
  readonly model: string;
  readonly prompt: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

type Responder = (chat: Chat, response: ServerResponse) => void;

/** In a prompt: the filtered model's filter refuses the prompt, or stops its own answer. */
export const PROMPT_FILTER_WORD = 'dynamite';
export const ANSWER_FILTER_WORD = 'heist';

const FLAKY_RETRY_AFTER_S = 5;
const SLOW_FIRST_TOKEN_MS = 3_000;

export async function startMockModels(): Promise<MockModels> {
  const flaky = flakyModel();
  const models: ReadonlyMap<string, Responder> = new Map<string, Responder>([
    [
      'fast',
      speaking({
        firstTokenMs: 8,
        tokenMs: 8,
        text: 'Small, quick and cheap: most questions need no more than this answer from the fast model.',
      }),
    ],
    [
      'strong',
      speaking({
        firstTokenMs: 25,
        tokenMs: 10,
        text: 'The strong model takes a little longer, costs more, and answers what the others could not or would not.',
      }),
    ],
    ['slow', speaking({ firstTokenMs: SLOW_FIRST_TOKEN_MS, tokenMs: 100, text: 'Sorry to have kept you waiting.' })],
    ['filtered', filtered(speaking({ firstTokenMs: 8, tokenMs: 8, text: 'Nothing to object to.' }))],
    ['flaky', flaky],
  ]);
  const server = http.createServer((request, response) => {
    void answer(models, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function answer(models: ReadonlyMap<string, Responder>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  const deployment = /^\/openai\/deployments\/([^/]+)\/chat\/completions$/.exec(path)?.[1];
  if (request.method !== 'POST' || (deployment === undefined && path !== '/v1/chat/completions')) {
    sendJson(response, 404, {
      error: { message: `no ${path} here`, type: 'invalid_request_error', param: null, code: 'unknown_url' },
    });
    return;
  }
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // The caller has left.
    return;
  }
  const chat = readChat(Buffer.concat(chunks).toString('utf8'), deployment);
  const model = chat === null ? undefined : models.get(chat.model);
  if (chat === null || model === undefined) {
    sendJson(response, 404, {
      error: { message: 'no such model', type: 'invalid_request_error', param: 'model', code: 'model_not_found' },
    });
    return;
  }
  model(chat, response);
}

function readChat(text: string, deployment: string | undefined): Chat | null {
  try {
    const body = parseJsonOrThrow(text) as {
      model?: unknown;
      messages?: unknown;
      stream?: unknown;
      stream_options?: { include_usage?: unknown } | null;
    };
    const model = deployment ?? body.model;
    if (typeof model !== 'string') return null;
    const includeUsage = body.stream_options?.include_usage === true;
    return { model, prompt: JSON.stringify(body.messages ?? ''), stream: body.stream === true, includeUsage };
  } catch {
    return null;
  }
}

interface Voice {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly text: string;
}

/** Answers with `text`: whole after `firstTokenMs`, or word by word. */
function speaking({ firstTokenMs, tokenMs, text }: Voice): Responder {
  const words = text.split(' ').map((word, index) => (index === 0 ? word : ` ${word}`));
  return (chat, response) => {
    const usage = usageOf(chat, words.length);
    const pace = new Pace(response);
    if (!chat.stream) {
      pace.after(firstTokenMs, () => sendJson(response, 200, completion(chat, text, 'stop', usage)));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    sendEvent(response, chunk(chat, { role: 'assistant', content: '' }, null));
    const speak = (index: number): void => {
      const word = words[index];
      if (word !== undefined) {
        sendEvent(response, chunk(chat, { content: word }, null));
        pace.after(tokenMs, () => speak(index + 1));
        return;
      }
      sendEvent(response, chunk(chat, {}, 'stop'));
      if (chat.includeUsage) sendEvent(response, { ...envelope(chat), object: 'chat.completion.chunk', choices: [], usage });
      response.end('data: [DONE]\n\n');
    };
    pace.after(firstTokenMs, () => speak(0));
  };
}

/** As Azure OpenAI does it: an error for a prompt, a finish reason for an answer. */
function filtered(otherwise: Responder): Responder {
  return (chat, response) => {
    if (chat.prompt.includes(PROMPT_FILTER_WORD)) sendJson(response, 400, AZURE_FILTER_ERROR);
    else if (chat.prompt.includes(ANSWER_FILTER_WORD))
      sendJson(response, 200, completion(chat, '', 'content_filter', usageOf(chat, 0)));
    else otherwise(chat, response);
  };
}

/** Fails in turn: a 500, a connection that breaks, a 429. */
function flakyModel(): Responder {
  let turn = 0;
  return (_chat, response) => {
    turn += 1;
    if (turn % 3 === 1) {
      sendJson(response, 500, {
        error: {
          message: 'The server had an error while processing your request',
          type: 'server_error',
          param: null,
          code: null,
        },
      });
    } else if (turn % 3 === 2) {
      response.socket?.destroy();
    } else {
      response.setHeader('retry-after', String(FLAKY_RETRY_AFTER_S));
      sendJson(response, 429, {
        error: { message: 'Rate limit reached for requests', type: 'requests', param: null, code: 'rate_limit_exceeded' },
      });
    }
  };
}

/** https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter */
const AZURE_FILTER_ERROR = {
  error: {
    message:
      "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.",
    type: null,
    param: 'prompt',
    code: 'content_filter',
    status: 400,
    innererror: {
      code: 'ResponsibleAIPolicyViolation',
      content_filter_result: {
        hate: { filtered: false, severity: 'safe' },
        self_harm: { filtered: false, severity: 'safe' },
        sexual: { filtered: false, severity: 'safe' },
        violence: { filtered: true, severity: 'medium' },
      },
    },
  },
};

interface MockUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

function usageOf({ prompt }: Chat, completionTokens: number): MockUsage {
  const promptTokens = Math.ceil(prompt.length / 4);
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: promptTokens + completionTokens };
}

function envelope({ model }: Chat): { id: string; created: number; model: string } {
  return { id: 'chatcmpl-mock', created: 1_767_225_600, model };
}

function completion(chat: Chat, content: string, finishReason: string, usage: MockUsage): object {
  const choice = { index: 0, message: { role: 'assistant', content, refusal: null }, finish_reason: finishReason };
  return { ...envelope(chat), object: 'chat.completion', choices: [choice], usage };
}

function chunk(chat: Chat, delta: object, finishReason: string | null): object {
  return { ...envelope(chat), object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finishReason }] };
}

/** One thing after the other for one response, until its client leaves. */
class Pace {
  #timer: NodeJS.Timeout | undefined;

  constructor(response: ServerResponse) {
    response.once('close', () => clearTimeout(this.#timer));
  }

  after(ms: number, then: () => void): void {
    this.#timer = setTimeout(then, ms);
  }
}

function sendEvent(response: ServerResponse, event: object): void {
  response.write(`data: ${JSON.stringify(event)}\n\n`);
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}
