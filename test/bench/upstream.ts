/**
 * The mock upstream, a process of its own: answers chat requests at the least cost that Node allows (node:net, answers made
 * beforehand), so that what is measured is what lies in front of it. Tells its parent `{port}`; a `Shape` from the parent holds
 * for the requests that come after it. Ends with its parent.
 */
import { createServer, type Server, type Socket } from 'node:net';

import type { Shape } from './workload.ts';

const CRLF2 = Buffer.from('\r\n\r\n');
const CHUNKED_END = Buffer.from('0\r\n\r\n');
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const ASKS_STREAM = /"stream" ?: ?true/;
const ASKS_USAGE = /"include_usage" ?: ?true/;

const MODEL = 'mock-1';
const USAGE = { prompt_tokens: 210, completion_tokens: 128, total_tokens: 338 };
const WHOLE = wholeAnswer();
const STREAM_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n' +
    'transfer-encoding: chunked\r\n\r\n',
);
const FIRST = Buffer.concat([STREAM_HEAD, frame(event({ role: 'assistant', content: 'One' }, null))]);
const NEXT = frame(event({ content: ' more word' }, null));
const FINISH = event({}, 'stop');
const DONE = 'data: [DONE]\n\n';
const LAST = Buffer.concat([frame(FINISH + DONE), CHUNKED_END]);
const LAST_WITH_USAGE = Buffer.concat([frame(FINISH + json({ choices: [], usage: USAGE }) + DONE), CHUNKED_END]);

function wholeAnswer(): Buffer {
  const message = { role: 'assistant', content: 'The pool was too small. '.repeat(25), refusal: null };
  const body = JSON.stringify({
    id: 'chatcmpl-mock',
    object: 'chat.completion',
    created: 1_764_000_000,
    model: MODEL,
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
    usage: USAGE,
  });
  const padded = body + ' '.repeat(Math.max(0, 1024 - body.length));
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${padded.length}\r\n\r\n`;
  return Buffer.from(head + padded);
}

function event(delta: object, finishReason: string | null): string {
  return json({ choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] });
}

function json(members: object): string {
  const chunk = { id: 'chatcmpl-mock', object: 'chat.completion.chunk', created: 1_764_000_000, model: MODEL, ...members };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

function frame(payload: string): Buffer {
  return Buffer.from(`${payload.length.toString(16)}\r\n${payload}\r\n`);
}

/** One client connection; requests on it are answered one after the other. */
class Connection {
  readonly #socket: Socket;
  readonly #shape: () => Shape;
  #received: Buffer | null = null;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, shape: () => Shape) {
    this.#socket = socket;
    this.#shape = shape;
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received === null ? chunk : Buffer.concat([this.#received, chunk]);
      this.#answerNext();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => clearTimeout(this.#timer));
  }

  #answerNext(): void {
    const received = this.#received;
    if (this.#busy || received === null) return;
    const length = requestBytes(received);
    if (length === 0 || received.length < length) return;
    this.#received = received.length === length ? null : received.subarray(length);
    const text = received.toString('latin1', 0, length);
    const shape = this.#shape();
    const streamed = ASKS_STREAM.test(text);
    const answer = () => {
      if (streamed) {
        this.#stream(shape, ASKS_USAGE.test(text) ? LAST_WITH_USAGE : LAST);
      } else {
        this.#socket.write(WHOLE);
        this.#ended();
      }
    };
    this.#busy = true;
    if (shape.firstByteMs > 0) this.#timer = setTimeout(answer, shape.firstByteMs);
    else answer();
  }

  #stream(shape: Shape, last: Buffer): void {
    this.#socket.write(FIRST);
    let sent = 1;
    this.#timer = setInterval(() => {
      if (sent++ < shape.events) {
        this.#socket.write(NEXT);
        return;
      }
      clearInterval(this.#timer);
      this.#socket.write(last);
      this.#ended();
    }, shape.intervalMs);
  }

  #ended(): void {
    this.#busy = false;
    this.#answerNext();
  }
}

/** Bytes of the first request in `received`, or 0 where that cannot be told yet. */
function requestBytes(received: Buffer): number {
  const headEnd = received.indexOf(CRLF2);
  if (headEnd < 0) return 0;
  const head = received.toString('latin1', 0, headEnd);
  const length = CONTENT_LENGTH.exec(head)?.[1];
  if (length !== undefined) return headEnd + CRLF2.length + Number(length);
  if (!CHUNKED.test(head)) return headEnd + CRLF2.length;
  const end = received.indexOf(CHUNKED_END, headEnd + CRLF2.length);
  return end < 0 ? 0 : end + CHUNKED_END.length;
}

/** `shape` is asked at the start of each answer. */
export function createUpstream(shape: () => Shape): Server {
  return createServer({ noDelay: true }, (socket) => new Connection(socket, shape));
}

if (import.meta.main) {
  let shape: Shape = { firstByteMs: 0, events: 100, intervalMs: 10 };
  process.on('message', (message) => {
    shape = message as Shape;
    process.send?.({});
  });
  process.on('disconnect', () => process.exit());
  const server = createUpstream(() => shape);
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => process.send?.(server.address()));
}
