/** For the tests of this folder: answers as they are read. */
import type { IncomingHttpHeaders } from 'node:http';
import { type AnswerEvents, AnswerParser } from './answer-parser.ts';
import type { KnownAnswers } from './known-answers.ts';

export interface ReadAnswer {
  readonly status: number;
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** Latin-1. */
  readonly body: string;
  readonly complete: boolean;
  readonly reusable: boolean;
  readonly keepAliveMs: number | null;
  readonly error: Error | null;
}

export const CLOSED = new Error('the upstream closed the connection');

/** What a parser tells of an answer that comes in these parts, after which the connection ends. `known`: of the same server. */
export function readAnswer(parts: readonly Buffer[], known: KnownAnswers | null = null): ReadAnswer {
  let status = 0;
  let headers: IncomingHttpHeaders = {};
  let complete = false;
  let error: Error | null = null;
  let reusable = false;
  const body: Buffer[] = [];
  const events: AnswerEvents = {
    onHead(code, fields) {
      if (status !== 0) throw new Error('a second head');
      status = code;
      headers = fields;
    },
    onBody(bytes) {
      if (complete || bytes.length === 0) throw new Error('a body out of turn');
      body.push(bytes);
    },
    onEnd() {
      if (complete) throw new Error('a second end');
      complete = true;
      reusable = parser.reusable;
    },
  };
  const parser = new AnswerParser(events, known);
  parser.expect();
  try {
    for (const [i, part] of parts.entries()) {
      // Written over afterwards, as the buffer of a socket is, behind whose end is what was read before: here what is least to be read.
      const bytes = Buffer.concat(parts.slice(i, i + 40));
      parser.read(bytes, 0, part.length);
      bytes.fill(0);
    }
    parser.end();
  } catch (thrown) {
    error = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  // Bytes after an answer: the answer stands, its connection does not.
  if (complete) {
    reusable &&= error === null;
    error = null;
  }
  return {
    status,
    headers,
    body: Buffer.concat(body).toString('latin1'),
    complete,
    reusable,
    keepAliveMs: parser.keepAliveMs,
    error,
  };
}

const OK = 'HTTP/1.1 200 OK\r\n';

export const VALID_ANSWERS: readonly string[] = [
  `${OK}content-length: 0\r\n\r\n`,
  `${OK}Content-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello`,
  `${OK}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  `${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n00001\r\n!\r\n0\r\n\r\n`,
  `${OK}transfer-encoding: CHUNKED\r\n\r\nb;ext=1\r\nhello\r\nworl\r\n0;x="\xe9"\r\nx-sum: 1\r\ny:\r\n\r\n`,
  `${OK}connection: close\r\n\r\nuntil the end`,
  `${OK}connection: close\r\n\r\n`,
  'HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok',
  'HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok',
  'HTTP/1.0 404 Not \xe9 Found\r\ncontent-length: 2\r\n\r\nno',
  'HTTP/1.1 204 No Content\r\nx: y\r\n\r\n',
  'HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\nx',
  `${OK}keep-alive: timeout=5\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nX-Odd.Name!#$%&'*+-^_\`|~9: \t a b\tc \xff \r\ncontent-length: 1\r\n\r\n\0`,
];
