import net from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; the last of equal ones. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A connection that sends any bytes, for what no HTTP client would send, and reads the answers one by one. */
export class RawConnection {
  readonly socket: net.Socket;
  /** Everything that has come, as text. */
  received = '';
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const ended = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', ended).on('close', ended).on('error', ended);
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('connect', resolve).once('error', reject);
    await promise;
    return new RawConnection(socket);
  }

  write(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** The next answer; null where the connection ends before it is whole. */
  async answer(): Promise<RawAnswer | null> {
    for (;;) {
      const found = takeAnswer(this.#bytes, this.#ended);
      if (found !== null) {
        this.#bytes = this.#bytes.subarray(found.length);
        return found.answer;
      }
      if (this.#ended) return null;
      await this.more();
    }
  }

  /** Waits for the peer's end of the connection; what came after the answers taken so far. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.more();
    return this.#bytes.toString();
  }

  close(): void {
    this.socket.destroy();
  }

  /** Waits until something comes, or the end. */
  async more(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
  }
}

/** Sends these bytes on a connection of their own and takes the first answer. */
export async function rawAnswer(port: number, data: string | Buffer): Promise<RawAnswer | null> {
  const connection = await RawConnection.open(port);
  connection.write(data);
  const answer = await connection.answer();
  connection.close();
  return answer;
}

/** A POST as text; `headers` are lines. */
export function post(path: string, body: string | Buffer, headers: readonly string[] = []): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'host: gateway',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
}

function takeAnswer(bytes: Buffer, ended: boolean): { readonly answer: RawAnswer; readonly length: number } | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return null;
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const headers: Record<string, string> = {};
  for (const line of lines) headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim();
  const start = headEnd + 4;
  const whole = (end: number, body: string): { answer: RawAnswer; length: number } => ({
    answer: { status, headers, body },
    length: end,
  });
  if (status < 200) return whole(start, '');
  if (headers['transfer-encoding'] === 'chunked') return takeChunks(bytes, start, whole);
  const announced = headers['content-length'];
  if (announced === undefined) return ended ? whole(bytes.length, bytes.toString('utf8', start)) : null;
  const end = start + Number(announced);
  return bytes.length < end ? null : whole(end, bytes.toString('utf8', start, end));
}

function takeChunks<T>(bytes: Buffer, start: number, whole: (end: number, body: string) => T): T | null {
  const chunks: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (Number.isNaN(size) || bytes.length < end) return null;
    if (size === 0) return whole(end, Buffer.concat(chunks).toString());
    chunks.push(bytes.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}
