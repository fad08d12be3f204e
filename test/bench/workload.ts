/** What the load generator sends and the mock upstream answers. */

/** A client key and a model name that the gateway under test (test/bench/gateway) must know. */
export const CLIENT_KEY = 'sk-test-0123456789abcdef';
export const ROUTE_MODEL = 'route/support-default';
export const CHAT_PATH = '/v1/chat/completions';

/** How the mock upstream behaves from now on. */
export interface Shape {
  /** From a request's end to its answer's first byte. */
  readonly firstByteMs: number;
  /** Events with text in a stream; the one with the finish reason, the usage (where asked for) and [DONE] come on top. */
  readonly events: number;
  readonly intervalMs: number;
}

/** A server that answers chat requests: a peer, the gateway under test or the mock upstream itself. */
export interface Target {
  readonly port: number;
  readonly path: string;
  /** Beyond the content type and the client's key. */
  readonly headers: Readonly<Record<string, string>>;
  /** The name under which this server knows the mock's model. */
  readonly model: string;
}

export interface BodyOptions {
  readonly model: string;
  readonly sizeBytes: number;
  readonly stream: boolean;
}

// Quotes, line ends and letters beyond ASCII: what a JSON reader meets in real prompts.
const PARAGRAPH =
  'The "checkout" service in Zürich returned 502 for 7 % of its requests between 14:02 and 14:31.\n' +
  'On-call saw connection resets towards the payment provider, raised the pool from 20 to 80 and drained one node.\n' +
  "Write down the timeline, the customers' loss and what would have caught it earlier – in plain words.\n\n";
const FILLER = 'Thank you. ';

/** A chat request of exactly `sizeBytes` bytes: a system prompt and turns. Throws a RangeError where it cannot be that small. */
export function chatBody(options: BodyOptions): string {
  const messages = [{ role: 'system', content: 'You are a careful incident writer. Answer in Markdown.' }];
  const body = { model: options.model, messages, temperature: 0.2, max_tokens: 256, stream: options.stream };
  const missing = () => options.sizeBytes - Buffer.byteLength(JSON.stringify(body));
  const say = (content: string) => {
    const message = { role: messages.length % 2 === 1 ? 'user' : 'assistant', content };
    messages.push(message);
    return message;
  };
  let last = say('');
  if (missing() < 0) throw new RangeError(`no chat request has ${options.sizeBytes} bytes`);
  while (missing() >= 0) last = say(PARAGRAPH);
  messages.pop();
  last = messages.at(-1) ?? last;
  const pad = missing();
  last.content += FILLER.repeat(Math.ceil(pad / FILLER.length)).slice(0, pad);
  return JSON.stringify(body);
}
