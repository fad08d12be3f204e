import { type ServerResponse, STATUS_CODES } from 'node:http';

/** What node's own `writeHead` ends in: the status line and headers as text, and headers it must know the meaning of. */
interface HeadWriter {
  _storeHeader(firstLines: string, headers: readonly string[]): void;
}

/** Node must see these among the headers: they decide how the body is framed and whether the connection is kept. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date', 'expect', 'trailer']);

const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * `response.writeHead` for the dozen headers of every relayed answer. Node's own checks each name and value by two regular
 * expressions and lowers each name: 15,000 instructions a request, a twentieth of all that a request costs. Names are ours,
 * lower case; values are checked here, all at once. `headers` is flat: name, value, ….
 */
export function writeHead(response: ServerResponse, status: number, headers: readonly string[]): void {
  let lines = '';
  let values = '';
  const framing: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    if (FRAMING.has(name)) {
      framing.push(name, value);
    } else {
      lines += `${name}: ${value}\r\n`;
      values += value;
    }
  }
  // Bodiless answers and unfit values are rare: node knows all their rules, and raises its own error.
  if (status < 200 || status === 204 || status === 304 || UNSAFE.test(values) || response.headersSent) {
    response.writeHead(status, headers as string[]);
    return;
  }
  response.statusCode = status;
  (response as unknown as HeadWriter)._storeHeader(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${lines}`,
    framing,
  );
}
