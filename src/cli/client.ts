/** The little of an OpenAI client that `try` and `demo` need: one chat request, and everything that tells how it was answered. */
import { SseSplitter } from '../dialects/sse.ts';
import { member, parseJson } from '../lib/json.ts';

export interface ChatRequest {
  /** Up to and without `/v1`, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  /** null: none is sent. */
  readonly key: string | null;
  readonly model: string;
  readonly prompt: string;
  readonly stream: boolean;
  /** Each piece of a stream's text as it comes. */
  onText?(text: string): void;
  readonly signal?: AbortSignal;
}

export interface ChatAnswer {
  readonly status: number;
  readonly text: string;
  /** OpenAI's error object, as far as there is one; of a broken stream too. */
  readonly error: { readonly message: string; readonly code: string | null } | null;
  /** The `x-fairlead-*`, retry-after and request id headers; lower-case names. */
  readonly headers: Headers;
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number } | null;
  /** US dollars, as the gateway writes it; null: unknown. */
  readonly cost: string | null;
  readonly durationMs: number;
  /** Of a stream. */
  readonly firstTokenMs: number | null;
}

/** Throws TypeError (fetch's) where there is no HTTP answer. */
export async function chat(request: ChatRequest, nowMs: () => number): Promise<ChatAnswer> {
  const startedMs = nowMs();
  const response = await fetch(`${request.url.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-fairlead-include-cost': 'true',
      ...(request.key === null ? {} : { authorization: `Bearer ${request.key}` }),
    },
    body: JSON.stringify({
      model: request.model,
      messages: [{ role: 'user', content: request.prompt }],
      ...(request.stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  const reader = new AnswerReader();
  let firstTokenMs: number | null = null;
  if (response.headers.get('content-type')?.startsWith('text/event-stream') === true && response.body !== null) {
    const splitter = new SseSplitter();
    for await (const bytes of response.body as AsyncIterable<Uint8Array>) {
      splitter.push(Buffer.from(bytes));
      for (let event = splitter.next(); event !== null; event = splitter.next()) {
        const text = event.data === '' || event.data === '[DONE]' ? '' : reader.read(event.data);
        if (text === '') continue;
        firstTokenMs ??= nowMs() - startedMs;
        request.onText?.(text);
      }
    }
  } else {
    reader.read(await response.text());
  }
  const { text, error, usage, cost } = reader;
  const told = response.headers.get('x-fairlead-cost');
  return {
    status: response.status,
    text,
    error: error ?? (response.ok ? null : { message: `HTTP ${response.status}`, code: null }),
    headers: response.headers,
    usage,
    cost: told === null || told === 'unknown' ? cost : told,
    durationMs: nowMs() - startedMs,
    firstTokenMs,
  };
}

/** Reads a whole answer, or a stream's events one by one; what is not shaped like one of OpenAI's says nothing. */
class AnswerReader {
  text = '';
  error: ChatAnswer['error'] = null;
  usage: ChatAnswer['usage'] = null;
  cost: string | null = null;

  /** The text that this piece adds. */
  read(json: string): string {
    const value = parseJson(json);
    const failed = member(value, 'error');
    const message = member(failed, 'message');
    if (typeof message === 'string') this.error = { message, code: textOf(member(failed, 'code')) };
    const choices = member(value, 'choices');
    const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
    const content = textOf(member(member(choice, 'message') ?? member(choice, 'delta'), 'content')) ?? '';
    this.text += content;
    const usage = member(value, 'usage');
    const inputTokens = member(usage, 'prompt_tokens');
    const outputTokens = member(usage, 'completion_tokens');
    if (typeof inputTokens === 'number' && typeof outputTokens === 'number') this.usage = { inputTokens, outputTokens };
    const cost = member(usage, 'cost');
    if (typeof cost === 'number') this.cost = String(cost);
    return content;
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
