/**
 * A client of one gateway over one connection, at the cost of a write and a read: three of them ask a thousand times a second beside
 * what is measured, and must not be what is measured.
 */
import { once } from 'node:events';
import net from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

const END_OF_HEAD = '\r\n\r\n';
const END_OF_CHUNKS = '0\r\n\r\n';

export class Asker {
  readonly #port: number;
  #socket: net.Socket | null = null;
  #text = '';
  #answered: ((answer: Answer) => void) | null = null;
  #failed: ((error: Error) => void) | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** One at a time. */
  async ask(model: string): Promise<Answer> {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] });
    const socket = this.#socket ?? (await this.#connect());
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  async #connect(): Promise<net.Socket> {
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    this.#socket = socket;
    this.#text = '';
    socket.setEncoding('latin1').on('data', (text: string) => this.#take(text));
    const lost = (): void => {
      if (this.#socket === socket) this.#socket = null;
      this.#failed?.(new Error('the gateway closed the connection'));
    };
    socket.on('error', lost).on('close', lost);
    return socket;
  }

  #take(text: string): void {
    this.#text += text;
    const head = this.#text.indexOf(END_OF_HEAD);
    if (head < 0) return;
    const headers = this.#text.slice(0, head).toLowerCase();
    const body = this.#text.slice(head + END_OF_HEAD.length);
    const length = /\r\ncontent-length: (\d+)/.exec(headers)?.[1];
    if (length === undefined ? !body.endsWith(END_OF_CHUNKS) : body.length < Number(length)) return;
    this.#text = '';
    // As one does at the end of a connection's age.
    if (/\r\nconnection: close/.test(headers)) this.close();
    const answered = this.#answered;
    this.#answered = null;
    this.#failed = null;
    answered?.({ status: Number(headers.slice('http/1.1 '.length, 'http/1.1 200'.length)), body });
  }
}
