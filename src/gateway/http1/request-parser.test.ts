import { describe, expect, it } from '@jest/globals';
import { MAX_HEAD_BYTES } from '../../lib/http1/message-parser.ts';
import { RecentHeads } from './head-memory.ts';
import { HttpRequestError } from './request-parser.ts';
import { readRequests, VALID_REQUESTS } from './testing.ts';

const text = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');
const byByte = (bytes: Buffer): Buffer[] => Array.from(bytes, (byte) => Buffer.of(byte));
const GET = 'GET /a HTTP/1.1\r\nhost: g\r\n';
const POST = 'POST /a HTTP/1.1\r\nhost: g\r\n';
const chunked = (body: string): string => `${POST}transfer-encoding: chunked\r\n\r\n${body}`;

describe('RequestParser', () => {
  it.each(VALID_REQUESTS.map((request) => [JSON.stringify(request).slice(0, 90), request] as const))(
    '%s: read the same however it is cut',
    (_name, request) => {
      const bytes = text(request);
      const whole = readRequests([bytes]);
      expect(whole).toMatchObject({ error: null, begun: false });
      expect(whole.requests.length).toBeGreaterThan(0);
      for (let cut = 1; cut < bytes.length; cut++) {
        expect(readRequests([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
      }
      expect(readRequests(byByte(bytes))).toEqual(whole);
    },
  );

  it('reads a head that came before by what differs in it: the length of its body, or anything', () => {
    const head = (more: string): string => `POST /a HTTP/1.1\r\nhost: g\r\nx-a: b\r\n${more}\r\nx-c: d\r\n\r\n`;
    const requests = [
      ...['content-length: 3', 'content-length: 12', 'content-length: 0', 'x: y', 'content-length: 1 ', 'Content-Length: 1'],
      ...['content-length:\t7', 'content-length:\t8', 'x: y', 'x: y', 'x: z', 'content-length: 3', 'content-length: 3'],
    ].map((line) => head(line) + '0123456789ab'.slice(0, Number(/: *\t*(\d+)/.exec(line)?.[1] ?? 0)));
    const alone = requests.flatMap((request) => readRequests([text(request)]).requests);
    expect(alone).toHaveLength(requests.length);
    expect(readRequests([text(requests.join(''))])).toMatchObject({ requests: alone, error: null });
    for (const bad of ['+3', '3, 3', '0x3', '3 3', '1'.repeat(16), '']) {
      const { requests: read, error } = readRequests([
        text(`${requests[0] ?? ''}${requests[1] ?? ''}${head(`content-length: ${bad}`)}`),
      ]);
      expect([bad, read.length, error?.message]).toEqual([bad, 2, expect.stringContaining('content-length')]);
    }
  });

  it('reads a head that came before on another connection as if none had', () => {
    const recent = new RecentHeads();
    for (const valid of [...VALID_REQUESTS, ...VALID_REQUESTS]) {
      const parts = [text(valid)];
      expect(readRequests(parts, recent)).toEqual(readRequests(parts));
      expect(recent.heads.length).toBeLessThanOrEqual(4);
    }
    const sent = `POST /a HTTP/1.1\r\nhost: g\r\nauthorization: Bearer a\r\ncontent-length: 2\r\nx-b: c\r\n\r\n{}`;
    const end = sent.indexOf('\r\n\r\n') + 4;
    const one = new RecentHeads();
    for (const length of ['2', '02', '1', '0', '3', '', 'x', '2,', '99999999999999999']) {
      const parts = [text(sent.replace('length: 2', `length: ${length}`))];
      expect(readRequests(parts, one)).toEqual(readRequests(parts));
    }
    expect(one.heads).toHaveLength(1);
    for (let at = 0; at < end; at++) {
      for (const byte of ['a', '1', ' ', '\r', '\n']) {
        const parts = [text(sent.slice(0, at) + byte + sent.slice(at + 1))];
        const again = new RecentHeads();
        readRequests([text(sent)], again);
        expect(readRequests(parts, again)).toEqual(readRequests(parts));
      }
    }
  });

  it('takes a header for what was sent, whatever objects are called by that name', () => {
    const [read] = readRequests([text(`${GET}Constructor: a\r\n__proto__: b\r\n__proto__: c\r\n\r\n`)]).requests;
    expect(Object.entries(read?.headers ?? {})).toEqual([
      ['host', 'g'],
      ['constructor', 'a'],
      ['__proto__', 'b, c'],
    ]);
    expect(readRequests([text(`${GET}\r\n`)]).requests[0]?.headers['constructor']).toBeUndefined();
  });

  it('tells what a request says', () => {
    const request =
      'POST /v1/x?y=z HTTP/1.1\r\nHost: g:1\r\nX-A:\r\nx-b: 1\r\nX-B: \t2\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\nTransfer-Encoding: Chunked\r\n\r\n3;a="b"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nAuthorization: Bearer c\r\n\r\n';
    expect(readRequests([text(request)])).toEqual({
      requests: [
        {
          method: 'POST',
          url: '/v1/x?y=z',
          headers: {
            host: 'g:1',
            'x-a': '',
            'x-b': '1, 2',
            authorization: 'Bearer a',
            'transfer-encoding': 'Chunked',
          },
          body: 'abc0123456789',
          keepAlive: true,
        },
      ],
      error: null,
      begun: false,
      bytes: request.length,
    });
  });

  it.each([
    ['HTTP/1.1', `${GET}\r\n`, true],
    ['HTTP/1.1 that says close', `${GET}connection: x, Close\r\n\r\n`, false],
    ['HTTP/1.1 that says both', `${GET}connection: keep-alive, close\r\n\r\n`, false],
    ['HTTP/1.0', 'GET /a HTTP/1.0\r\n\r\n', false],
    ['HTTP/1.0 that says keep-alive', 'GET /a HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n', true],
  ])('%s: whether its connection is kept', (_name, request, keepAlive) => {
    expect(readRequests([text(request)]).requests).toMatchObject([{ keepAlive }]);
  });

  it.each([
    ['an unknown method', 'FETCH /a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a method in lower case', 'get /a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ["a proxy's method", 'CONNECT g:443 HTTP/1.1\r\nhost: g\r\n\r\n'],
    ["a proxy's target", 'GET g:443 HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a URL of another scheme', 'GET ftp://g/a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a URL without a host', 'GET http:///a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['no target', 'GET HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['two spaces', 'GET  /a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a space behind the version', 'GET /a HTTP/1.1 \r\nhost: g\r\n\r\n'],
    ['a control character in the target', 'GET /a\x01 HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['HTTP/0.9', 'GET /a\r\n\r\n'],
    ['HTTP/1.2', 'GET /a HTTP/1.2\r\nhost: g\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['a space before it', ' GET /a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['a bare LF before it', '\nGET /a HTTP/1.1\r\nhost: g\r\n\r\n'],
    ['bare LF', 'GET /a HTTP/1.1\nhost: g\n\n'],
    ['a bare LF in a value', `${GET}x: a\nb: c\r\n\r\n`],
    ['a bare CR in a value', `${GET}x: a\rb\r\n\r\n`],
    ['NUL in a value', `${GET}x: a\0b\r\n\r\n`],
    ['a folded line', `${GET}x: a\r\n b\r\n\r\n`],
    ['space before a colon', `${GET}content-length : 0\r\n\r\n`],
    ['space before a name', 'GET /a HTTP/1.1\r\n host: g\r\n\r\n'],
    ['a line without a colon', `${GET}content-length\r\n\r\n`],
    ['an empty name', `${GET}: 0\r\n\r\n`],
    ['no host', 'GET /a HTTP/1.1\r\n\r\n'],
    ['two hosts', `${GET}host: g\r\n\r\n`],
    ['two lengths', `${POST}content-length: 1\r\ncontent-length: 1\r\n\r\na`],
    ['two lengths in one line', `${POST}content-length: 1, 1\r\n\r\na`],
    ['a negative length', `${POST}content-length: -1\r\n\r\n`],
    ['a signed length', `${POST}content-length: +1\r\n\r\na`],
    ['a hexadecimal length', `${POST}content-length: 0x1\r\n\r\na`],
    ['an empty length', `${POST}content-length:\r\n\r\n`],
    ['a length behind a non-breaking space', `${POST}content-length: \xa01\r\n\r\na`],
    ['a length beyond all numbers', `${POST}content-length: 99999999999999999999\r\n\r\n`],
    ['a length beside chunks', `${POST}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`],
    ['two encodings', `${POST}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['an encoding before chunks', `${POST}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['an encoding behind chunks', `${POST}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['an encoding that is none', `${POST}transfer-encoding: identity\r\n\r\n`],
    ['chunks in HTTP/1.0', 'POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a tab after the encoding', `${POST}transfer-encoding: chunked\t\r\n\r\n0\r\n\r\n`],
    ['a non-breaking space after the encoding', `${POST}transfer-encoding: chunked\xa0\r\n\r\n0\r\n\r\n`],
    ['a length as a trailer', chunked('0\r\nContent-Length: 0\r\n\r\n')],
    ['a chunk without a size', chunked('\r\nabc\r\n0\r\n\r\n')],
    ['a size with a space', chunked('3 \r\nabc\r\n0\r\n\r\n')],
    ['a size ended by a bare LF', chunked('3\nabc\r\n0\r\n\r\n')],
    ['a chunk longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')],
    ['a chunk ended by a bare LF', chunked('3\r\nabc\n0\r\n\r\n')],
    ['an extension with a bare LF', chunked('3;a\nb\r\nabc\r\n0\r\n\r\n')],
    ['too long a line with a size', chunked(`3;${'x'.repeat(2_000)}\r\nabc\r\n0\r\n\r\n`)],
    ['too many trailers', chunked(`0\r\n${'x: yyyyyyyyyyyyyyyyyyy\r\n'.repeat(MAX_HEAD_BYTES / 16)}\r\n`)],
  ])('%s: refused, however it is cut', (_name, request) => {
    for (const parts of [[text(request)], byByte(text(request))]) {
      const { requests, error } = readRequests(parts);
      expect(error).toBeInstanceOf(HttpRequestError);
      expect(error).toMatchObject({ status: 400, message: expect.stringMatching(/^The request is not valid HTTP\/1\.1: .+\.$/) });
      expect(requests).toHaveLength(0);
    }
  });

  it.each([
    ['too large a head', 431, `${GET}x: ${'x'.repeat(MAX_HEAD_BYTES)}\r\n\r\n`],
    ['too large a head without an end', 431, `${GET}x: ${'x'.repeat(MAX_HEAD_BYTES)}`],
    ['an expectation that nobody knows', 417, `${POST}expect: a-miracle\r\ncontent-length: 0\r\n\r\n`],
  ])('%s: refused by a status of its own', (_name, status, request) => {
    for (const parts of [[text(request)], byByte(text(request))]) expect(readRequests(parts).error).toMatchObject({ status });
  });

  it('says before the end of a head that it is none', () => {
    for (const part of [
      'SSH-2.0-OpenSSH_9.2',
      'HELLOHELLOHELLO',
      'GET /a HTTP/2',
      'GET /a HTTP/1.1\nx',
      'GET /a b',
      '{"a":',
      '\n',
    ]) {
      for (const parts of [[text(part)], byByte(text(part))]) expect(readRequests(parts).error).toBeInstanceOf(HttpRequestError);
    }
  });

  it.each([
    '\r',
    '\r\nP',
    'POST',
    'POST /',
    'POST /a HTTP/1',
    `${POST}x`,
    `${POST}content-length: 3\r\n\r\nab`,
    chunked('3\r\nab'),
  ])('%j: waits for the rest', (part) => {
    expect(readRequests([text(part)])).toEqual({ requests: [], error: null, begun: true, bytes: 0 });
  });
});
