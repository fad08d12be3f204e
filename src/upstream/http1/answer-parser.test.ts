import { describe, expect, it } from '@jest/globals';
import { MAX_HEAD_BYTES } from '../../lib/http1/message-parser.ts';
import { HttpAnswerError } from './answer-head.ts';
import { SwitchedProtocolsError } from './answer-parser.ts';
import { CLOSED, readAnswer, VALID_ANSWERS } from './testing.ts';

const text = (latin1: string): Buffer => Buffer.from(latin1, 'latin1');
const OK = 'HTTP/1.1 200 OK\r\n';

describe('AnswerParser', () => {
  it.each(VALID_ANSWERS.map((answer) => [JSON.stringify(answer).slice(0, 90), answer] as const))(
    '%s: read the same however it is cut',
    (_name, answer) => {
      const bytes = text(answer);
      const whole = readAnswer([bytes]);
      expect(whole.error).toBeNull();
      expect(whole.complete).toBe(true);
      for (let cut = 1; cut < bytes.length; cut++) {
        expect(readAnswer([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
      }
      expect(readAnswer(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(whole);
    },
  );

  it('tells status, headers and body', () => {
    const answer =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\tdown \xe9\r\nRetry-After: 7 \r\nX-A:\r\nx-b: 1\r\nX-B: \t2\r\nTransfer-Encoding: Chunked\r\n\r\n3;a="b"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n';
    expect(readAnswer([text(answer)])).toEqual({
      status: 429,
      headers: { 'retry-after': '7', 'x-a': '', 'x-b': '1, 2', 'transfer-encoding': 'Chunked' },
      body: 'abc0123456789',
      complete: true,
      reusable: true,
      keepAliveMs: null,
      error: null,
    });
  });

  it.each([
    ['an answer of known length', `${OK}content-length: 0\r\n\r\n`, true],
    ['one without a body', 'HTTP/1.1 204 No Content\r\n\r\n', true],
    ['one that says close', `${OK}connection: x, Close\r\ncontent-length: 0\r\n\r\n`, false],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n', false],
    ['one that the connection ends', `${OK}\r\nabc`, false],
    ['one that bytes follow', `${OK}content-length: 1\r\n\r\nab`, false],
    ['one that an answer follows', `${OK}content-length: 0\r\n\r\n${OK}content-length: 0\r\n\r\n`, false],
    ['one that an end of line follows', `${OK}transfer-encoding: chunked\r\n\r\n0\r\n\r\n\r\n`, false],
  ])('%s: whether its connection may be used again', (_name, answer, reusable) => {
    expect(readAnswer([text(answer)])).toMatchObject({ complete: true, error: null, reusable });
  });

  it.each([
    ['keep-alive: timeout=5, max=1000', 5_000],
    ['keep-alive: max=3;timeout=61', 61_000],
    ['keep-alive: timeout=-1', null],
    ['keep-alive: xtimeout=5', null],
    ['x: timeout=5', null],
  ])('%s: how long an idle connection lives there', (header, keepAliveMs) => {
    expect(readAnswer([text(`${OK}${header}\r\ncontent-length: 0\r\n\r\n`)])).toMatchObject({ complete: true, keepAliveMs });
  });

  const chunked = (body: string): string => `${OK}transfer-encoding: chunked\r\n\r\n${body}`;
  it.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['another version', 'HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['HTTP/0.9', '<html></html>'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n'],
    ['space before the version', ' HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['an empty line before it', '\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['bare LF', 'HTTP/1.1 200 OK\ncontent-length: 0\n\n'],
    ['a bare LF in a value', `${OK}x: a\nb: c\r\ncontent-length: 0\r\n\r\n`],
    ['a bare CR in a value', `${OK}x: a\rb\r\ncontent-length: 0\r\n\r\n`],
    ['NUL in a value', `${OK}x: a\0b\r\ncontent-length: 0\r\n\r\n`],
    ['a folded line', `${OK}x: a\r\n b\r\ncontent-length: 0\r\n\r\n`],
    ['space before a colon', `${OK}content-length : 0\r\n\r\n`],
    ['a line without a colon', `${OK}content-length\r\n\r\n`],
    ['an empty name', `${OK}: 0\r\ncontent-length: 0\r\n\r\n`],
    ['two lengths', `${OK}content-length: 1\r\ncontent-length: 1\r\n\r\na`],
    ['two lengths in one line', `${OK}content-length: 1, 1\r\n\r\na`],
    ['a negative length', `${OK}content-length: -1\r\n\r\n`],
    ['a signed length', `${OK}content-length: +1\r\n\r\na`],
    ['a hexadecimal length', `${OK}content-length: 0x1\r\n\r\na`],
    ['an empty length', `${OK}content-length:\r\n\r\n`],
    ['a length beyond all numbers', `${OK}content-length: 99999999999999999999\r\n\r\n`],
    ['a length beside chunks', `${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`],
    ['two encodings', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['an encoding before chunks', `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['an encoding that is none', `${OK}transfer-encoding: identity\r\n\r\n`],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length before a non-breaking space', `${OK}content-length: 1\xa0\r\n\r\na`],
    ['a non-breaking space after the encoding', `${OK}transfer-encoding: chunked\xa0\r\n\r\n0\r\n\r\n`],
    ['a tab after the encoding', `${OK}transfer-encoding: chunked\t\r\n\r\n0\r\n\r\n`],
    ['an extension that does not end', chunked('3;a="b\r\nabc\r\n0\r\n\r\n')],
    ['a length as a trailer', chunked('0\r\nContent-Length: 0\r\n\r\n')],
    ['a length before the final answer', `HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n${OK}content-length: 0\r\n\r\n`],
    ['a chunk without a size', chunked('\r\nabc\r\n0\r\n\r\n')],
    ['a size that is none', chunked('g\r\nabc\r\n0\r\n\r\n')],
    ['a signed size', chunked('-3\r\nabc\r\n0\r\n\r\n')],
    ['a size with 0x', chunked('0x3\r\nabc\r\n0\r\n\r\n')],
    ['a size with a space', chunked('3 \r\nabc\r\n0\r\n\r\n')],
    ['a size beyond all numbers', chunked('ffffffffffffffff\r\n')],
    ['a size ended by a bare LF', chunked('3\nabc\r\n0\r\n\r\n')],
    ['a chunk longer than its size', chunked('3\r\nabcd\r\n0\r\n\r\n')],
    ['a chunk ended by a bare LF', chunked('3\r\nabc\n0\r\n\r\n')],
    ['a chunk ended by CR CR', chunked('3\r\nabc\r\r0\r\n\r\n')],
    ['an extension with a bare LF', chunked('3;a\nb\r\nabc\r\n0\r\n\r\n')],
    ['a trailer without a colon', chunked('0\r\ntrailer\r\n\r\n')],
    ['too long a line with a size', chunked(`3;${'x'.repeat(2_000)}\r\nabc\r\n0\r\n\r\n`)],
    ['too long a head', `${OK}x: ${'x'.repeat(MAX_HEAD_BYTES)}\r\ncontent-length: 0\r\n\r\n`],
    ['too long a head without an end', `${OK}x: ${'x'.repeat(MAX_HEAD_BYTES)}`],
    ['too many trailers', chunked(`0\r\n${'x: yyyyyyyyyyyyyyyyyyy\r\n'.repeat(MAX_HEAD_BYTES / 16)}\r\n`)],
    ['answers before the final one without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100)],
  ])('%s: refused, however it is cut', (_name, answer) => {
    const bytes = text(answer);
    for (const parts of [[bytes], Array.from(bytes, (byte) => Buffer.of(byte))]) {
      const { error, complete } = readAnswer(parts);
      expect(error).toBeInstanceOf(HttpAnswerError);
      expect(complete).toBe(false);
    }
  });

  it.each(['2', '20000', '20000\r'])('a size that comes in part (%j), and a large read behind it', (part) => {
    const body = 'x'.repeat(0x20000);
    const bytes = text(chunked(`20000\r\n${body}\r\n0\r\n\r\n`));
    const at = bytes.indexOf('\r\n\r\n') + 4 + part.length;
    const answer = readAnswer([bytes.subarray(0, at), bytes.subarray(at)]);
    expect(answer).toMatchObject({ complete: true, error: null });
    expect(answer.body === body).toBe(true);
  });

  it('refuses what nobody asked for', () => {
    expect(readAnswer([text('HTTP/1.1 101 X\r\nupgrade: x\r\n\r\n')]).error).toBeInstanceOf(SwitchedProtocolsError);
  });

  it.each([
    ['nothing', ''],
    ['half a head', OK],
    ['half a body', `${OK}content-length: 3\r\n\r\nab`],
    ['half a chunk', chunked('3\r\nab')],
    ['no last chunk', chunked('3\r\nabc\r\n')],
    ['half a last chunk', chunked('0\r\n')],
  ])('%s: not whole when the connection ends', (_name, answer) => {
    expect(readAnswer([text(answer)])).toMatchObject({ complete: false, error: CLOSED });
  });

  it('says before the end of a head that it is none', () => {
    for (const part of ['SMTP', 'HTTP/1.1 200 OK\nx', 'HTTP/1.1 200 OK\r\nx: a\n', '\n']) {
      expect(readAnswer([text(part)]).error).toBeInstanceOf(HttpAnswerError);
    }
  });
});
