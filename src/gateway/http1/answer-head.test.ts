import { describe, expect, it } from '@jest/globals';
import { CHUNKED, UNTOLD } from '../../lib/http1/message-parser.ts';
import { answerHead } from './answer-head.ts';

type Asked = readonly [status: number, headers: readonly string[], framing: number, close: boolean];

/** With what differs from second to second left out. */
function written([status, headers, framing, close]: Asked): string {
  return answerHead(status, headers, framing, close)
    .toString('latin1')
    .replace(/date: (.*)\r\n/, (_line, date: string) => {
      expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(60_000);
      expect(new Date(Date.parse(date)).toUTCString()).toBe(date);
      return 'date: D\r\n';
    });
}

const KEPT = 'date: D\r\nconnection: keep-alive\r\nkeep-alive: timeout=620\r\n';

describe('the head of an answer', () => {
  it.each([
    [[200, [], 12_345, false], `HTTP/1.1 200 OK\r\n${KEPT}content-length: 12345\r\n\r\n`],
    [[200, [], 0, true], 'HTTP/1.1 200 OK\r\ndate: D\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'],
    [
      [200, ['a', 'b', 'c-d', ''], CHUNKED, false],
      `HTTP/1.1 200 OK\r\na: b\r\nc-d: \r\n${KEPT}transfer-encoding: chunked\r\n\r\n`,
    ],
    [[599, ['a', 'caf\xe9\t '], UNTOLD, false], `HTTP/1.1 599 unknown\r\na: caf\xe9\t \r\n${KEPT}\r\n`],
  ] as const)('%j', (head, text) => {
    // The second time what was made for the first is used.
    expect(written(head)).toBe(text);
    expect(written(head)).toBe(text);
  });

  it.each(['a\r\nb', 'a\n', '\0', '\x7f', 'č', '😀'])('has no value %j, and does not repeat it', (value) => {
    expect(() => answerHead(200, ['x-a', value], CHUNKED, false)).toThrow(
      /^the header "x-a" of the answer has a value that cannot be sent$/,
    );
  });
});
