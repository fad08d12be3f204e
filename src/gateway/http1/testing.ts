/** For the tests of this folder: requests as they are read. */
import { RecentHeads } from './head-memory.ts';
import { HttpRequestError, RequestParser } from './request-parser.ts';

export interface ReadRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Latin-1. */
  readonly body: string;
  readonly keepAlive: boolean;
}

export interface ReadRequests {
  /** Those that came whole. */
  readonly requests: readonly ReadRequest[];
  /** Why the next one is none; null: there is none, or it has not come whole. */
  readonly error: HttpRequestError | null;
  /** The beginning of another request has come. */
  readonly begun: boolean;
  /** Bytes up to the end of the last one that came whole. */
  readonly bytes: number;
}

/** The requests on a connection on which these parts come, up to one after which it is closed. `recent`: of its listener. */
export function readRequests(parts: readonly Buffer[], recent = new RecentHeads()): ReadRequests {
  const requests: ReadRequest[] = [];
  let head: Omit<ReadRequest, 'body'> | null = null;
  let body: Buffer[] = [];
  let kept = true;
  const parser = new RequestParser(
    {
      onRequest({ method, url, headers, keepAlive }) {
        if (head !== null) throw new Error('a second head');
        head = { method, url, headers, keepAlive };
      },
      onRequestBody(bytes) {
        if (head === null || bytes.length === 0) throw new Error('a body out of turn');
        body.push(bytes);
      },
      onRequestEnd() {
        if (head === null) throw new Error('an end out of turn');
        kept = head.keepAlive;
        requests.push({ ...head, body: Buffer.concat(body).toString('latin1') });
        head = null;
        body = [];
        parser.expect();
      },
    },
    recent,
  );
  parser.expect();
  let error: HttpRequestError | null = null;
  let read = 0;
  let end = 0;
  try {
    for (const [i, { length }] of parts.entries()) {
      // Written over afterwards, as the buffer of a socket is, behind whose end is what was read before: here what is least to be read.
      const bytes = Buffer.concat(parts.slice(i, i + 40));
      for (let at = 0; at < length && kept;) {
        const before = requests.length;
        at = parser.read(bytes, at, length);
        if (requests.length > before) end = read + at;
      }
      bytes.fill(0);
      read += length;
    }
  } catch (thrown) {
    if (!(thrown instanceof HttpRequestError)) throw thrown;
    error = thrown;
  }
  return { requests, error, begun: error === null && !parser.untouched, bytes: end };
}

const POST = 'POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\n';

export const VALID_REQUESTS: readonly string[] = [
  'GET /v1/models HTTP/1.1\r\nhost: g\r\n\r\n',
  `${POST}Content-Length: 5\r\nContent-Type: application/json; charset=utf-8\r\n\r\nhello`,
  `${POST}content-length: 0\r\n\r\n`,
  `${POST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  `${POST}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n00001\r\n!\r\n0\r\n\r\n`,
  `${POST}Transfer-Encoding: CHUNKED\r\n\r\nb;ext=1\r\nhello\r\nworl\r\n0;x="\xe9"\r\nx-sum: 1\r\ny:\r\n\r\n`,
  `${POST}connection: close\r\ncontent-length: 2\r\n\r\n{}`,
  `${POST}Connection: keep-alive, x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}`,
  'POST http://gateway.example/v1/embeddings?a=b HTTP/1.1\r\nhost: gateway.example\r\ncontent-length: 1\r\n\r\n{',
  'OPTIONS * HTTP/1.1\r\nhost: g\r\n\r\n',
  'GET / HTTP/1.0\r\n\r\n',
  'POST /a HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc',
  '\r\nHEAD /v1/models HTTP/1.1\r\nhost: g\r\n\r\n',
  `GET /a HTTP/1.1\r\nhost: g\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\nx-a: 1\r\nX-Odd.Name!#$%&'*+-^_\`|~9: \t a b\tc \xff \r\nx-a:2\r\n\r\n`,
  `${POST}cookie: ${'a'.repeat(600)}\r\ncontent-length: 2\r\nx-b: ${'b'.repeat(600)}\r\n\r\n{}`,
  `${POST}content-length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nhost: g\r\n\r\n${POST}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
];
